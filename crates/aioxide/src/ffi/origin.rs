//! `sys.set_coroutine_origin_tracking_depth`, as a native coroutine function reads it.
//!
//! CPython keeps the depth in the thread state, in a field that has no accessor in C. The field is
//! found at import: the depth is set to two unusual numbers in turn, and the one word that follows
//! both is the field. If it is not found, native coroutines record no origin.

use std::cell::Cell;

use pyo3::ffi;

use super::error::Res;
use super::module::import;
use super::value;

/// How far into the thread state the search goes, in bytes. The smallest `PyThreadState`, that of
/// Python 3.13, has 304.
const SEARCHED: usize = 256;
const PROBES: [i32; 2] = [0x3579_0bdf, 0x2468_ace1];

struct Found(Cell<Option<usize>>);

// SAFETY: written once, at import; read under the GIL.
unsafe impl Sync for Found {}

static FIELD: Found = Found(Cell::new(None));

/// The 32-bit words at the beginning of this thread's state.
fn words() -> Vec<i32> {
    // SAFETY: the GIL is held, so there is a thread state; the copy is made at once, of memory that
    // belongs to the struct. Its padding is read as bytes that mean nothing.
    unsafe {
        let state = ffi::PyThreadState_Get().cast::<i32>();
        (0..SEARCHED / size_of::<i32>())
            .map(|index| state.add(index).read_volatile())
            .collect()
    }
}

/// Finds the field.
pub(crate) fn find() -> Res<()> {
    let sys = import("sys")?;
    let get = sys.getattr(&*value::text("get_coroutine_origin_tracking_depth")?)?;
    let set = sys.getattr(&*value::text("set_coroutine_origin_tracking_depth")?)?;
    let before = get.call0()?;
    let mut candidates: Vec<usize> = (0..SEARCHED / size_of::<i32>()).collect();
    for probe in PROBES {
        set.call1(&*value::int(i64::from(probe))?)?;
        let words = words();
        candidates.retain(|&index| words[index] == probe);
    }
    set.call1(&before)?;
    if let &[index] = &candidates[..] {
        FIELD.0.set(Some(index * size_of::<i32>()));
    }
    Ok(())
}

/// How many frames of its creation a coroutine records; 0 for none.
#[inline(always)]
pub(crate) fn depth() -> i32 {
    let Some(offset) = FIELD.0.get() else {
        return 0;
    };
    // SAFETY: the GIL is held, so there is a thread state; the field was found in it.
    unsafe {
        ffi::PyThreadState_Get()
            .byte_add(offset)
            .cast::<i32>()
            .read()
    }
}
