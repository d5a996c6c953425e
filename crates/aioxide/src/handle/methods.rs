//! The Python side of both kinds of handle.

use aioxide_core::clock::ns_to_seconds;

use super::call::{HasCall, TUPLE, args_object, cancel, is_debug};
use super::{Handle, Runnable, TimerHandle};
use crate::event_loop::LoopCore;
use crate::ffi::call::Signature;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::imports;
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot};
use crate::ffi::{context, stack, value};

fn run_method<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    // A callback may run handles by hand.
    stack::check()?;
    this.run(false)?;
    Ok(value::none())
}

fn get_context<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    Ok(this.call().context.get_or_none())
}

fn get_callback<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    Ok(this.call().callback.get_or_none())
}

fn get_args<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    args_object(&**this)
}

fn set_callback<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.call().callback.set(no_delete(value)?.own());
    this.track();
    Ok(())
}

/// Any object, as on asyncio: what is not iterable fails when the callback runs.
fn set_args<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    let args = no_delete(value)?.own();
    let call = this.call();
    this.count().set(TUPLE);
    call.args[0].set(args);
    call.args[1..].iter().for_each(Slot::clear);
    this.track();
    Ok(())
}

fn set_context<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.call().context.set(no_delete(value)?.own());
    this.track();
    Ok(())
}

fn set_loop<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.call().loop_.set(no_delete(value)?.own());
    this.track();
    Ok(())
}

fn set_repr<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.call().set_debug_object(1, no_delete(value)?.own())
}

/// What `when()` gives from now on, and what comparisons look at. The deadline stays: asyncio's heap is not
/// sorted again either.
fn set_when(this: &Inst<TimerHandle>, value: Option<&Any>) -> Res<()> {
    let when = no_delete(value)?;
    this.when.set(when.exact_number().unwrap_or(f64::NAN));
    this.since.set(0);
    this.when_object.set(when.own());
    Ok(())
}

fn get_cancelled<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    flag(this.cancelled().get())
}

fn set_cancelled<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.cancelled().set(no_delete(value)?.is_truthy()?);
    Ok(())
}

fn get_loop<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    Ok(this.call().loop_.get_or_none())
}

fn get_source_traceback<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    Ok(this.call().source_traceback().unwrap_or_else(value::none))
}

fn set_source_traceback<T: HasCall>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    let traceback = value.map_or_else(value::none, Any::own);
    this.call().set_debug_object(0, traceback)
}

fn get_repr<T: HasCall>(this: &Inst<T>) -> Res<Object> {
    Ok(this.call().debug_object(1).unwrap_or_else(value::none))
}

fn cancel_handle(this: &Inst<Handle>) -> Res<Object> {
    cancel(this)?;
    Ok(value::none())
}

fn cancel_timer(this: &Inst<TimerHandle>) -> Res<Object> {
    if this.is_cancelled() {
        return Ok(value::none());
    }
    let loop_ = this.call.loop_.get();
    let native = loop_.as_deref().and_then(Any::downcast::<LoopCore>);
    match (native, &loop_) {
        (Some(core), _) if !core.is_debug() => {
            this.flags.cancelled.set(true);
            this.call.forget_callback();
            this.flags.count.set(0);
            if this.scheduled.get() {
                core.timer_cancelled();
            }
        }
        (Some(core), _) => {
            cancel(this)?;
            if this.scheduled.get() {
                core.timer_cancelled();
            }
        }
        (None, Some(loop_)) => {
            // Another loop's timer: it counts for itself.
            loop_.call_method1(&*value::text("_timer_handle_cancelled")?, this.as_any())?;
            cancel(this)?;
        }
        (None, None) => cancel(this)?,
    }
    Ok(value::none())
}

/// `when` as the caller gave it, or as `time() + delay` gives it.
fn when_object(this: &Inst<TimerHandle>) -> Res<Object> {
    if let Some(object) = this.when_object.get() {
        return Ok(object);
    }
    let began = match this.since.get() {
        0 => 0.0,
        since => ns_to_seconds(since),
    };
    value::float(began + this.when.get())
}

fn get_scheduled(this: &Inst<TimerHandle>) -> Res<Object> {
    flag(this.scheduled.get())
}

fn set_scheduled(this: &Inst<TimerHandle>, value: Option<&Any>) -> Res<()> {
    this.scheduled.set(no_delete(value)?.is_truthy()?);
    Ok(())
}

const HANDLE_INIT: Signature<4> = Signature {
    function: "Handle",
    parameters: [c"callback", c"args", c"loop", c"context"],
    positional: 4,
    required: 3,
};

const TIMER_INIT: Signature<5> = Signature {
    function: "TimerHandle",
    parameters: [c"when", c"callback", c"args", c"loop", c"context"],
    positional: 5,
    required: 4,
};

