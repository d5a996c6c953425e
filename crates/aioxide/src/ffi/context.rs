//! `contextvars.Context`: copy, enter, leave.

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};

/// A copy of the current context, as `contextvars.copy_context()`.
#[inline]
pub(crate) fn copy_current() -> Res<Object> {
    // SAFETY: returns a new reference or NULL.
    unsafe { Object::from_new(ffi::PyContext_CopyCurrent()) }
}

/// A copy of `context`, as `context.copy()`.
pub(crate) fn copy_of(context: &Any) -> Res<Object> {
    // SAFETY: CPython checks the type itself; a new reference or NULL.
    unsafe { Object::from_new(ffi::PyContext_Copy(context.as_ptr())) }
}

pub(crate) fn is_context(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// Runs `body` inside `context`, as `context.run` does.
///
/// Fails before running `body` if `context` is no context, or one that is entered already.
#[inline]
pub(crate) fn run<R>(context: &Any, body: impl FnOnce() -> Res<R>) -> Res<Res<R>> {
    // SAFETY: CPython checks the type itself and sets TypeError or RuntimeError.
    Raised::check(unsafe { ffi::PyContext_Enter(context.as_ptr()) })?;
    let result = body();
    if result.is_ok() {
        // SAFETY: entered above, and everything entered inside has been left.
        Raised::check(unsafe { ffi::PyContext_Exit(context.as_ptr()) })?;
    } else {
        leave_with_exception(context);
    }
    Ok(result)
}

/// `PyContext_Exit` may not run with an exception set that it would replace.
#[cold]
fn leave_with_exception(context: &Any) {
    let exception = Raised::set().take();
    // SAFETY: as in `run`.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        Raised::set().discard();
    }
    let _ = Raised::raise(exception);
}
