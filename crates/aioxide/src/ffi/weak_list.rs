//! A list of native objects that does not keep them alive.

use std::cell::{Cell, UnsafeCell};
use std::fmt;

use pyo3::ffi;

use super::instance::{Inst, Own};
use super::native_type::Native;
use super::object::Any;

/// A member's place in the list; `ABSENT` outside.
#[derive(Debug)]
pub(crate) struct Place(Cell<usize>);

const ABSENT: usize = usize::MAX;

impl Default for Place {
    fn default() -> Self {
        Place(Cell::new(ABSENT))
    }
}

/// A state that can be a member of one list.
pub(crate) trait Listed: Native {
    fn place(&self) -> &Place;
}

/// Members in no order; adding and removing move one pointer each.
///
/// A member must be removed at the latest in its `Native::on_dealloc`.
pub(crate) struct WeakList<T>(
    UnsafeCell<Vec<*mut ffi::PyObject>>,
    std::marker::PhantomData<T>,
);

// SAFETY: only touched under the GIL.
unsafe impl<T> Sync for WeakList<T> {}

impl<T> fmt::Debug for WeakList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakList")
    }
}

impl<T: Listed> WeakList<T> {
    pub(crate) const fn new() -> Self {
        WeakList(UnsafeCell::new(Vec::new()), std::marker::PhantomData)
    }

    /// Adds the object; nothing happens if it is in already.
    #[inline]
    pub(crate) fn add(&self, member: &Inst<T>) {
        if member.place().0.get() != ABSENT {
            return;
        }
        // SAFETY: GIL; no Python runs while the vector is borrowed.
        let items = unsafe { &mut *self.0.get() };
        member.place().0.set(items.len());
        items.push(member.as_any().as_ptr());
    }

    /// Removes the object; nothing happens if it is not in.
    #[inline]
    pub(crate) fn remove(&self, member: &Inst<T>) {
        let index = member.place().0.replace(ABSENT);
        if index == ABSENT {
            return;
        }
        // SAFETY: as above. The last member takes the free place; it is alive or being
        // deallocated with its state still in place, since it has not been removed.
        unsafe {
            let items = &mut *self.0.get();
            items.swap_remove(index);
            if let Some(&moved) = items.get(index) {
                Inst::<T>::from_ptr(moved).place().0.set(index);
            }
        }
    }

    /// The member at this address, if it is not on its way out.
    pub(crate) fn find(&self, address: usize) -> Option<Own<T>> {
        // SAFETY: as above.
        unsafe {
            let found = (*self.0.get())
                .iter()
                .find(|member| member.addr() == address && ffi::Py_REFCNT(**member) > 0);
            found.map(|&member| Own::from_object(Any::from_ptr(member).own()))
        }
    }

    /// Every member that is not on its way out, with a reference of its own.
    pub(crate) fn snapshot(&self) -> Vec<Own<T>> {
        // SAFETY: as above. A member with a count of zero is being deallocated and is left out.
        unsafe {
            (*self.0.get())
                .iter()
                .filter(|&&member| ffi::Py_REFCNT(member) > 0)
                .map(|&member| Own::from_object(Any::from_ptr(member).own()))
                .collect()
        }
    }
}

/// Calls `function(object)` while `object` is being deallocated, without reviving it.
///
/// For what must be undone before the memory goes, whatever a derived class's `__del__` does.
pub(crate) fn call_while_dying(function: &Any, object: &Any) {
    // SAFETY: the count is zero (CPython is deallocating the object). It is held at one during
    // the call, as CPython does for finalizers, and put back without a second deallocation.
    unsafe {
        debug_assert_eq!(ffi::Py_REFCNT(object.as_ptr()), 0);
        set_refcount(object.as_ptr(), 1);
        let pending = (!ffi::PyErr_Occurred().is_null()).then(super::compat::get_raised_exception);
        if let Err(raised) = function.call1(object) {
            raised.unraisable(Some(function));
        }
        if let Some(pending) = pending {
            super::compat::set_raised_exception(pending);
        }
        set_refcount(object.as_ptr(), 0);
    }
}

/// # Safety
/// The caller owns the object's count.
unsafe fn set_refcount(object: *mut ffi::PyObject, count: i32) {
    // SAFETY: the low half of ob_refcnt is the count on every supported 64-bit Python; the
    // object is ours and not immortal.
    unsafe {
        #[cfg(Py_3_14)]
        object.cast::<u32>().write(count.cast_unsigned());
        #[cfg(not(Py_3_14))]
        object.cast::<isize>().write(count as isize);
    }
}
