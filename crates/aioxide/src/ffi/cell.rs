//! Cells for references inside a native object's state.
//!
//! A slot's value is never borrowed, only cloned out or taken, and the old value is dropped
//! after the new one is stored: so a destructor that comes back finds a consistent slot.

use std::cell::UnsafeCell;
use std::fmt;

use super::instance::Own;
use super::native_type::Native;
use super::object::{Any, Object};
use super::visit::Visit;

/// An optional reference to any object.
#[derive(Default)]
pub(crate) struct Slot(UnsafeCell<Option<Object>>);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "Slot(set)"
        } else {
            "Slot(empty)"
        })
    }
}

impl Slot {
    #[inline(always)]
    pub(crate) const fn new(value: Option<Object>) -> Self {
        Slot(UnsafeCell::new(value))
    }

    #[inline(always)]
    fn peek(&self) -> Option<&Object> {
        // SAFETY: one thread at a time (GIL); callers in this file neither drop nor call while
        // they hold this reference.
        unsafe { (*self.0.get()).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn is_some(&self) -> bool {
        self.peek().is_some()
    }

    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        self.peek().is_none()
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Object> {
        self.peek().map(|value| value.own())
    }

    /// The value for Python: itself, or `None`.
    #[inline(always)]
    pub(crate) fn get_or_none(&self) -> Object {
        self.get().unwrap_or_else(super::value::none)
    }

    /// The object's address, to compare identities.
    #[inline(always)]
    pub(crate) fn address(&self) -> Option<usize> {
        self.peek().map(|value| value.address())
    }

    /// Whether the slot holds an object that somebody else refers to, too.
    #[inline(always)]
    pub(crate) fn is_shared(&self) -> bool {
        self.peek().is_some_and(|value| value.refcount() > 1)
    }

    /// Whether the slot holds exactly this object.
    #[inline(always)]
    pub(crate) fn holds(&self, object: &Any) -> bool {
        self.peek().is_some_and(|value| value.is(object))
    }

    #[inline(always)]
    pub(crate) fn replace(&self, value: Option<Object>) -> Option<Object> {
        // SAFETY: one thread at a time (GIL), and a move runs no code.
        unsafe { std::mem::replace(&mut *self.0.get(), value) }
    }

    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Object> {
        self.replace(None)
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: Object) {
        drop(self.replace(Some(value)));
    }

    #[inline(always)]
    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    pub(crate) fn visit(&self, visit: &mut Visit) {
        if let Some(value) = self.peek() {
            visit.object(value);
        }
    }
}

/// An optional reference to a native object.
pub(crate) struct SlotOf<T: Native>(UnsafeCell<Option<Own<T>>>);

impl<T: Native> Default for SlotOf<T> {
    fn default() -> Self {
        SlotOf(UnsafeCell::new(None))
    }
}

impl<T: Native> fmt::Debug for SlotOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "SlotOf(set)"
        } else {
            "SlotOf(empty)"
        })
    }
}

#[allow(dead_code, reason = "the counterpart of Slot, complete")]
impl<T: Native> SlotOf<T> {
    #[inline(always)]
    pub(crate) const fn new(value: Option<Own<T>>) -> Self {
        SlotOf(UnsafeCell::new(value))
    }

    /// The object's address, to compare identities.
    #[inline(always)]
    pub(crate) fn address(&self) -> Option<usize> {
        self.peek().map(|value| value.as_any().address())
    }

    #[inline(always)]
    fn peek(&self) -> Option<&Own<T>> {
        // SAFETY: as in `Slot::peek`.
        unsafe { (*self.0.get()).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn is_some(&self) -> bool {
        self.peek().is_some()
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Own<T>> {
        self.peek().cloned()
    }

    #[inline(always)]
    pub(crate) fn replace(&self, value: Option<Own<T>>) -> Option<Own<T>> {
        // SAFETY: as in `Slot::replace`.
        unsafe { std::mem::replace(&mut *self.0.get(), value) }
    }

    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Own<T>> {
        self.replace(None)
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: Own<T>) {
        drop(self.replace(Some(value)));
    }

    #[inline(always)]
    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    pub(crate) fn visit(&self, visit: &mut Visit) {
        if let Some(value) = self.peek() {
            visit.native(value);
        }
    }
}
