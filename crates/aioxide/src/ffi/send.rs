//! Resuming a coroutine, and answering one that resumes us.

use pyo3::ffi;

use super::call::Args;
use super::compat;
use super::error::{Raised, Res, WarningKind, is_exception, is_exception_class, warn};
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
    sent(coro.call_method1(&super::module::names().throw, exception))
}

/// What a call of a generator's method has done.
fn sent(outcome: Res<Object>) -> Res<Sent> {
    match outcome {
        Ok(yielded) => Ok(Sent::Yielded(yielded)),
        Err(raised) => stop_iteration_value(raised).map(Sent::Returned),
    }
}

/// As [`throw`], for the iterator of any awaitable: one without `throw` lets the exception pass.
pub(crate) fn throw_into(iterator: &Any, exception: &Any) -> Res<Sent> {
    let names = super::module::names();
    let Some(method) = iterator.getattr_opt(&names.throw)? else {
        return Err(Raised::raise(exception.own()));
    };
    sent(method.call1(exception))
}

/// What `await awaitable` iterates over.
pub(crate) fn awaitable_iterator(awaitable: &Any) -> Res<Object> {
    // SAFETY: reads the slots of a live object's type; `am_await` gives a new reference or NULL.
    unsafe {
        if ffi::PyCoro_CheckExact(awaitable.as_ptr()) != 0 {
            if !awaitable
                .getattr(&super::module::names().cr_await)?
                .is_none()
            {
                return Err(Raised::runtime("coroutine is being awaited already"));
            }
            return Ok(awaitable.own());
        }
        let slots = (*ffi::Py_TYPE(awaitable.as_ptr())).tp_as_async;
        if !slots.is_null()
            && let Some(am_await) = (*slots).am_await
        {
            let iterator = Object::from_new(am_await(awaitable.as_ptr()))?;
            if ffi::PyIter_Check(iterator.as_ptr()) != 0
                && ffi::PyCoro_CheckExact(iterator.as_ptr()) == 0
                && !(iterator.is_generator() && is_generator_coroutine(&iterator)?)
            {
                return Ok(iterator);
            }
            return Err(refused(awaitable));
        }
    }
    if awaitable.is_generator() && is_generator_coroutine(awaitable)? {
        return Ok(awaitable.own());
    }
    Err(refused(awaitable))
}

/// The exception that the interpreter raises for `await awaitable`, in the words of its version.
#[cold]
fn refused(awaitable: &Any) -> Raised {
    let awaited = super::module::import("aioxide._functions")
        .and_then(|functions| functions.getattr(&*super::value::text("await_once")?))
        .and_then(|await_once| await_once.call1(awaitable))
        .and_then(|coroutine| send_none(&coroutine));
    match awaited {
        Ok(_) => Raised::type_error("an object that cannot be awaited was awaited"),
        Err(raised) => {
            let exception = raised.take();
            compat::set_traceback(&exception, None);
            Raised::raise(exception)
        }
    }
}

/// Whether a generator was made by a function that `types.coroutine` has marked.
#[cold]
fn is_generator_coroutine(generator: &Any) -> Res<bool> {
    const CO_ITERABLE_COROUTINE: i64 = 0x100;
    let code = generator.getattr(&*super::value::text("gi_code")?)?;
    let flags = code.getattr(&*super::value::text("co_flags")?)?.to_i64()?;
    Ok(flags & CO_ITERABLE_COROUTINE != 0)
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
pub(super) fn finish_iteration(value: &Any) -> *mut ffi::PyObject {
    if !value.is_none() {
        set_stop_iteration(value);
    }
    std::ptr::null_mut()
}

/// [`finish_iteration`] for `await`, whose exception only the interpreter sees.
#[inline]
pub(super) fn finish_await(value: Object) -> *mut ffi::PyObject {
    if !value.is_none()
        && let Err(value) = super::stop_iteration::raise(value)
    {
        set_stop_iteration(&value);
    }
    std::ptr::null_mut()
}

/// Sets `StopIteration(value)`, made as an instance at once when the value is a tuple or an
/// exception, which CPython's lazy form would unpack.
pub(super) fn set_stop_iteration(value: &Any) {
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
pub(crate) fn stop_iteration(value: &Any) -> Raised {
    set_stop_iteration(value);
    Raised::set()
}

/// The exception that a call of `throw(exception)` means, or, deprecated, one of
/// `throw(type, value, traceback)`.
pub(crate) fn thrown_exception(args: &Args<'_>) -> Res<Object> {
    let (&[class, ..], true) = (args.positional, args.names.is_empty()) else {
        return Err(Raised::type_error(
            "throw expected at least 1 argument, got 0",
        ));
    };
    if args.positional.len() > 3 {
        return Err(Raised::type_error("throw expected at most 3 arguments"));
    }
    if args.positional.len() > 1 && super::module::imports().version >= (3, 12) {
        warn(
            WarningKind::Deprecation,
            "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature \
             instead.",
            1,
        )?;
    }
    let given = |index: usize| {
        args.positional
            .get(index)
            .copied()
            .filter(|arg| !arg.is_none())
    };
    let exception = if is_exception_class(class) {
        match given(1) {
            Some(instance) if is_exception(instance) => instance.own(),
            Some(argument) if argument.is_tuple() => class.call_tuple(argument)?,
            Some(argument) => class.call1(argument)?,
            None => class.call0()?,
        }
    } else if is_exception(class) {
        if given(1).is_some() {
            return Err(Raised::type_error(
                "instance exception may not have a separate value",
            ));
        }
        class.own()
    } else {
        return Err(Raised::type_error(
            "exceptions must be classes deriving BaseException or instances of such a class",
        ));
    };
    if let Some(traceback) = given(2) {
        if !compat::is_traceback(traceback) {
            return Err(Raised::type_error(
                "throw() third argument must be a traceback",
            ));
        }
        compat::set_traceback(&exception, Some(traceback));
    }
    Ok(exception)
}
