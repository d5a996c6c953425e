//! What asyncio keeps in the C structs under our futures and tasks (3.14+).
//!
//! `python -m asyncio ps` does not call Python. It reads another process's memory: it walks the C
//! task list and takes the coroutine, the name and the "is a task" byte from where `_asyncio` keeps
//! them, and the awaiter from each future. So on ours these fields are filled too. Two of them are
//! also written on every await and at the end of every task, through functions that `_asyncio` has
//! for it; writing the field itself costs a tenth of the call.
//!
//! A task keeps its coroutine there and nowhere else, if it is one that the debugger can read: a
//! library that exchanges a task's coroutine in memory (greenback) finds it in one place. Of any
//! other the task has the coroutine itself, and the base's field holds one for the debugger.
//!
//! The offsets are private, so they are found, not assumed: stock objects are made with known
//! contents and their memory is searched. What is not found exactly once is not used: then `ps`
//! shows less, `_asyncio`'s functions are called, and nothing else changes.

use std::cell::Cell;

use pyo3::ffi;

use super::error::Res;
use super::module::{imports, names};
use super::object::{Any, Object};
use super::value;

/// Offsets inside the base's struct; `None` where the search was not unambiguous.
#[derive(Clone, Copy, Debug, Default)]
struct Offsets {
    debugger: Option<DebuggerOffsets>,
    /// `fut_awaited_by`: one task, or a set of them.
    awaited_by: Option<usize>,
    /// `task_node`: next and previous task in the C task list.
    node: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct DebuggerOffsets {
    coro: usize,
    name: usize,
    is_task: usize,
}

struct Found(Cell<Offsets>, Cell<bool>);

// SAFETY: written once, at the first loop; read under the GIL.
unsafe impl Sync for Found {}

static FOUND: Found = Found(
    Cell::new(Offsets {
        debugger: None,
        awaited_by: None,
        node: None,
    }),
    Cell::new(false),
);

/// The words of the base struct of `object`.
///
/// # Safety
/// `object` is a live instance whose class has at least `size` bytes.
unsafe fn words(object: &Any, size: usize) -> Vec<usize> {
    // SAFETY: see above; the copy is made at once.
    unsafe {
        std::slice::from_raw_parts(object.as_ptr().cast::<usize>(), size / size_of::<usize>())
            .to_vec()
    }
}

/// The byte offset of the one word for which `matches` holds.
fn only(count: usize, matches: impl Fn(usize) -> bool) -> Option<usize> {
    let mut hits = (0..count).filter(|&index| matches(index));
    match (hits.next(), hits.next()) {
        (Some(index), None) => Some(index * size_of::<usize>()),
        _ => None,
    }
}

fn size_of_class(class: &Any) -> Res<usize> {
    let size = class.getattr(&*value::text("__basicsize__")?)?.to_i64()?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Finds the offsets with stock objects that are made for it and thrown away.
///
/// `loop_` is any object with `get_debug`, `call_soon` and `call_exception_handler`.
pub(crate) fn find_offsets(loop_: &Any, coro: &Any, name: &Any) -> Res<()> {
    if imports().version < (3, 14) || FOUND.1.replace(true) {
        return Ok(());
    }
    let Some(add_awaiter) = &imports().add_to_awaited_by else {
        return Ok(());
    };
    let loop_names = value::tuple(&[&*value::text("loop")?])?;
    let task_names = value::tuple(&[&*value::text("loop")?, &names().name])?;
    let future = imports().future_base.call_names(&[loop_], &loop_names)?;
    let task = imports()
        .task_base
        .call_names(&[coro, loop_, name], &task_names)?;
    let second = imports()
        .task_base
        .call_names(&[coro, loop_, name], &task_names)?;
    let future_size = size_of_class(&imports().future_base)?;
    let task_size = size_of_class(&imports().task_base)?;
    // SAFETY: instances of the very classes whose sizes were read.
    let (before, first, next) = unsafe {
        (
            words(&future, future_size),
            words(&task, task_size),
            words(&second, task_size),
        )
    };
    add_awaiter.call(&[&future, &task])?;
    // SAFETY: as above.
    let after = unsafe { words(&future, future_size) };

    let header = size_of::<ffi::PyObject>();
    let byte = |memory: &[usize], offset: usize| memory[offset / 8].to_ne_bytes()[offset % 8];
    let mut flags = (header..future_size / 8 * 8)
        .filter(|&offset| byte(&before, offset) == 0 && byte(&first, offset) == 1);
    let is_task = match (flags.next(), flags.next()) {
        (Some(offset), None) => Some(offset),
        _ => None,
    };
    let coro = only(first.len(), |index| first[index] == coro.address());
    let name = only(first.len(), |index| first[index] == name.address());
    let awaited_by = only(after.len(), |index| {
        before[index] == 0 && after[index] == task.address()
    })
    .filter(|_| {
        (0..after.len())
            .filter(|&index| before[index] != after[index])
            .count()
            == 1
    });
    let node = only(first.len().saturating_sub(1), |index| {
        let offset = index * size_of::<usize>();
        first[index] == second.address() + offset && next[index + 1] == task.address() + offset
    });
    let debugger = match (coro, name, is_task) {
        (Some(coro), Some(name), Some(is_task)) => Some(DebuggerOffsets {
            coro,
            name,
            is_task,
        }),
        _ => None,
    };
    FOUND.0.set(Offsets {
        debugger,
        awaited_by,
        node,
    });
    task.setattr(&names()._log_destroy_pending, &value::bool(false))?;
    second.setattr(&names()._log_destroy_pending, &value::bool(false))?;
    Ok(())
}

/// Whether the debugger can see our tasks on this Python.
#[inline]
pub(crate) fn is_active() -> bool {
    FOUND.0.get().debugger.is_some()
}

/// Fills the base's fields of a new task. The base's own clear drops them.
#[inline]
pub(crate) fn fill(task: &Any, coro: Option<&Any>, name: &Any) {
    let Some(offsets) = FOUND.0.get().debugger else {
        return;
    };
    replace(task, offsets.coro, coro);
    replace(task, offsets.name, Some(name));
    // SAFETY: a byte inside the base's struct, found to be the flag.
    unsafe { task.as_ptr().cast::<u8>().add(offsets.is_task).write(1) };
}

/// The coroutine in the base's field.
#[inline]
pub(crate) fn coroutine(task: &Any) -> Option<Object> {
    let offsets = FOUND.0.get().debugger?;
    // SAFETY: the field holds NULL or a reference: ours, or that of a library which has put another
    // coroutine there, as it does with `_asyncio`'s tasks.
    unsafe {
        let coro = *field(task, offsets.coro);
        (!coro.is_null()).then(|| Any::from_ptr(coro).own())
    }
}

/// Puts another coroutine into the base's field, or none.
pub(crate) fn set_coroutine(task: &Any, coro: Option<&Any>) {
    if let Some(offsets) = FOUND.0.get().debugger {
        replace(task, offsets.coro, coro);
    }
}

/// Follows `Task.set_name`.
pub(crate) fn rename(task: &Any, name: &Any) {
    if let Some(offsets) = FOUND.0.get().debugger {
        replace(task, offsets.name, Some(name));
    }
}

/// # Safety
/// `offset` is that of a reference inside the base's struct of `object`.
#[inline]
unsafe fn field(object: &Any, offset: usize) -> *mut *mut ffi::PyObject {
    // SAFETY: see above.
    unsafe { object.as_ptr().byte_add(offset).cast() }
}

#[inline]
fn replace(task: &Any, offset: usize, object: Option<&Any>) {
    // SAFETY: the field holds NULL or a reference that we put there; the old one is dropped after
    // the new one is in place.
    unsafe {
        let new = object.map_or(std::ptr::null_mut(), |object| object.own().into_ptr());
        let old = field(task, offset).replace(new);
        if !old.is_null() {
            drop(Object::from_owned(old));
        }
    }
}

/// `asyncio.future_add_to_awaited_by(awaited, waiter)`, where `awaited` stands on asyncio's types.
#[inline]
pub(crate) fn add_awaiter(awaited: &Any, waiter: &Any) -> Res<()> {
    let Some(add) = &imports().add_to_awaited_by else {
        return Ok(());
    };
    if let Some(offset) = FOUND.0.get().awaited_by {
        // SAFETY: the first awaiter is a plain reference in the field, as `_asyncio` would put it.
        unsafe {
            let field = field(awaited, offset);
            if (*field).is_null() {
                field.write(waiter.own().into_ptr());
                return Ok(());
            }
        }
    }
    add.call(&[awaited, waiter]).map(drop)
}

/// `asyncio.future_discard_from_awaited_by(awaited, waiter)`.
#[inline]
pub(crate) fn discard_awaiter(awaited: &Any, waiter: &Any) -> Res<()> {
    let Some(discard) = &imports().discard_from_awaited_by else {
        return Ok(());
    };
    if let Some(offset) = FOUND.0.get().awaited_by {
        // SAFETY: a field that holds exactly this task is the only awaiter's plain reference; a set
        // of several is another object.
        unsafe {
            let field = field(awaited, offset);
            if (*field).is_null() {
                return Ok(());
            }
            if *field == waiter.as_ptr() {
                drop(Object::from_owned(field.replace(std::ptr::null_mut())));
                return Ok(());
            }
        }
    }
    discard.call(&[awaited, waiter]).map(drop)
}

/// Takes a task out of the C task list. `false` if `_asyncio` must be asked to do it.
#[inline]
pub(crate) fn unlink(task: &Any) -> bool {
    let Some(offset) = FOUND.0.get().node else {
        return false;
    };
    // SAFETY: a doubly linked list through the structs, whose ends are the list's own head: so
    // both neighbours exist while the task is linked. The GIL is held, as it is for `_asyncio`.
    unsafe {
        let node = task
            .as_ptr()
            .byte_add(offset)
            .cast::<*mut *mut ffi::PyObject>();
        let (next, previous) = (*node, *node.add(1));
        if !next.is_null() {
            next.add(1)
                .cast::<*mut *mut ffi::PyObject>()
                .write(previous);
            previous.cast::<*mut *mut ffi::PyObject>().write(next);
            node.write(std::ptr::null_mut());
            node.add(1).write(std::ptr::null_mut());
        }
    }
    true
}
