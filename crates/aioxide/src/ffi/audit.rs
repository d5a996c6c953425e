//! Audit events: what the standard library raises where we take its place, and the events by which we
//! hear that control is about to leave the loop.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;

use super::error::{Raised, Res, guard};
use super::object::Any;

type Hook = unsafe extern "C" fn(*const c_char, *mut ffi::PyObject, *mut c_void) -> c_int;

// SAFETY: part of CPython's API, with these signatures.
unsafe extern "C" {
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
    fn PySys_AddAuditHook(hook: Hook, data: *mut c_void) -> c_int;
}

/// Events before which a program can no longer tell the end of the iteration from never: another
/// program or thread starts, a signal is sent, the thread waits or talks to somebody else.
const DEPARTURES: [&CStr; 20] = [
    c"_thread.start_joinable_thread",
    c"_thread.start_new_thread",
    c"fcntl.flock",
    c"fcntl.lockf",
    c"os.exec",
    c"os.fork",
    c"os.forkpty",
    c"os.kill",
    c"os.killpg",
    c"os.posix_spawn",
    c"os.spawn",
    c"os.system",
    c"pty.spawn",
    c"signal.pthread_kill",
    c"socket.connect",
    c"socket.getaddrinfo",
    c"socket.sendmsg",
    c"socket.sendto",
    c"subprocess.Popen",
    c"time.sleep",
];

/// What this thread wants to hear of its departures.
#[derive(Clone, Copy)]
struct Listener {
    object: *mut ffi::PyObject,
    interpreter: *mut ffi::PyInterpreterState,
    told: fn(&Any) -> Res<()>,
}

thread_local! {
    static LISTENER: Cell<Option<Listener>> = const { Cell::new(None) };
}

/// Calls `told(object)` before each departure from this thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Departures<'a> {
    previous: Option<Listener>,
    object: std::marker::PhantomData<&'a Any>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl<'a> Departures<'a> {
    pub(crate) fn listen(object: &'a Any, told: fn(&Any) -> Res<()>) -> Departures<'a> {
        add_hook();
        let listener = Listener {
            object: object.as_ptr(),
            // SAFETY: the GIL is held, so there is a current interpreter.
            interpreter: unsafe { ffi::PyInterpreterState_Get() },
            told,
        };
        Departures {
            previous: LISTENER.replace(Some(listener)),
            object: std::marker::PhantomData,
        }
    }
}

impl Drop for Departures<'_> {
    fn drop(&mut self) {
        LISTENER.set(self.previous);
    }
}

/// Once in the process: CPython keeps a hook for ever. Another hook may refuse it.
fn add_hook() {
    struct Added(Cell<bool>);
    // SAFETY: only touched under the GIL.
    unsafe impl Sync for Added {}
    static ADDED: Added = Added(Cell::new(false));
    if !ADDED.0.replace(true) {
        // SAFETY: the hook is a function, which lives for ever.
        if Raised::check(unsafe { PySys_AddAuditHook(on_event, ptr::null_mut()) }).is_err() {
            Raised::set().discard();
        }
    }
}

/// # Safety
/// CPython's contract for audit hooks: called by the thread that raises the event, which holds the GIL
/// of its current interpreter; `event` is a C string.
unsafe extern "C" fn on_event(
    event: *const c_char,
    _args: *mut ffi::PyObject,
    _data: *mut c_void,
) -> c_int {
    let Ok(Some(listener)) = LISTENER.try_with(Cell::get) else {
        return 0;
    };
    // SAFETY: see above.
    let is_departure = DEPARTURES.contains(&unsafe { CStr::from_ptr(event) });
    // A subinterpreter that runs in this thread has a GIL of its own.
    // SAFETY: see above.
    if !is_departure || unsafe { ffi::PyInterpreterState_Get() } != listener.interpreter {
        return 0;
    }
    // SAFETY: whoever listens borrows the object as long as the listener is there.
    let object = unsafe { Any::from_ptr(listener.object) };
    guard(-1, || (listener.told)(object).map(|()| 0))
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
