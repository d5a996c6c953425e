//! One step of a task: resume the coroutine, and do what it asks for.

use super::{StepCall, Task, registry};
use crate::combinators::Gathering;
use crate::event_loop::Entry;
use crate::ffi::error::is_exit_exception;
use crate::ffi::module::{imports, names};
use crate::ffi::send::{Sent, send_none, throw};
use crate::ffi::{Any, Inst, Object, Raised, Res, task_mirror, value};
use crate::future::{self, Future, FutureLike, State};

/// Runs the step of a task that was woken by `waiter`, the future it waited for.
#[inline]
pub(crate) fn wake(this: &Inst<Task>, waiter: Option<&Any>) -> Res<()> {
    let Some(waiter) = waiter else {
        return step(this, None);
    };
    let exception = match waiter.as_exact::<Future>() {
        Some(future) => failure(this, future)?,
        None => match waiter.as_exact::<Task>() {
            Some(task) => failure(this, task)?,
            None => match waiter.as_exact::<Gathering>() {
                Some(gathering) => failure(this, gathering)?,
                None => None,
            },
        },
    };
    step(this, exception)
}

/// What a future that is done throws into the coroutine that awaits it.
#[inline]
fn failure<T: FutureLike>(this: &Inst<Task>, future: &Inst<T>) -> Res<Option<Object>> {
    task_mirror::discard_awaiter(future.as_any(), this.as_any())?;
    if future.future().state() == State::Result {
        return Ok(None);
    }
    future::outcome_exception(future.future())
}

/// The wakeup as a Python call, `task_wakeup(future)`: from foreign futures and loops.
pub(super) fn wakeup_call(this: &Inst<Task>, future: &Any) -> Res<()> {
    if let Some(discard) = &imports().discard_from_awaited_by {
        discard.call(&[future, this.as_any()])?;
    }
    let exception = match future.call_method0(&names().result) {
        Ok(_) => None,
        Err(raised) => Some(raised.take()),
    };
    enter_and_step(this, exception)
}

/// A step outside our run loop: enters and leaves the task as asyncio does.
pub(super) fn enter_and_step(this: &Inst<Task>, exception: Option<Object>) -> Res<()> {
    let Some(loop_) = this.future.loop_slot().object() else {
        return Err(Raised::runtime("Task object is not initialized."));
    };
    registry::enter_strictly(&loop_, this.as_any())?;
    let result = step(this, exception);
    let raised = result.err().map(Raised::take);
    let left = registry::leave_strictly(&loop_, this.as_any());
    match (raised, left) {
        (Some(exception), Ok(())) => Err(Raised::raise(exception)),
        (Some(exception), Err(raised)) => {
            raised.discard();
            Err(Raised::raise(exception))
        }
        (None, left) => left,
    }
}

/// `Task.__step`: the task is current and its context entered.
#[inline]
pub(crate) fn step(this: &Inst<Task>, mut exception: Option<Object>) -> Res<()> {
    if this.is_done() {
        return Err(already_done(this, exception.as_deref()));
    }
    if this.must_cancel.get() {
        let is_cancellation = match &exception {
            Some(exception) => exception.is_instance(&imports().cancelled_error)?,
            None => false,
        };
        if !is_cancellation {
            exception = Some(future::make_cancelled_error(&this.future)?);
        }
        this.must_cancel.set(false);
    }
    this.waiter.clear();
    let Some(coro) = this.coroutine() else {
        return Err(Raised::runtime("uninitialized Task object"));
    };
    let sent = match exception {
        None => send_none(&coro),
        Some(exception) => throw(&coro, &exception),
    };
    match sent {
        Ok(Sent::Yielded(object)) => {
            this.show_awaited(&coro)?;
            wait_for(this, &object)
        }
        Ok(Sent::Returned(result)) => finish(this, result),
        Err(raised) => fail(this, raised),
    }
}

#[cold]
fn already_done(this: &Inst<Task>, exception: Option<&Any>) -> Raised {
    let message = format!(
        "__step(): already done: {}, {}",
        this.as_any().repr_lossy(),
        exception.unwrap_or(value::none_ref()).repr_lossy(),
    );
    Raised::of_class(&imports().invalid_state_error, &message)
}

/// The coroutine has returned.
#[inline]
fn finish(this: &Inst<Task>, result: Object) -> Res<()> {
    registry::done(this);
    if this.must_cancel.replace(false) {
        let message = this.future.cancel_message();
        return future::cancel(this, message.as_deref()).map(drop);
    }
    future::resolve(this, result)
}

/// The coroutine has raised.
#[cold]
fn fail(this: &Inst<Task>, raised: Raised) -> Res<()> {
    registry::done(this);
    if raised.matches(&imports().cancelled_error) {
        this.future.set_cancelled_error(raised.take());
        return future::cancel(this, None).map(drop);
    }
    let exception = raised.take();
    future::fail(this, &exception)?;
    if is_exit_exception(&exception) {
        return Err(Raised::raise(exception));
    }
    Ok(())
}

