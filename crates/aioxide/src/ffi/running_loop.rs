//! Whether somebody has replaced `asyncio.get_running_loop`.
//!
//! asyncio's own functions look it up in `asyncio.events` for each call. Ours call the one in C,
//! and need to know when a library (trio-asyncio) has put another one there. CPython tells who asks
//! for it before it changes a dict (3.12 and later); before, each dict has a number that changes
//! with it. So as long as nobody changes that module, this costs one comparison.

use std::cell::Cell;

use pyo3::ffi;

use super::dispatch::NoArgs;
use super::error::Res;
use super::module::{Global, import};
#[cfg(Py_3_12)]
use super::object::Any;
use super::object::Object;
use super::value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unpatched,
    /// The module has changed since the last look.
    Unknown,
    Patched,
}

struct Shared(Cell<State>);

// SAFETY: only touched under the GIL.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(Cell::new(State::Unknown));

struct Functions {
    /// The dict of `asyncio.events`.
    dict: Object,
    /// `(name, asyncio's function in C)`: `get_running_loop`, `_get_running_loop`.
    originals: [(Object, NoArgs); 2],
    #[cfg(not(Py_3_12))]
    version: Cell<u64>,
}

static FUNCTIONS: Global<Functions> = Global::new();

/// Begins to watch the module.
pub(super) fn initialise() -> Res<()> {
    let events = import("asyncio.events")?;
    let native = import("_asyncio")?;
    let original = |name| -> Res<(Object, NoArgs)> {
        let name = value::interned(name)?;
        let function = native.getattr(&name)?;
        Ok((name, NoArgs::new(function)))
    };
    FUNCTIONS.set(Functions {
        dict: events.getattr(&*value::text("__dict__")?)?,
        originals: [
            original(c"get_running_loop")?,
            original(c"_get_running_loop")?,
        ],
        #[cfg(not(Py_3_12))]
        version: Cell::new(0),
    });
    #[cfg(Py_3_12)]
    watch(&FUNCTIONS.get().dict);
    Ok(())
}

/// Without a free watcher the state stays unknown: each call looks.
#[cfg(Py_3_12)]
fn watch(dict: &Any) {
    // SAFETY: the callback has the type that CPython calls; the dict is one, and kept for ever.
    unsafe {
        let watcher = PyDict_AddWatcher(changed);
        if watcher < 0 || PyDict_Watch(watcher, dict.as_ptr()) < 0 {
            ffi::PyErr_Clear();
            return;
        }
    }
    WATCHED.0.set(true);
}

#[cfg(Py_3_12)]
struct Watched(Cell<bool>);

// SAFETY: as `Shared`.
#[cfg(Py_3_12)]
unsafe impl Sync for Watched {}

#[cfg(Py_3_12)]
static WATCHED: Watched = Watched(Cell::new(false));

// SAFETY: exported by 3.12 and later with these signatures.
#[cfg(Py_3_12)]
unsafe extern "C" {
    fn PyDict_AddWatcher(
        callback: unsafe extern "C" fn(
            std::ffi::c_int,
            *mut ffi::PyObject,
            *mut ffi::PyObject,
            *mut ffi::PyObject,
        ) -> std::ffi::c_int,
    ) -> std::ffi::c_int;
    fn PyDict_Watch(watcher: std::ffi::c_int, dict: *mut ffi::PyObject) -> std::ffi::c_int;
}

/// The module is about to change.
///
/// # Safety
/// CPython calls it, with the GIL held.
#[cfg(Py_3_12)]
unsafe extern "C" fn changed(
    _event: std::ffi::c_int,
    _dict: *mut ffi::PyObject,
    _key: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
) -> std::ffi::c_int {
    STATE.0.set(State::Unknown);
    0
}

/// Whether `asyncio.events` has other functions than asyncio's in C.
#[inline(always)]
fn is_replaced() -> Res<bool> {
    #[cfg(not(Py_3_12))]
    {
        let functions = FUNCTIONS.get();
        // SAFETY: a live dict.
        let version =
            unsafe { (*functions.dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag };
        if version != functions.version.replace(version) {
            STATE.0.set(State::Unknown);
        }
    }
    match STATE.0.get() {
        State::Unpatched => Ok(false),
        State::Patched => Ok(true),
        State::Unknown => look(),
    }
}

#[cold]
fn look() -> Res<bool> {
    let functions = FUNCTIONS.get();
    let mut patched = false;
    for (name, original) in &functions.originals {
        let found = functions.dict.dict_get(name)?;
        patched |= !found.is_some_and(|found| found.is(original.callable()));
    }
    #[cfg(Py_3_12)]
    let known = WATCHED.0.get();
    #[cfg(not(Py_3_12))]
    let known = true;
    if known {
        STATE.0.set(if patched {
            State::Patched
        } else {
            State::Unpatched
        });
    }
    Ok(patched)
}

#[inline]
fn call(index: usize) -> Res<Object> {
    let functions = FUNCTIONS.get();
    let (name, original) = &functions.originals[index];
    if !is_replaced()? {
        return original.call();
    }
    match functions.dict.dict_get(name)? {
        Some(found) => found.call0(),
        None => original.call(),
    }
}

/// `asyncio.get_running_loop()`: RuntimeError if none runs.
#[inline]
pub(crate) fn required() -> Res<Object> {
    call(0)
}

/// `asyncio._get_running_loop()`: `None` if none runs.
#[inline]
pub(crate) fn or_none() -> Res<Object> {
    call(1)
}
