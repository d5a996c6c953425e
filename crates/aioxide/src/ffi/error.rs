//! `Raised`: the exception is where CPython keeps it, on the thread.

use std::collections::TryReserveError;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::ffi;

use super::finalizing::outlive_interpreter;
use super::object::{Any, Object};

/// "A Python exception is set." The error of every function here that calls Python.
#[derive(Debug)]
#[must_use = "an exception is set: return it, take it or discard it"]
pub(crate) struct Raised(());

pub(crate) type Res<T> = Result<T, Raised>;

/// The exception classes that our own code raises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Assertion,
    Attribute,
    Connection,
    ConnectionReset,
    Exception,
    GeneratorExit,
    Memory,
    Overflow,
    NotImplemented,
    Os,
    Recursion,
    Runtime,
    StopAsyncIteration,
    System,
    Type,
    Value,
}

impl Kind {
    fn class(self) -> *mut ffi::PyObject {
        // SAFETY: the exception classes live as long as the interpreter.
        unsafe {
            match self {
                Kind::Assertion => ffi::PyExc_AssertionError,
                Kind::Attribute => ffi::PyExc_AttributeError,
                Kind::Connection => ffi::PyExc_ConnectionError,
                Kind::ConnectionReset => ffi::PyExc_ConnectionResetError,
                Kind::Exception => ffi::PyExc_Exception,
                Kind::GeneratorExit => ffi::PyExc_GeneratorExit,
                Kind::Memory => ffi::PyExc_MemoryError,
                Kind::Overflow => ffi::PyExc_OverflowError,
                Kind::NotImplemented => ffi::PyExc_NotImplementedError,
                Kind::Os => ffi::PyExc_OSError,
                Kind::Recursion => ffi::PyExc_RecursionError,
                Kind::Runtime => ffi::PyExc_RuntimeError,
                Kind::StopAsyncIteration => ffi::PyExc_StopAsyncIteration,
                Kind::System => ffi::PyExc_SystemError,
                Kind::Type => ffi::PyExc_TypeError,
                Kind::Value => ffi::PyExc_ValueError,
            }
        }
    }

    pub(crate) fn as_any(self) -> &'static Any {
        // SAFETY: as in `class`.
        unsafe { Any::from_ptr(self.class()) }
    }
}

impl From<TryReserveError> for Raised {
    /// Raises `MemoryError`, as CPython does where an allocation fails.
    #[cold]
    fn from(_: TryReserveError) -> Raised {
        // SAFETY: the GIL is held; the exception is preallocated by the interpreter.
        unsafe { ffi::PyErr_NoMemory() };
        Raised(())
    }
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

#[allow(
    clippy::unused_self,
    reason = "the value is the proof that an exception is set"
)]
impl Raised {
    /// States that CPython has just set an exception.
    #[inline(always)]
    pub(super) fn set() -> Raised {
        debug_assert!(
            // SAFETY: asks the current thread, which holds the GIL.
            !unsafe { ffi::PyErr_Occurred() }.is_null(),
            "no exception is set"
        );
        Raised(())
    }

    /// A C function's status: negative means "exception set".
    #[inline(always)]
    pub(super) fn check(status: i32) -> Res<()> {
        if status < 0 {
            Err(Raised::set())
        } else {
            Ok(())
        }
    }

    #[inline(always)]
    pub(super) fn check_bool(status: i32) -> Res<bool> {
        if status < 0 {
            Err(Raised::set())
        } else {
            Ok(status != 0)
        }
    }

    /// Raises `kind(message)`.
    #[cold]
    pub(crate) fn new(kind: Kind, message: &str) -> Raised {
        // SAFETY: an exception class and a terminated string, which CPython copies.
        unsafe { ffi::PyErr_SetString(kind.class(), c_text(message).as_ptr()) };
        Raised(())
    }

    #[cold]
    pub(crate) fn type_error(message: &str) -> Raised {
        Raised::new(Kind::Type, message)
    }

    #[cold]
    pub(crate) fn runtime(message: &str) -> Raised {
        Raised::new(Kind::Runtime, message)
    }

    /// Raises `class(message)` for a class that was imported from Python.
    #[cold]
    pub(crate) fn of_class(class: &Any, message: &str) -> Raised {
        // SAFETY: `class` is a live object; CPython itself refuses one that is no exception.
        unsafe { ffi::PyErr_SetString(class.as_ptr(), c_text(message).as_ptr()) };
        Raised(())
    }

    /// Raises the `OSError` subclass for an errno, with its strerror.
    #[cold]
    pub(crate) fn os(error: &std::io::Error) -> Raised {
        let errno = error.raw_os_error().unwrap_or(5);
        // SAFETY: reads the errno that the line before has put there.
        unsafe {
            *errno_location() = errno;
            ffi::PyErr_SetFromErrno(ffi::PyExc_OSError);
        }
        Raised(())
    }

