//! Limits on native recursion: an error before the stack ends, and deallocation that stays shallow.
//!
//! Python limits the depth of Python frames, and up to 3.13 counts C calls without knowing how
//! large the stack is. Native code that calls itself through Python objects (a coroutine that
//! awaits a coroutine, a task that cancels a foreign awaitable, the deallocation of a chain) uses
//! stack that neither limit covers, so it is measured here.

use std::cell::{Cell, UnsafeCell};

use pyo3::ffi;

use super::error::{Kind, Raised, Res};

/// Bytes that [`check`] leaves for CPython and for native code between two checks. A smaller stack
/// keeps a quarter.
const MARGIN: usize = 128 * 1024;

/// The lowest address of the stack and the size of its reserved part; size 1 where unknown, which
/// no address falls into.
#[derive(Clone, Copy)]
struct Reserve {
    lowest: usize,
    size: usize,
}

thread_local! {
    static RESERVE: Cell<Reserve> = const { Cell::new(Reserve { lowest: 0, size: 0 }) };
    static DEALLOCATION: Deallocation = const {
        Deallocation {
            depth: Cell::new(0),
            deferred: UnsafeCell::new(Vec::new()),
        }
    };
}

/// The address of a local variable, which is close to the stack pointer.
#[inline(always)]
fn here() -> usize {
    let local = 0_u8;
    (&raw const local).addr()
}

/// Whether an address lies in the margin of this thread's stack, as far as it is known.
#[inline(always)]
fn is_in_margin(address: usize) -> bool {
    let reserve = RESERVE.get();
    reserve.size > 1 && address.wrapping_sub(reserve.lowest) < reserve.size
}

/// Raises `RecursionError` if less than the margin is left of this thread's stack.
#[inline]
pub(crate) fn check() -> Res<()> {
    let reserve = RESERVE.get();
    if here().wrapping_sub(reserve.lowest) >= reserve.size && reserve.size > 0 {
        return Ok(());
    }
    check_slowly(reserve)
}

#[cold]
fn check_slowly(known: Reserve) -> Res<()> {
    if known.size == 0 {
        let reserve = match aioxide_driver::stack::bounds() {
            Some((lowest, size)) => Reserve {
                lowest,
                size: MARGIN.min(size / 4),
            },
            None => Reserve { lowest: 0, size: 1 },
        };
        RESERVE.set(reserve);
        return check();
    }
    Err(too_deep())
}

/// Python's own `RecursionError`.
#[cold]
pub(crate) fn too_deep() -> Raised {
    Raised::new(
        Kind::Recursion,
        "maximum recursion depth exceeded while calling a Python object",
    )
}

/// Deallocations of one thread that have left the first stretch of stack.
struct Deallocation {
    depth: Cell<usize>,
    deferred: UnsafeCell<Vec<Deferred>>,
}

/// A dead object, and the function that frees it.
struct Deferred {
    object: *mut ffi::PyObject,
    free: unsafe fn(*mut ffi::PyObject),
    tracked: bool,
}

/// Bytes of stack in which deallocations nest without being counted.
const NEAR: usize = 32 * 1024;
/// Nested deallocations beyond that; deeper ones are deferred. In a build without optimisation one
/// level takes 2 to 4 KiB, most of it CPython's.
const DEEP: usize = 12;

/// Where the outermost deallocation of some thread began; 0 outside. A thread that finds another
/// thread's address is far away from it, and counts.
struct Outermost(Cell<usize>);

// SAFETY: only touched under the GIL.
unsafe impl Sync for Outermost {}

static OUTERMOST: Outermost = Outermost(Cell::new(0));

/// Runs `free(object)`, or defers it until the deallocations that it is nested in have ended.
///
/// A chain of objects that own each other is so freed on a bounded stack. CPython's own deallocators
/// do the same for containers, up to 3.13 not for objects of extension modules.
///
/// # Safety
/// CPython is deallocating `object`, which `free` finishes, exactly once and on this thread.
#[inline(always)]
pub(super) unsafe fn deallocate(object: *mut ffi::PyObject, free: unsafe fn(*mut ffi::PyObject)) {
    let here = here();
    let outermost = OUTERMOST.0.get();
    if outermost == 0 {
        OUTERMOST.0.set(here);
        // SAFETY: as the caller says.
        unsafe { free(object) };
        OUTERMOST.0.set(0);
    } else if outermost.wrapping_sub(here) < NEAR && !is_in_margin(here) {
        // SAFETY: as above.
        unsafe { free(object) };
    } else {
        // SAFETY: as above.
        unsafe { deallocate_deep(object, free) };
    }
}

/// # Safety
/// As for [`deallocate`].
#[cold]
#[inline(never)]
unsafe fn deallocate_deep(object: *mut ffi::PyObject, free: unsafe fn(*mut ffi::PyObject)) {
    DEALLOCATION.with(|state| {
        let depth = state.depth.get();
        let most = if is_in_margin(here()) { 1 } else { DEEP };
        if depth >= most && state.defer(object, free) {
            return;
        }
        state.depth.set(depth + 1);
        // SAFETY: as the caller says.
        unsafe { free(object) };
        // The level that objects were deferred below frees them, as soon as its own is done; the first
        // one what the margin has left.
        if depth + 1 == DEEP || depth == 0 {
            state.free_deferred();
        }
        state.depth.set(depth);
    });
}

impl Deallocation {
    /// Keeps a dead object for later; `false` if there is no memory to note it.
    fn defer(&self, object: *mut ffi::PyObject, free: unsafe fn(*mut ffi::PyObject)) -> bool {
        // SAFETY: this thread's own, and no other code runs while it is borrowed. The object is
        // dead with its state in place; the collector may not see it with a count of zero.
        unsafe {
            let deferred = &mut *self.deferred.get();
            if deferred.try_reserve(1).is_err() {
                return false;
            }
            let tracked = ffi::PyObject_GC_IsTracked(object) != 0;
            if tracked {
                ffi::PyObject_GC_UnTrack(object.cast());
            }
            deferred.push(Deferred {
                object,
                free,
                tracked,
            });
        }
        true
    }

    /// Frees deferred objects until none is left; those that they own come into the same list.
    fn free_deferred(&self) {
        // SAFETY: the vector is borrowed for the `pop` only; each object is freed once.
        while let Some(next) = unsafe { (*self.deferred.get()).pop() } {
            // SAFETY: as CPython handed it to its deallocator: tracked, if it was.
            unsafe {
                if next.tracked {
                    ffi::PyObject_GC_Track(next.object.cast());
                }
                (next.free)(next.object);
            }
        }
    }
}
