//! `create_task`, `ensure_future`: from a coroutine to a task.

use super::current::{as_plain, plain_loop};
use super::originals::originals;
use super::peer::Known;
use crate::coroutine;
use crate::event_loop::{LoopCore, TaskKeywords};
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Own, Raised, Res, value};
use crate::future;
use crate::task::{self, NewTask};

/// Whether it is a coroutine for sure: one of an `async def`, or one of ours.
#[inline]
pub(super) fn is_coroutine(object: &Any) -> bool {
    object.is_native_coroutine() || coroutine::is_ours(object)
}

/// `ensure_future(coro, loop=core)` of a coroutine.
#[inline]
pub(super) fn spawn(core: &Inst<LoopCore>, coroutine: &Any) -> Res<Object> {
    let made = if core.task_factory().is_none() {
        let new = NewTask {
            coro: coroutine,
            name: None,
            context: None,
            eager: false,
        };
        task::create(core, &new).map(Own::into_object)
    } else {
        core.as_any()
            .call_method1(&originals().names.create_task, coroutine)
    };
    made.or_else(|raised| close_and_raise(coroutine, raised))
}

/// No task, so nobody will await the coroutine.
#[cold]
fn close_and_raise(coro: &Any, raised: Raised) -> Res<Object> {
    if !raised.matches(Kind::Runtime.as_any()) {
        return Err(raised);
    }
    let exception = raised.take();
    coro.call_method0(&names().close)?;
    Err(Raised::raise(exception))
}

/// `create_task(coro, **kwargs)`.
pub(super) fn create_task(args: Args<'_>) -> Res<Object> {
    let loop_ = future::running_loop()?;
    let keywords = TaskKeywords::of(&args);
    // Before 3.14 this function knows less than the loop's.
    let known = !keywords.is_eager() || imports().version >= (3, 14);
    if let (&[coro], true, Some(core)) = (args.positional, known, as_plain(&loop_))
        && core.task_factory().is_none()
        && let Some(new) = keywords.task_of(coro)?
    {
        return task::create(&core, &new).map(Own::into_object);
    }
    asyncio_create_task(&args)
}

#[cold]
fn asyncio_create_task(args: &Args<'_>) -> Res<Object> {
    let mut all = args.positional.to_vec();
    all.extend(args.keywords);
    originals()
        .create_task
        .call_names(&all, &*value::tuple(args.names)?)
}

/// `ensure_future(coro_or_future, *, loop=None)`.
pub(super) fn ensure_future(args: Args<'_>) -> Res<Object> {
    if let (&[awaitable], true) = (args.positional, args.names.is_empty()) {
        if Known::of(awaitable).is_some() {
            return Ok(awaitable.own());
        }
        if is_coroutine(awaitable)
            && let Some(core) = plain_loop()?
        {
            return spawn(&core, awaitable);
        }
    }
    let mut all = args.positional.to_vec();
    all.extend(args.keywords);
    originals()
        .ensure_future
        .call_names(&all, &*value::tuple(args.names)?)
}
