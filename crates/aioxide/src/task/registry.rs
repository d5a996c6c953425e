//! `current_task()` and `all_tasks()`: what asyncio's own functions find.
//!
//! Facts. Up to 3.13 asyncio keeps `{loop: task}` in a dict that `_asyncio` exports, and all
//! tasks in a WeakSet. From 3.14 on the current task is a pointer in the thread state, reached by
//! `_swap_current_task`, and the tasks are a linked list through the C structs, which also takes
//! tasks of derived classes.
//!
//! So: the current task is stored by one dict store, or one call of the swap function, when a
//! step begins, and not taken away after it: the next step overwrites it. The loop takes it away
//! (`leave`) before it runs anything that is no step of ours, before it sleeps and when it stops.
//! Tasks go into a list of our own up to 3.13 (the WeakSet would double what a task costs; a set
//! in place of the WeakSet's own shows them to `all_tasks`), and into the C list from 3.14 on.

use super::Task;
use crate::ffi::module::{Global, import, imports};
use crate::ffi::weak_list::{WeakList, call_while_dying};
use crate::ffi::{Any, Inst, Object, Raised, Res, task_mirror, value};

static TASKS: WeakList<Task> = WeakList::new();
static CONNECTED: Global<()> = Global::new();

/// Notes a new task.
#[inline]
pub(super) fn register(this: &Inst<Task>) -> Res<()> {
    if imports().current_tasks.is_some() {
        if CONNECTED.try_get().is_none() {
            connect_once()?;
        }
        TASKS.add(this);
        return Ok(());
    }
    imports().register_task.call1(this.as_any()).map(drop)
}

/// `aioxide._registry.connect`.
static CONNECT: Global<Object> = Global::new();

/// Lets `asyncio.all_tasks` see our list (up to 3.13). Done with the first task, once.
#[cold]
fn connect_once() -> Res<()> {
    if let Some(connect) = CONNECT.try_get() {
        connect.call0()?;
        CONNECTED.set(());
    }
    Ok(())
}

/// Takes what the first task needs of our package, when all of it is imported.
pub(crate) fn connect_package() -> Res<()> {
    CONNECT.set(import("aioxide._registry")?.getattr(&*value::text("connect")?)?);
    Ok(())
}

/// A task that is done is of no interest any more.
#[inline]
pub(super) fn done(this: &Inst<Task>) {
    TASKS.remove(this);
}

/// A task whose memory is about to go.
pub(super) fn forget(this: &Inst<Task>) {
    TASKS.remove(this);
    // Also one that we did not register: anybody may have called `asyncio._register_task`.
    if imports().current_tasks.is_none() && !task_mirror::unlink(this.as_any()) {
        call_while_dying(&imports().unregister_task, this.as_any());
    }
}

/// Every task of ours that is not done (up to 3.13).
pub(crate) fn snapshot() -> Res<Object> {
    let tasks: Vec<Object> = TASKS
        .snapshot()
        .into_iter()
        .map(crate::ffi::Own::into_object)
        .collect();
    value::list(&tasks)
}

/// Makes `task` the loop's current task, whatever it was before.
#[inline]
pub(crate) fn set_current(loop_: &Any, task: &Any) -> Res<()> {
    match (&imports().current_tasks, &imports().swap_current_task) {
        (Some(current), _) => current.dict_set(loop_, task),
        (None, Some(swap)) => swap.call(&[loop_, task]).map(drop),
        (None, None) => Err(no_registry()),
    }
}

/// Takes the current task away.
pub(crate) fn leave(loop_: &Any) -> Res<()> {
    match (&imports().current_tasks, &imports().swap_current_task) {
        (Some(current), _) => current.dict_discard(loop_),
        (None, Some(swap)) => swap.call(&[loop_, value::none_ref()]).map(drop),
        (None, None) => Err(no_registry()),
    }
}

/// Makes `task` current and gives the one before, to be put back.
pub(super) fn swap(loop_: &Any, task: &Any) -> Res<Object> {
    if let Some(current) = &imports().current_tasks {
        let before = current.dict_get(loop_)?.unwrap_or_else(value::none);
        if task.is_none() {
            current.dict_discard(loop_)?;
        } else {
            current.dict_set(loop_, task)?;
        }
        return Ok(before);
    }
    match &imports().swap_current_task {
        Some(swap) => swap.call(&[loop_, task]),
        None => Err(no_registry()),
    }
}

/// asyncio's own strict entering: an error if another task is running on the loop.
pub(super) fn enter_strictly(loop_: &Any, task: &Any) -> Res<()> {
    imports().enter_task.call(&[loop_, task]).map(drop)
}

pub(super) fn leave_strictly(loop_: &Any, task: &Any) -> Res<()> {
    imports().leave_task.call(&[loop_, task]).map(drop)
}

#[cold]
fn no_registry() -> Raised {
    Raised::runtime("this Python's asyncio has no place for the current task that aioxide knows")
}