/// The shared part of both `__init__`: those are for code that makes handles by hand.
fn init_call<T: HasCall>(handle: &T, [callback, args, loop_, ctx]: [Option<&Any>; 4]) -> Res<()> {
    let (Some(callback), Some(args), Some(loop_)) = (callback, args, loop_) else {
        return Err(Raised::type_error(
            "Handle() needs a callback, its arguments and a loop",
        ));
    };
    let ctx = match ctx {
        Some(ctx) if !ctx.is_none() => ctx.own(),
        _ => context::copy_current()?,
    };
    // Any iterable of arguments will do, as in asyncio.
    let args = if args.is_tuple() {
        args.own()
    } else {
        value::tuple_of(args)?
    };
    let call = handle.call();
    call.forget_callback();
    // The very tuple, as `_args` shows it.
    call.args[0].set(args);
    handle.count().set(TUPLE);
    call.callback.set(callback.own());
    call.context.set(ctx);
    handle.cancelled().set(false);
    if is_debug(loop_)? {
        call.capture_source()?;
    }
    call.loop_.set(loop_.own());
    Ok(())
}

fn init_handle(this: &Inst<Handle>, args: Args<'_>) -> Res<()> {
    init_call(&**this, args.bind(&HANDLE_INIT)?)?;
    this.track();
    Ok(())
}

fn init_timer(this: &Inst<TimerHandle>, args: Args<'_>) -> Res<()> {
    let [when, callback, call_args, loop_, ctx] = args.bind(&TIMER_INIT)?;
    let when = when.unwrap_or(value::none_ref());
    if when.is_none() {
        return Err(Raised::type_error("when cannot be None"));
    }
    init_call(&**this, [callback, call_args, loop_, ctx])?;
    this.when.set(when.exact_number().unwrap_or(f64::NAN));
    this.when_object.set(when.own());
    this.since.set(0);
    this.scheduled.set(false);
    this.track();
    Ok(())
}

/// Makes both classes.
pub(super) fn build(
    handles: &'static Class<Handle>,
    timers: &'static Class<TimerHandle>,
) -> Res<()> {
    fn common<T: HasCall>(
        b: crate::ffi::method::TypeBuilder<T>,
    ) -> crate::ffi::method::TypeBuilder<T> {
        b.method0(c"_run", run_method::<T>, c"_run($self, /)\n--\n\nRun the callback in its context; an exception goes to the loop's handler.")
            .method0(c"cancelled", get_cancelled::<T>, c"cancelled($self, /)\n--\n\nWhether the callback was cancelled.")
            .method0(c"get_context", get_context::<T>, c"get_context($self, /)\n--\n\nThe contextvars.Context that the callback runs in.")
            .attribute(c"_callback", get_callback::<T>, set_callback::<T>, c"The callback; None once cancelled.")
            .attribute(c"_args", get_args::<T>, set_args::<T>, c"The callback's arguments; None once cancelled.")
            .attribute(c"_cancelled", get_cancelled::<T>, set_cancelled::<T>, c"Whether it was cancelled.")
            .attribute(c"_loop", get_loop::<T>, set_loop::<T>, c"The loop.")
            .attribute(c"_context", get_context::<T>, set_context::<T>, c"The context.")
            .attribute(c"_source_traceback", get_source_traceback::<T>, set_source_traceback::<T>, c"In debug mode, where it was made.")
            .attribute(c"_repr", get_repr::<T>, set_repr::<T>, c"The repr kept by a cancel in debug mode.")
    }
    handles.build(&imports().handle_base, |b| {
        common(b)
            .doc(c"Handle(callback, args, loop, context=None)\n--\n\nA callback that call_soon() has scheduled.")
            .init(init_handle)
            .method0(c"cancel", cancel_handle, c"cancel($self, /)\n--\n\nDo not run the callback. Cancelling again does nothing.")
    })?;
    timers.build(&imports().timer_handle_base, |b| {
        common(b)
            .doc(c"TimerHandle(when, callback, args, loop, context=None)\n--\n\nA callback that call_later() or call_at() has scheduled.")
            .init(init_timer)
            .method0(c"cancel", cancel_timer, c"cancel($self, /)\n--\n\nDo not run the callback. Cancelling again does nothing.")
            .method0(c"when", when_object, c"when($self, /)\n--\n\nThe scheduled time in seconds of loop.time(), exactly as it was given.")
            .attribute(c"_when", when_object, set_when, c"The scheduled time.")
            .attribute(c"_scheduled", get_scheduled, set_scheduled, c"Whether the loop still has it among its timers.")
    })?;
    Ok(())
}
