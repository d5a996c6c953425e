//! Showing references to the garbage collector.

use std::ffi::{c_int, c_void};
use std::fmt;

use pyo3::ffi;

use super::instance::Own;
use super::native_type::Native;
use super::object::Any;

/// The garbage collector's visitor.
pub(crate) struct Visit {
    function: ffi::visitproc,
    arg: *mut c_void,
    result: c_int,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}

impl Visit {
    pub(super) fn new(function: ffi::visitproc, arg: *mut c_void) -> Visit {
        Visit {
            function,
            arg,
            result: 0,
        }
    }

    /// What the collector is told: not zero to stop.
    pub(super) fn result(&self) -> c_int {
        self.result
    }

    /// Shows one reference that the object being traversed owns.
    pub(crate) fn object(&mut self, object: &Any) {
        if self.result == 0 {
            // SAFETY: a live object and the collector's own function and argument.
            self.result = unsafe { (self.function)(object.as_ptr(), self.arg) };
        }
    }

    pub(crate) fn native<T: Native>(&mut self, object: &Own<T>) {
        self.object(object.as_any());
    }

    /// Shows what an untracked object holds, as if it were ours: right where we hold the only
    /// reference to it.
    pub(crate) fn through<T: Native>(&mut self, object: &Own<T>) {
        if object.as_any().refcount() == 1 && object.is_exact() && !T::TRACKED {
            let state: &T = object;
            state.traverse(self);
        } else {
            self.object(object.as_any());
        }
    }
}
