//! The Python side of futures and tasks: methods and attributes that both have.

use super::iterator;
use super::state::{self, FutureLike, State};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::{TypeBuilder, flag, no_delete};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, context, value};

const CANCEL: Signature<1> = Signature {
    function: "cancel",
    parameters: [c"msg"],
    positional: 1,
    required: 0,
};
const ADD_DONE_CALLBACK: Signature<2> = Signature {
    function: "add_done_callback",
    parameters: [c"fn", c"context"],
    positional: 1,
    required: 1,
};

/// The message of a `cancel(msg=None)` call.
pub(crate) fn cancel_message<'a>(args: &Args<'a>) -> Res<Option<&'a Any>> {
    let [message] = args.bind(&CANCEL)?;
    Ok(message.filter(|message| !message.is_none()))
}

fn result<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    state::result(this.future())
}

fn exception<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    let future = this.future();
    match future.state() {
        State::Pending => Err(Raised::of_class(
            &imports().invalid_state_error,
            "Exception is not set.",
        )),
        State::Cancelled => Err(Raised::raise(state::make_cancelled_error(future)?)),
        State::Result => Ok(value::none()),
        State::Exception => {
            future.log_traceback.set(false);
            Ok(future.outcome.get_or_none())
        }
    }
}

fn cancelled<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    flag(this.future().state() == State::Cancelled)
}

fn done<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    flag(!this.future().is_pending())
}

fn get_loop<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    Ok(this.future().loop_.object().unwrap_or_else(value::none))
}

fn add_done_callback<T: FutureLike>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    let [function, ctx] = args.bind(&ADD_DONE_CALLBACK)?;
    let (Some(function), future) = (function, this.future()) else {
        return Ok(value::none());
    };
    future.ensure_alive()?;
    let ctx = match ctx {
        Some(ctx) if !ctx.is_none() => ctx.own(),
        _ => context::copy_current()?,
    };
    state::add_callback(this, function, ctx)?;
    Ok(value::none())
}

fn remove_done_callback<T: FutureLike>(this: &Inst<T>, function: &Any) -> Res<Object> {
    let future = this.future();
    future.ensure_alive()?;
    // The future may lose its last other reference to what the comparison runs.
    let _alive = this.own();
    value::int(i64::try_from(future.callbacks.remove(function)?).unwrap_or(i64::MAX))
}

fn make_cancelled_error<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    state::make_cancelled_error(this.future())
}

fn repr<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    T::repr_function().call1(this.as_any())
}

fn iterate<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    iterator::create(this.as_any())
}

fn get_blocking<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    flag(this.future().blocking.get())
}

fn set_blocking<T: FutureLike>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.future().ensure_alive()?;
    let value = no_delete(value)?.is_truthy()?;
    this.future().blocking.set(value);
    Ok(())
}

fn get_state<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    value::text(match this.future().state() {
        State::Pending => "PENDING",
        State::Cancelled => "CANCELLED",
        State::Result | State::Exception => "FINISHED",
    })
}

fn get_result<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    Ok(match this.future().state() {
        State::Result => this.future().outcome.get_or_none(),
        _ => value::none(),
    })
}

fn get_exception<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    Ok(match this.future().state() {
        State::Exception => this.future().outcome.get_or_none(),
        _ => value::none(),
    })
}

fn get_callbacks<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    let pairs = this.future().callbacks.snapshot()?;
    if pairs.is_empty() {
        return Ok(value::none());
    }
    let tuples = pairs
        .iter()
        .map(|(function, context)| value::tuple(&[function, context]))
        .collect::<Res<Vec<_>>>()?;
    value::list(&tuples)
}

fn get_loop_attribute<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    Ok(this.future().loop_.object().unwrap_or_else(value::none))
}

fn get_source_traceback<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    Ok(this.future().source_traceback().unwrap_or_else(value::none))
}

fn get_cancel_message<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    Ok(this.future().cancel_message().unwrap_or_else(value::none))
}

fn set_cancel_message<T: FutureLike>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.future().set_cancel_message(Some(no_delete(value)?));
    Ok(())
}

fn get_log_traceback<T: FutureLike>(this: &Inst<T>) -> Res<Object> {
    this.future().ensure_alive()?;
    flag(this.future().log_traceback.get())
}

