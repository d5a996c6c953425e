//! What differs between the Pythons, as far as it concerns exceptions and objects.

use pyo3::ffi;

use super::object::{Any, Object};

/// Takes the current exception off the thread, normalised and with its traceback.
pub(super) fn get_raised_exception() -> Object {
    #[cfg(Py_3_12)]
    // SAFETY: called with an exception set, so it returns a new reference.
    unsafe {
        Object::from_owned(ffi::PyErr_GetRaisedException())
    }
    #[cfg(not(Py_3_12))]
    // SAFETY: the three pointers are new references or NULL; normalising makes `value` an
    // instance.
    unsafe {
        let (mut class, mut value, mut traceback) = (
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
        ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
        if !traceback.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
            ffi::Py_DECREF(traceback);
        }
        ffi::Py_XDECREF(class);
        Object::from_owned(value)
    }
}

/// Sets `exception` as the thread's current one, with its own traceback.
pub(super) fn set_raised_exception(exception: Object) {
    #[cfg(Py_3_12)]
    // SAFETY: steals the reference.
    unsafe {
        ffi::PyErr_SetRaisedException(exception.into_ptr());
    }
    #[cfg(not(Py_3_12))]
    // SAFETY: PyErr_Restore steals all three references.
    unsafe {
        let value = exception.into_ptr();
        let class = ffi::Py_TYPE(value).cast::<ffi::PyObject>();
        ffi::Py_INCREF(class);
        ffi::PyErr_Restore(class, value, ffi::PyException_GetTraceback(value));
    }
}

pub(crate) fn traceback_of(exception: &Any) -> Option<Object> {
    // SAFETY: called with exception instances only; a new reference or NULL.
    unsafe {
        let traceback = ffi::PyException_GetTraceback(exception.as_ptr());
        (!traceback.is_null()).then(|| Object::from_owned(traceback))
    }
}

/// Sets `exception.__traceback__`; `None` clears it.
pub(crate) fn set_traceback(exception: &Any, traceback: Option<&Any>) {
    // SAFETY: an exception instance and a traceback that came from one, or None.
    unsafe {
        let value = traceback.map_or_else(|| ffi::Py_None(), Any::as_ptr);
        ffi::PyException_SetTraceback(exception.as_ptr(), value);
    }
}

pub(crate) fn is_traceback(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyTraceBack_Check(object.as_ptr()) != 0 }
}

/// Sets `exception.__cause__` and `__context__`.
pub(crate) fn set_cause(exception: &Any, cause: &Any) {
    // SAFETY: both setters steal a reference.
    unsafe {
        ffi::PyException_SetCause(exception.as_ptr(), cause.own().into_ptr());
        ffi::PyException_SetContext(exception.as_ptr(), cause.own().into_ptr());
    }
}

/// Sets `exception.__context__`: what was being handled when it was raised.
pub(crate) fn set_context(exception: &Any, context: &Any) {
    // SAFETY: the setter steals a reference; both are exception instances.
    unsafe { ffi::PyException_SetContext(exception.as_ptr(), context.own().into_ptr()) }
}

pub(crate) fn is_finalizing() -> bool {
    #[cfg(Py_3_13)]
    // SAFETY: a plain question.
    unsafe {
        ffi::Py_IsFinalizing() != 0
    }
    #[cfg(not(Py_3_13))]
    // SAFETY: exported by 3.11 and 3.12 under this name.
    unsafe {
        _Py_IsFinalizing() != 0
    }
}

// SAFETY: exported by 3.11 and 3.12 with this signature.
#[cfg(not(Py_3_13))]
unsafe extern "C" {
    fn _Py_IsFinalizing() -> std::ffi::c_int;
}
