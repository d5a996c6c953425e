//! The task that runs, which a time limit cancels.

use super::originals::originals;
use super::peer;
use crate::event_loop::LoopCore;
use crate::ffi::module::imports;
use crate::ffi::{Any, Inst, Object, Own, Res, running_loop, value};
use crate::future;
use crate::task::Task;

/// The running loop if it is ours, and what our functions need of it can be done natively.
#[inline]
pub(super) fn plain_loop() -> Res<Option<Own<LoopCore>>> {
    let loop_ = running_loop::or_none()?;
    Ok(as_plain(&loop_))
}

#[inline]
pub(super) fn as_plain(loop_: &Any) -> Option<Own<LoopCore>> {
    loop_
        .downcast::<LoopCore>()
        .filter(|core| core.is_plain())
        .map(Inst::own)
}

/// `get_running_loop()`, and whether it is plain.
#[inline]
pub(super) fn any_loop() -> Res<Object> {
    future::running_loop()
}

/// `current_task(loop)`: `None` if none runs.
#[inline]
pub(super) fn current_task(loop_: &Any) -> Res<Object> {
    let current = match &imports().current_tasks {
        Some(current) => current.dict_get(loop_)?.unwrap_or_else(value::none),
        None => originals().current_task.call1(loop_)?,
    };
    if current.is_none() {
        return current_python_task(loop_);
    }
    Ok(current)
}

/// Tasks that are written in Python have a registry of their own, which is asked where somebody
/// has put its function into asyncio.
#[cold]
fn current_python_task(loop_: &Any) -> Res<Object> {
    let asked = originals().tasks.getattr(&originals().names.current_task)?;
    if asked.is(&originals().current_task) {
        return Ok(value::none());
    }
    asked.call1(loop_)
}

/// The task for `asyncio`'s call graph, which is kept from 3.14 on; `None` before.
#[inline]
pub(super) fn awaiter(loop_: &Any) -> Res<Option<Object>> {
    if imports().add_to_awaited_by.is_none() {
        return Ok(None);
    }
    Ok(Some(current_task(loop_)?).filter(|task| !task.is_none()))
}

/// `task.cancel()`.
pub(super) fn cancel(task: &Any) -> Res<()> {
    peer::cancel(task, None).map(drop)
}

/// `task.cancelling()`.
#[inline]
pub(super) fn cancelling(task: &Any) -> Res<i64> {
    match task.as_exact::<Task>() {
        Some(task) => Ok(task.cancel_requests()),
        None => task.call_method0(&originals().names.cancelling)?.to_i64(),
    }
}

/// `task.uncancel()`.
pub(super) fn uncancel(task: &Any) -> Res<i64> {
    match task.as_exact::<Task>() {
        Some(task) => Ok(task.take_back_cancel()),
        None => task.call_method0(&originals().names.uncancel)?.to_i64(),
    }
}
