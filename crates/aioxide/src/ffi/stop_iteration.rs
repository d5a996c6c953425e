//! One `StopIteration` for every awaited value, instead of one each.
//!
//! A coroutine that awaits a future gets a value other than `None` as a `StopIteration`, which the
//! interpreter takes apart at once. Making that exception is a third of what such an await
//! costs. So while one of our loops runs, one exception object is kept, filled, and used
//! again if nobody else holds it. What it was filled with is dropped when the callback or step is
//! over (`forget`), so that a result lives no longer than it would have.
//!
//! From Python 3.12 on, where the thread's exception is one object.

use std::cell::Cell;

use pyo3::ffi;

use super::object::Object;

struct Spare {
    exception: Cell<*mut ffi::PyStopIterationObject>,
    /// How many loops are running.
    loops: Cell<usize>,
    /// It holds a value that nobody needs any more.
    stale: Cell<bool>,
}

// SAFETY: only touched under the GIL.
unsafe impl Sync for Spare {}

static SPARE: Spare = Spare {
    exception: Cell::new(std::ptr::null_mut()),
    loops: Cell::new(0),
    stale: Cell::new(false),
};

/// A loop begins to run: the spare exception may be used until the guard is dropped.
#[derive(Debug)]
pub(crate) struct Running(());

impl Running {
    pub(crate) fn begin() -> Running {
        SPARE.loops.set(SPARE.loops.get() + 1);
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        SPARE.loops.set(SPARE.loops.get() - 1);
        forget();
    }
}

/// Raises the spare `StopIteration` with this value; gives the value back if it cannot.
#[cfg(Py_3_12)]
#[inline]
pub(super) fn raise(value: Object) -> Result<(), Object> {
    if SPARE.loops.get() == 0 || is_large(&value) {
        return Err(value);
    }
    let mut spare = SPARE.exception.get();
    if spare.is_null() {
        spare = make();
        if spare.is_null() {
            return Err(value);
        }
    }
    // SAFETY: a live StopIteration that only we hold, with nothing attached to it by whoever
    // caught it before; its one field is replaced, the old value dropped after that.
    unsafe {
        if ffi::Py_REFCNT(spare.cast()) != 1
            || !(*spare).traceback.is_null()
            || !(*spare).context.is_null()
            || !(*spare).cause.is_null()
            || !(*spare).notes.is_null()
            || !(*spare).dict.is_null()
        {
            return Err(value);
        }
        let old = std::mem::replace(&mut (*spare).value, value.into_ptr());
        SPARE.stale.set(true);
        ffi::Py_INCREF(spare.cast());
        ffi::PyErr_SetRaisedException(spare.cast());
        ffi::Py_XDECREF(old);
    }
    Ok(())
}

#[cfg(not(Py_3_12))]
#[inline]
pub(super) fn raise(value: Object) -> Result<(), Object> {
    Err(value)
}

/// A block that ought to go when its user lets go of it: a loop over large reads that holds on to one of them until
/// the next has come makes malloc give memory back to the kernel, and fault it in again, each time.
#[cfg(Py_3_12)]
#[inline]
fn is_large(value: &Object) -> bool {
    const LARGE: ffi::Py_ssize_t = 64 * 1024;
    // SAFETY: a live object; bytes are variable-sized.
    unsafe { ffi::PyBytes_CheckExact(value.as_ptr()) != 0 && ffi::Py_SIZE(value.as_ptr()) >= LARGE }
}

#[cfg(Py_3_12)]
#[cold]
fn make() -> *mut ffi::PyStopIterationObject {
    // SAFETY: calls the class; a failure is cleared, since the caller has another way.
    unsafe {
        let exception = ffi::PyObject_CallNoArgs(ffi::PyExc_StopIteration);
        if exception.is_null() {
            ffi::PyErr_Clear();
        }
        SPARE.exception.set(exception.cast());
        exception.cast()
    }
}

/// Drops the value of the last use.
#[inline(always)]
pub(crate) fn forget() {
    if SPARE.stale.get() {
        forget_value();
    }
}

#[inline(never)]
fn forget_value() {
    SPARE.stale.set(false);
    let spare = SPARE.exception.get();
    // SAFETY: as in `raise`. One that somebody else holds is left to them, and a new one made.
    unsafe {
        if ffi::Py_REFCNT(spare.cast()) != 1 || !(*spare).traceback.is_null() {
            SPARE.exception.set(std::ptr::null_mut());
            ffi::Py_DECREF(spare.cast());
            return;
        }
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        let old = std::mem::replace(&mut (*spare).value, none);
        ffi::Py_XDECREF(old);
    }
}
