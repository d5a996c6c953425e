//! One native object that knows another without keeping it alive: a word in each of them.
//!
//! A weak reference of Python's is an object of its own, of 80 bytes. This is for pairs of which
//! there is one for each connection.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi;

use super::instance::{Inst, Own};
use super::native_type::Native;
use super::object::Any;

/// A state that knows a `T`.
pub(crate) trait Knows<T: KnownBy<Self>>: Native {
    fn link(&self) -> &Link<T>;
}

/// A state that is known by at most one `H`.
pub(crate) trait KnownBy<H: Knows<Self>>: Native {
    fn known_by(&self) -> &Link<H>;
}

/// The other object, or null. Each of the two points at the other, or neither does.
///
/// Both sides must let go at the latest in their `Native::on_dealloc`.
pub(crate) struct Link<T> {
    other: Cell<*mut ffi::PyObject>,
    state: PhantomData<fn() -> T>,
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link {
            other: Cell::new(ptr::null_mut()),
            state: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "Link(set)"
        } else {
            "Link(empty)"
        })
    }
}

impl<T> Link<T> {
    #[inline(always)]
    pub(crate) fn is_some(&self) -> bool {
        !self.other.get().is_null()
    }
}

impl<T: Native> Link<T> {
    /// The other object, if it is not on its way out.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Own<T>> {
        let other = self.other.get();
        // SAFETY: not null only while the other object's memory is in place, since both sides let
        // go before theirs is freed; a count of zero means that it is being deallocated.
        unsafe {
            if other.is_null() || ffi::Py_REFCNT(other) == 0 {
                return None;
            }
            Some(Own::from_object(Any::from_ptr(other).own()))
        }
    }

    /// The other object, be it on its way out.
    fn peek(&self) -> Option<&Inst<T>> {
        let other = self.other.get();
        // SAFETY: as in `get`; its state is in place, too.
        (!other.is_null()).then(|| unsafe { Inst::from_ptr(other) })
    }
}

/// Lets `holder` know `target`, unless another one does already; tells whether it does.
pub(crate) fn tie<H: Knows<T>, T: KnownBy<H>>(holder: &Inst<H>, target: &Inst<T>) -> bool {
    if target.known_by().is_some() {
        return false;
    }
    untie(&**holder);
    holder.link().other.set(target.as_any().as_ptr());
    target.known_by().other.set(holder.as_any().as_ptr());
    true
}

/// The holder knows nobody any more.
#[inline]
pub(crate) fn untie<H: Knows<T>, T: KnownBy<H>>(holder: &H) {
    if let Some(target) = holder.link().peek() {
        target.known_by().other.set(ptr::null_mut());
    }
    holder.link().other.set(ptr::null_mut());
}

/// Nobody knows the target any more.
#[inline]
pub(crate) fn forget<H: Knows<T>, T: KnownBy<H>>(target: &T) {
    if let Some(holder) = target.known_by().peek() {
        holder.link().other.set(ptr::null_mut());
    }
    target.known_by().other.set(ptr::null_mut());
}
