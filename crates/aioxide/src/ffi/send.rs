//! Resuming a coroutine, and answering one that resumes us.

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};

/// What a coroutine did when it was resumed.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It yielded an object: usually the future that it waits for.
    Yielded(Object),
    /// It returned.
    Returned(Object),
}

/// `coro.send(None)`.
#[inline(always)]
pub(crate) fn send_none(coro: &Any) -> Res<Sent> {
    let mut result = std::ptr::null_mut();
    // SAFETY: `coro` is alive; `result` gets a new reference unless an error is reported.
    unsafe {
        match ffi::PyIter_Send(coro.as_ptr(), ffi::Py_None(), &raw mut result) {
            ffi::PySendResult::PYGEN_NEXT => Ok(Sent::Yielded(Object::from_owned(result))),
            ffi::PySendResult::PYGEN_RETURN => Ok(Sent::Returned(Object::from_owned(result))),
            ffi::PySendResult::PYGEN_ERROR => Err(Raised::set()),
        }
    }
}

/// `coro.throw(exception)`.
pub(crate) fn throw(coro: &Any, exception: &Any) -> Res<Sent> {
    match coro.call_method1(&super::module::names().throw, exception) {
        Ok(yielded) => Ok(Sent::Yielded(yielded)),
        Err(raised) => match stop_iteration_value(raised) {
            Ok(value) => Ok(Sent::Returned(value)),
            Err(raised) => Err(raised),
        },
    }
}

/// The value of a `StopIteration` that is set; any other exception stays.
pub(crate) fn stop_iteration_value(raised: Raised) -> Res<Object> {
    if !raised.matches(super::error::stop_iteration_class()) {
        return Err(raised);
    }
    raised.take().getattr(&super::module::names().value)
}

/// How an awaitable that is resumed through `tp_iternext` or `am_send` answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Suspend: hand this object to the task.
    Yield(Object),
    /// Finished with this value.
    Return(Object),
}

/// Ends `tp_iternext` with a value: NULL without an exception for `None`, which CPython takes as
/// "returned None", and `StopIteration(value)` otherwise.
#[inline]
pub(super) fn finish_iteration(value: Object) -> *mut ffi::PyObject {
    if !value.is_none() {
        set_stop_iteration(value);
    }
    std::ptr::null_mut()
}

/// Sets `StopIteration(value)`, made as an instance at once when the value is a tuple or an
/// exception, which CPython's lazy form would unpack.
pub(super) fn set_stop_iteration(value: Object) {
    // SAFETY: PyErr_SetObject takes its own references; the call gets one live argument.
    unsafe {
        if ffi::PyTuple_Check(value.as_ptr()) == 0
            && ffi::PyExceptionInstance_Check(value.as_ptr()) == 0
        {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr());
            return;
        }
        let exception = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, value.as_ptr());
        if !exception.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, exception);
            ffi::Py_DECREF(exception);
        }
    }
}

/// Raises `StopIteration(value)`.
pub(crate) fn stop_iteration(value: Object) -> Raised {
    set_stop_iteration(value);
    Raised::set()
}