fn set_log_traceback<T: FutureLike>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    if no_delete(value)?.is_truthy()? {
        return Err(Raised::new(
            Kind::Value,
            "_log_traceback can only be set to False",
        ));
    }
    this.future().log_traceback.set(false);
    Ok(())
}

/// `__del__`: an exception that nobody has looked at goes to the loop's exception handler.
pub(crate) fn finalize_future<T: FutureLike>(this: &Inst<T>) {
    if !this.future().log_traceback.replace(false) {
        return;
    }
    if let Err(raised) = report_lost_exception(this) {
        raised.unraisable(Some(this.as_any()));
    }
}

fn report_lost_exception<T: FutureLike>(this: &Inst<T>) -> Res<()> {
    let future = this.future();
    let Some(loop_) = future.loop_.object() else {
        return Ok(());
    };
    let class = this
        .as_any()
        .class()
        .getattr(&names().__name__)?
        .text_lossy();
    let report = value::dict()?;
    let message = format!("{class} exception was never retrieved");
    report.dict_set(&names().message, &*value::text(&message)?)?;
    report.dict_set(&names().exception, &future.outcome.get_or_none())?;
    report.dict_set(&names().future, this.as_any())?;
    if let Some(source) = future.source_traceback() {
        report.dict_set(&names().source_traceback, &source)?;
    }
    loop_.call_method1(&names().call_exception_handler, &report)?;
    Ok(())
}

/// Adds what futures and tasks have in common.
pub(crate) fn common<T: FutureLike>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.repr(repr::<T>)
        .generic()
        .awaits_itself(state::answer::<T>)
        .dunder_iter(iterate::<T>)
        .method0_over_slot(c"__await__", iterate::<T>, c"__await__($self, /)\n--\n\nAn iterator that yields the future until it is done and returns its result.")
        .method0_over_slot(c"__iter__", iterate::<T>, c"__iter__($self, /)\n--\n\nThe same as __await__, for `yield from`.")
        .method0(c"result", result::<T>, c"result($self, /)\n--\n\nThe result.\n\nRaises the exception that was set, CancelledError if it was cancelled, InvalidStateError\nif it is not done.")
        .method0(c"exception", exception::<T>, c"exception($self, /)\n--\n\nThe exception that was set, or None.\n\nRaises CancelledError if it was cancelled, InvalidStateError if it is not done.")
        .method0(c"cancelled", cancelled::<T>, c"cancelled($self, /)\n--\n\nWhether it was cancelled.")
        .method0(c"done", done::<T>, c"done($self, /)\n--\n\nWhether it has a result or an exception or was cancelled.")
        .method0(c"get_loop", get_loop::<T>, c"get_loop($self, /)\n--\n\nThe event loop that it is bound to.")
        .method(c"add_done_callback", add_done_callback::<T>, c"add_done_callback($self, fn, /, *, context=<unrepresentable>)\n--\n\nCall fn(future) through the loop's call_soon() when it is done; soon, if it is.")
        .method1(c"remove_done_callback", remove_done_callback::<T>, c"remove_done_callback($self, fn, /)\n--\n\nRemove every callback that equals fn. Returns how many there were.")
        .method0(c"_make_cancelled_error", make_cancelled_error::<T>, c"_make_cancelled_error($self, /)\n--\n\nThe CancelledError to raise, to be asked for once.")
        .attribute(c"_asyncio_future_blocking", get_blocking::<T>, set_blocking::<T>, c"asyncio's mark of a future; True between `await` and the task's notice.")
        .getter(c"_state", get_state::<T>, c"'PENDING', 'CANCELLED' or 'FINISHED'.")
        .getter(c"_result", get_result::<T>, c"The result, or None.")
        .getter(c"_exception", get_exception::<T>, c"The exception, or None.")
        .getter(c"_callbacks", get_callbacks::<T>, c"List of (callback, context), or None.")
        .getter(c"_loop", get_loop_attribute::<T>, c"The loop.")
        .getter(c"_source_traceback", get_source_traceback::<T>, c"In debug mode, where it was made.")
        .attribute(c"_cancel_message", get_cancel_message::<T>, set_cancel_message::<T>, c"The message given to cancel().")
        .attribute(c"_log_traceback", get_log_traceback::<T>, set_log_traceback::<T>, c"Whether an exception waits to be retrieved; can only be set to False.")
}
