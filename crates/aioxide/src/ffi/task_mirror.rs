//! What `python -m asyncio ps` reads: the fields of the C struct under our tasks (3.14+).
//!
//! The remote debugger does not call Python. It walks the C task list and reads the coroutine,
//! the name and the "is a task" byte where `_asyncio` keeps them. Those offsets are private, so
//! they are found, not assumed: stock tasks are made with known contents and their memory is
//! searched. What is not found exactly once is not written; then `ps` shows less, and nothing
//! else changes.

use std::cell::Cell;

use pyo3::ffi;

use super::error::Res;
use super::module::{imports, names};
use super::object::{Any, Object};
use super::value;

/// Offsets inside the base's struct; `None` where the search was not unambiguous.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    coro: usize,
    name: usize,
    is_task: usize,
}

struct Found(Cell<Option<Offsets>>);

// SAFETY: written once at import, read under the GIL.
unsafe impl Sync for Found {}

static FOUND: Found = Found(Cell::new(None));

/// The bytes of the base struct of `object`, from its header to the base's size.
///
/// # Safety
/// `object` is a live instance whose class has at least `size` bytes.
unsafe fn memory(object: &Any, size: usize) -> Vec<u8> {
    // SAFETY: see above; the copy is made at once.
    unsafe { std::slice::from_raw_parts(object.as_ptr().cast::<u8>(), size).to_vec() }
}

fn only_offset_of(memory: &[u8], object: &Any) -> Option<usize> {
    let wanted = (object.as_ptr() as usize).to_ne_bytes();
    let mut hits = memory
        .chunks_exact(size_of::<usize>())
        .enumerate()
        .filter(|(_, word)| *word == wanted)
        .map(|(index, _)| index * size_of::<usize>());
    match (hits.next(), hits.next()) {
        (Some(offset), None) => Some(offset),
        _ => None,
    }
}

/// Finds the offsets with a stock future and a stock task that are made for it and thrown away.
///
/// `loop_` is any object with `get_debug`, `call_soon` and `call_exception_handler`.
pub(crate) fn find_offsets(loop_: &Any, coro: &Any, name: &Any) -> Res<()> {
    if imports().version < (3, 14) || FOUND.0.get().is_some() {
        return Ok(());
    }
    let loop_names = value::tuple(&[&*value::text("loop")?])?;
    let task_names = value::tuple(&[&*value::text("loop")?, &names().name])?;
    let future = imports().future_base.call_names(&[loop_], &loop_names)?;
    let task = imports().task_base.call_names(&[coro, loop_, name], &task_names)?;
    let size = |class: &Object| -> Res<usize> {
        let size = class.getattr(&*value::text("__basicsize__")?)?.to_i64()?;
        Ok(usize::try_from(size).unwrap_or(0))
    };
    let (future_size, task_size) = (size(&imports().future_base)?, size(&imports().task_base)?);
    // SAFETY: both are instances of the very classes whose sizes were read.
    let (future_memory, task_memory) =
        unsafe { (memory(&future, future_size), memory(&task, task_size)) };
    // The debugger's flag: the one byte behind the object header that is 0 in a fresh future and
    // 1 in a fresh task.
    let header = size_of::<ffi::PyObject>();
    let mut flags = (header..future_size.min(task_size))
        .filter(|&offset| future_memory[offset] == 0 && task_memory[offset] == 1)
        .filter(|&offset| {
            // A flag, not a byte of a pointer: its neighbours in the word are flags too.
            let word = offset / 8 * 8;
            task_memory[word..word + 8].iter().all(|&byte| byte <= 1)
        });
    let is_task = match (flags.next(), flags.next()) {
        (Some(offset), None) => Some(offset),
        _ => None,
    };
    if let (Some(coro), Some(name), Some(is_task)) =
        (only_offset_of(&task_memory, coro), only_offset_of(&task_memory, name), is_task)
    {
        FOUND.0.set(Some(Offsets { coro, name, is_task }));
    }
    task.setattr(&names()._log_destroy_pending, &value::bool(false))?;
    Ok(())
}

/// Whether the debugger can see our tasks on this Python.
pub(crate) fn is_active() -> bool {
    FOUND.0.get().is_some()
}

/// Fills the base's fields of a new task. The base's own clear drops them.
#[inline]
pub(crate) fn fill(task: &Any, coro: &Any, name: &Any) {
    let Some(offsets) = FOUND.0.get() else { return };
    set(task, offsets.coro, coro);
    set(task, offsets.name, name);
    // SAFETY: a byte inside the base's struct, found to be the flag.
    unsafe { task.as_ptr().cast::<u8>().add(offsets.is_task).write(1) };
}

/// Follows `Task.set_name`.
pub(crate) fn rename(task: &Any, name: &Any) {
    if let Some(offsets) = FOUND.0.get() {
        set(task, offsets.name, name);
    }
}

#[inline]
fn set(task: &Any, offset: usize, object: &Any) {
    // SAFETY: a pointer-sized field inside the base's struct that holds NULL or a reference that
    // we put there; the old one is dropped after the new one is in place.
    unsafe {
        let field = task.as_ptr().byte_add(offset).cast::<*mut ffi::PyObject>();
        let old = field.replace(object.own().into_ptr());
        if !old.is_null() {
            drop(Object::from_owned(old));
        }
    }
}
