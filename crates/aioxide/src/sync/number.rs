//! A number as Python was given it.
//!
//! Nearly always a small integer; but `Semaphore(math.inf)` and `Queue(maxsize=float("inf"))` are
//! in use, and anything that can be compared and counted works with asyncio. What is no exact
//! `int`, or a huge one, stays a Python object and is computed with by Python.

use std::cell::Cell;

use crate::ffi::dispatch::Compare;
use crate::ffi::{Any, Object, Raised, Res, Slot, Visit, value};

/// A cell with a number.
#[derive(Debug, Default)]
pub(super) struct Number {
    int: Cell<i64>,
    /// Holds instead of `int`, if it is there.
    other: Slot,
}

impl Number {
    #[inline]
    pub(super) fn set(&self, value: &Any) {
        match value.exact_int() {
            Some(int) => self.set_int(int),
            None => self.other.set(value.own()),
        }
    }

    #[inline]
    pub(super) fn set_int(&self, value: i64) {
        self.int.set(value);
        if self.other.is_some() {
            self.other.clear();
        }
    }

    /// The number for Python.
    pub(super) fn object(&self) -> Res<Object> {
        match self.other.get() {
            Some(other) => Ok(other),
            None => value::int(self.int.get()),
        }
    }

    /// `self < 0` and its like.
    #[inline]
    pub(super) fn is(&self, how: Compare, limit: i64) -> Res<bool> {
        match self.other.get() {
            None => Ok(compare(self.int.get(), how, limit)),
            Some(other) => other.compare(how, &*value::int(limit)?),
        }
    }

    /// `value >= self`, for something counted here.
    #[inline]
    pub(super) fn is_reached_by(&self, count: i64) -> Res<bool> {
        match self.other.get() {
            None => Ok(count >= self.int.get()),
            Some(other) => value::int(count)?.compare(Compare::GreaterOrEqual, &other),
        }
    }

    /// `self >= bound`.
    pub(super) fn is_at_least(&self, bound: &Number) -> Res<bool> {
        if self.other.is_none() && bound.other.is_none() {
            return Ok(self.int.get() >= bound.int.get());
        }
        self.object()?
            .compare(Compare::GreaterOrEqual, &*bound.object()?)
    }

    /// `self += 1`.
    #[inline]
    pub(super) fn increase(&self) -> Res<()> {
        self.step(1)
    }

    /// `self -= 1`.
    #[inline]
    pub(super) fn decrease(&self) -> Res<()> {
        self.step(-1)
    }

    #[inline]
    fn step(&self, by: i64) -> Res<()> {
        if self.other.is_none()
            && let Some(sum) = self.int.get().checked_add(by)
        {
            self.int.set(sum);
            return Ok(());
        }
        let one = value::int(1)?;
        let object = self.object()?;
        let sum = if by > 0 {
            object.add(&one)?
        } else {
            object.subtract(&one)?
        };
        self.set(&sum);
        Ok(())
    }

    /// The number, set from Python; it cannot be deleted.
    pub(super) fn assign(&self, value: Option<&Any>) -> Res<()> {
        self.set(crate::ffi::method::no_delete(value)?);
        Ok(())
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        self.other.visit(visit);
    }

    pub(super) fn clear(&self) {
        self.other.clear();
    }
}

#[inline]
fn compare(left: i64, how: Compare, right: i64) -> bool {
    match how {
        Compare::Less => left < right,
        Compare::LessOrEqual => left <= right,
        Compare::Equal => left == right,
        Compare::Greater => left > right,
        Compare::GreaterOrEqual => left >= right,
    }
}

/// `value < limit` for an argument that has been given, whatever it is.
pub(super) fn argument_is_less(value: &Any, limit: i64) -> Res<bool> {
    match value.exact_int() {
        Some(int) => Ok(int < limit),
        None => value.compare(Compare::Less, &*value::int(limit)?),
    }
}

/// An attribute set to a truth value.
pub(super) fn assign_flag(flag: &Cell<bool>, value: Option<&Any>) -> Result<(), Raised> {
    flag.set(crate::ffi::method::no_delete(value)?.is_truthy()?);
    Ok(())
}