/// The coroutine has yielded: a future to wait for, or `None` to be resumed in the next turn.
#[inline]
fn wait_for(this: &Inst<Task>, object: &Any) -> Res<()> {
    if let Some(future) = object.as_exact::<Future>() {
        return wait_for_native(this, future);
    }
    if object.is_none() {
        return schedule(this);
    }
    if let Some(task) = object.as_exact::<Task>() {
        return wait_for_native(this, task);
    }
    if let Some(gathering) = object.as_exact::<Gathering>() {
        return wait_for_native(this, gathering);
    }
    wait_for_foreign(this, object)
}

#[inline]
fn wait_for_native<T: FutureLike>(this: &Inst<Task>, awaited: &Inst<T>) -> Res<()> {
    let state = awaited.future();
    if awaited.as_any().is(this.as_any()) {
        return refuse(this, &awaits_itself(this));
    }
    if !state.loop_slot().same(this.future.loop_slot()) {
        return refuse(this, &other_loop(this, awaited.as_any()));
    }
    if !state.blocking().replace(false) {
        return refuse(this, &wrong_yield(this, awaited.as_any()));
    }
    // 3.14+: `asyncio.print_call_graph`, `python -m asyncio pstree`.
    task_mirror::add_awaiter(awaited.as_any(), this.as_any())?;
    this.waiter.set(awaited.as_any().own());
    future::add_wake(awaited, this.own())?;
    if this.must_cancel.get() {
        let message = this.future.cancel_message();
        if super::cancel::cancel_native(awaited, message.as_deref())? {
            this.must_cancel.set(false);
        }
    }
    Ok(())
}

/// Whatever speaks asyncio's future protocol, and whatever does not.
#[cold]
fn wait_for_foreign(this: &Inst<Task>, object: &Any) -> Res<()> {
    let blocking = match object.getattr_opt(&names()._asyncio_future_blocking)? {
        Some(blocking) if !blocking.is_none() => blocking,
        _ if object.is_generator() => {
            let message = format!(
                "yield was used instead of yield from for generator in task {} with {}",
                this.as_any().repr_lossy(),
                object.repr_lossy(),
            );
            return refuse(this, &message);
        }
        _ => {
            return refuse(
                this,
                &format!("Task got bad yield: {}", object.repr_lossy()),
            );
        }
    };
    let loop_ = match object.getattr_opt(&names().get_loop)? {
        Some(get_loop) => get_loop.call0()?,
        None => object.getattr(&names()._loop)?,
    };
    if !this.future.loop_slot().is(&loop_) {
        return refuse(this, &other_loop(this, object));
    }
    if !blocking.is_truthy()? {
        return refuse(this, &wrong_yield(this, object));
    }
    if object.is(this.as_any()) {
        return refuse(this, &awaits_itself(this));
    }
    if let Some(add) = &imports().add_to_awaited_by {
        add.call(&[object, this.as_any()])?;
    }
    object.setattr(&names()._asyncio_future_blocking, &value::bool(false))?;
    let wakeup = this.wakeup_method()?;
    object.call_method1_kw(
        &names().add_done_callback,
        &wakeup,
        &this.context(),
        &imports().context_names,
    )?;
    this.waiter.set(object.own());
    if this.must_cancel.get() {
        let message = this.future.cancel_message().unwrap_or_else(value::none);
        let cancelled = object.call_method0_kw(&names().cancel, &message, &imports().msg_names)?;
        if cancelled.is_truthy()? {
            this.must_cancel.set(false);
        }
    }
    Ok(())
}

fn awaits_itself(this: &Inst<Task>) -> String {
    format!(
        "Task cannot await on itself: {}",
        this.as_any().repr_lossy()
    )
}

fn other_loop(this: &Inst<Task>, awaited: &Any) -> String {
    format!(
        "Task {} got Future {} attached to a different loop",
        this.as_any().repr_lossy(),
        awaited.repr_lossy()
    )
}

fn wrong_yield(this: &Inst<Task>, awaited: &Any) -> String {
    format!(
        "yield was used instead of yield from in task {} with {}",
        this.as_any().repr_lossy(),
        awaited.repr_lossy()
    )
}

/// Throws `RuntimeError(message)` into the coroutine in the next turn.
#[cold]
fn refuse(this: &Inst<Task>, message: &str) -> Res<()> {
    let exception = Raised::runtime(message).take();
    let call = StepCall::create(this, Some(exception))?;
    call_soon(this, &call)
}

/// Schedules the next step.
#[inline]
pub(super) fn schedule(this: &Inst<Task>) -> Res<()> {
    if let Some(core) = this.future.loop_slot().direct() {
        core.push(Entry::Step(this.own()));
        return Ok(());
    }
    let call = StepCall::create(this, None)?;
    call_soon(this, &call)
}

/// `loop.call_soon(call, context=context)`.
fn call_soon(this: &Inst<Task>, call: &Any) -> Res<()> {
    let Some(loop_) = this.future.loop_slot().object() else {
        return Err(Raised::runtime("Task object is not initialized."));
    };
    let context = this.context();
    loop_.call_method1_kw(&names().call_soon, call, &context, &imports().context_names)?;
    Ok(())
}
