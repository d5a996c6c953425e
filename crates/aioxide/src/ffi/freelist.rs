//! Dead objects kept for the next of their kind: an allocation becomes a pop.

use std::cell::UnsafeCell;

use pyo3::ffi;

/// A bounded stack of dead objects of one exact type: untracked, their state dropped, their
/// reference count zero.
pub(super) struct FreeList {
    items: UnsafeCell<Vec<*mut ffi::PyObject>>,
    most: usize,
}

// SAFETY: only touched under the GIL (rule 1 of `ffi`).
unsafe impl Sync for FreeList {}

impl FreeList {
    pub(super) const fn new(most: usize) -> Self {
        FreeList {
            items: UnsafeCell::new(Vec::new()),
            most,
        }
    }

    #[inline(always)]
    pub(super) fn pop(&self) -> Option<*mut ffi::PyObject> {
        // SAFETY: GIL; no code runs while the vector is borrowed.
        unsafe { (*self.items.get()).pop() }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        // SAFETY: as in `pop`.
        unsafe { (*self.items.get()).len() }
    }

    /// Keeps the object if there is room; else the caller frees it.
    #[inline(always)]
    pub(super) fn push(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: as above.
        let items = unsafe { &mut *self.items.get() };
        // A destructor has nobody to tell that memory is short.
        if items.len() >= self.most || items.try_reserve(1).is_err() {
            return false;
        }
        items.push(object);
        true
    }
}
