//! Audit events: what the standard library raises where we take its place.

use std::ffi::{c_char, c_int};

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::Any;

// SAFETY: part of CPython's API, with this signature.
unsafe extern "C" {
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// `socket.getaddrinfo`, with host, port, family, type and protocol: CPython leaves the flags
/// out.
#[inline]
pub(crate) fn getaddrinfo(host: &Any, port: &Any, numbers: [c_int; 3]) -> Res<()> {
    let [family, kind, protocol] = numbers;
    let (host, port): (*mut ffi::PyObject, *mut ffi::PyObject) = (host.as_ptr(), port.as_ptr());
    // SAFETY: the format says two live objects, whose counts it raises itself, and three ints.
    Raised::check(unsafe {
        PySys_Audit(
            c"socket.getaddrinfo".as_ptr(),
            c"OOiii".as_ptr(),
            host,
            port,
            family,
            kind,
            protocol,
        )
    })
}

/// `socket.getnameinfo`, with the address.
pub(crate) fn getnameinfo(address: &Any) -> Res<()> {
    // SAFETY: the format says one live object. It stands in parentheses, since it may be a tuple.
    Raised::check(unsafe {
        PySys_Audit(
            c"socket.getnameinfo".as_ptr(),
            c"(O)".as_ptr(),
            address.as_ptr(),
        )
    })
}
