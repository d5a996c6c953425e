//! Cancelling a task: ask what it waits for, or mark it.

use super::Task;
use crate::combinators::{Gathering, cancel_gathering};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Res, value};
use crate::future::{self, Future, FutureLike};

/// `Task.cancel`: `False` if it is done already.
pub(crate) fn cancel(this: &Inst<Task>, message: Option<&Any>) -> Res<bool> {
    this.future.forget_log();
    if this.is_done() {
        return Ok(false);
    }
    this.cancel_requests.set(this.cancel_requests.get() + 1);
    if let Some(waiter) = this.waiter.get() {
        let accepted = if let Some(future) = waiter.as_exact::<Future>() {
            future::cancel(future, message)?
        } else if let Some(task) = waiter.as_exact::<Task>() {
            cancel(task, message)?
        } else if let Some(gathering) = waiter.as_exact::<Gathering>() {
            cancel_gathering(gathering, message)?
        } else {
            let message = message.unwrap_or(value::none_ref());
            waiter
                .call_method0_kw(&names().cancel, message, &imports().msg_names)?
                .is_truthy()?
        };
        if accepted {
            // The waiter stays: a task may catch the cancellation, and be cancelled again.
            return Ok(true);
        }
    }
    this.must_cancel.set(true);
    this.future.set_cancel_message(message);
    Ok(true)
}

/// Cancels a future or a task by its type, without a Python call.
pub(super) fn cancel_native<T: FutureLike>(awaited: &Inst<T>, message: Option<&Any>) -> Res<bool> {
    if let Some(task) = awaited.as_any().as_exact::<Task>() {
        return cancel(task, message);
    }
    if let Some(gathering) = awaited.as_any().as_exact::<Gathering>() {
        return cancel_gathering(gathering, message);
    }
    future::cancel(awaited, message)
}