    /// Raises the given exception object.
    pub(crate) fn raise(exception: Object) -> Raised {
        super::compat::set_raised_exception(exception);
        Raised(())
    }

    /// Takes the exception off the thread.
    pub(crate) fn take(self) -> Object {
        super::compat::get_raised_exception()
    }

    /// Forgets the exception.
    pub(crate) fn discard(self) {
        // SAFETY: clears the current thread's indicator.
        unsafe { ffi::PyErr_Clear() }
    }

    /// Whether the exception that is set is an instance of `class`.
    pub(crate) fn matches(&self, class: &Any) -> bool {
        // SAFETY: an exception is set, `class` is alive.
        unsafe { ffi::PyErr_ExceptionMatches(class.as_ptr()) != 0 }
    }

    /// `SystemExit` and `KeyboardInterrupt`: asyncio lets them out of everything.
    pub(crate) fn is_exit(&self) -> bool {
        // SAFETY: an exception is set; the classes live for ever.
        unsafe {
            ffi::PyErr_ExceptionMatches(ffi::PyExc_SystemExit) != 0
                || ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyboardInterrupt) != 0
        }
    }

    /// `BlockingIOError` and `InterruptedError`: the system call is to be made again later.
    pub(crate) fn is_not_ready(&self) -> bool {
        // SAFETY: an exception is set; the classes live for ever.
        unsafe {
            ffi::PyErr_ExceptionMatches(ffi::PyExc_BlockingIOError) != 0
                || ffi::PyErr_ExceptionMatches(ffi::PyExc_InterruptedError) != 0
        }
    }

    /// Reports the exception through `sys.unraisablehook`: for places that cannot raise.
    pub(crate) fn unraisable(self, whose: Option<&Any>) {
        // SAFETY: an exception is set; `whose` is NULL or alive.
        unsafe {
            ffi::PyErr_WriteUnraisable(whose.map_or(std::ptr::null_mut(), Any::as_ptr));
        }
    }
}

/// `SystemExit` or `KeyboardInterrupt`, as an exception object.
pub(crate) fn is_exit_exception(exception: &Any) -> bool {
    // SAFETY: classes that live for ever, an object that is alive.
    unsafe {
        ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_SystemExit) != 0
            || ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_KeyboardInterrupt)
                != 0
    }
}

pub(crate) fn is_exception_class(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyExceptionClass_Check(object.as_ptr()) != 0 }
}

pub(crate) fn is_exception(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyExceptionInstance_Check(object.as_ptr()) != 0 }
}

pub(crate) fn stop_iteration_class() -> &'static Any {
    // SAFETY: lives for ever.
    unsafe { Any::from_ptr(ffi::PyExc_StopIteration) }
}

/// Runs Python's signal handlers if a signal came; their exception is ours.
pub(crate) fn check_signals() -> Res<()> {
    // SAFETY: the GIL is held.
    Raised::check(unsafe { ffi::PyErr_CheckSignals() })
}

/// Issues a `ResourceWarning` or the like; an exception if warnings are errors.
pub(crate) fn warn(class: WarningKind, message: &str, stack_level: isize) -> Res<()> {
    // SAFETY: warning classes live for ever, the message is copied.
    Raised::check(unsafe {
        let class = match class {
            WarningKind::Deprecation => ffi::PyExc_DeprecationWarning,
            WarningKind::Runtime => ffi::PyExc_RuntimeWarning,
        };
        ffi::PyErr_WarnEx(class, c_text(message).as_ptr(), stack_level)
    })
}

/// Warns that `source` was not closed; an exception if warnings are errors.
pub(crate) fn resource_warning(source: &Any, message: &str) -> Res<()> {
    let message = c_text(message);
    // SAFETY: a live object, and a format whose only argument is a terminated string.
    Raised::check(unsafe {
        ffi::PyErr_ResourceWarning(source.as_ptr(), 1, c"%s".as_ptr(), message.as_ptr())
    })
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum WarningKind {
    Deprecation,
    #[allow(
        dead_code,
        reason = "asyncio's other warning class, for the transports"
    )]
    Runtime,
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown");
    format!("aioxide: internal error (please report it): {text}")
}

/// Runs a function that C called. A panic becomes `SystemError`, an error becomes `failure`.
#[inline(always)]
pub(super) fn guard<R>(failure: R, body: impl FnOnce() -> Res<R>) -> R {
    outlive_interpreter();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(Raised(()))) => failure,
        Err(payload) => {
            let _ = Raised::new(Kind::System, &panic_text(&*payload));
            failure
        }
    }
}

/// As [`guard`], where C has no way to be told: the panic is reported as unraisable.
#[inline(always)]
pub(super) fn guard_void(body: impl FnOnce()) {
    outlive_interpreter();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        Raised::new(Kind::System, &panic_text(&*payload)).unraisable(None);
    }
}

// SAFETY: the C library's `errno`, under the name that glibc and musl give its address.
unsafe extern "C" {
    #[link_name = "__errno_location"]
    fn errno_location() -> *mut i32;
}
