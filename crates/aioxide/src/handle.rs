//! `Handle` and `TimerHandle`: a callback that the loop will run, once or never.
//!
//! Both stand on asyncio's own classes, which are Python classes with `__slots__`: those slots
//! stay empty, and getters of the same names answer from the Rust state. So asyncio's own
//! `__repr__`, comparisons and hash run unchanged on ours.
//!
//! A handle is not tracked by the garbage collector while only the loop's queue holds it. What
//! the queue lets go of and others still hold is tracked from then on, so that a cycle through
//! a handle that somebody keeps can be collected.

use std::cell::Cell;

use aioxide_core::clock::ns_to_seconds;
use aioxide_core::timers::TimerEntry;

use crate::event_loop::LoopCore;
use crate::ffi::error::is_exit_exception;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit};
use crate::ffi::{call::Signature, context, value};

/// How many arguments lie in the handle itself; more go into a tuple.
const INLINE: usize = 3;
/// `count` of a call whose arguments are the tuple in `args[0]`.
const TUPLE: u8 = u8::MAX;

/// What a handle will call, and for whom. References only: see `Native::OVERLAY`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Call {
    callback: Slot,
    args: [Slot; INLINE],
    context: Slot,
    loop_: Slot,
    /// `[source traceback, repr from before a cancel]`, in debug mode.
    debug: Slot,
}

/// The part of a handle that is no reference.
#[derive(Debug, Default)]
struct Flags {
    count: Cell<u8>,
    cancelled: Cell<bool>,
}

/// A state that has a call: what lets the two classes share everything.
pub(crate) trait HasCall: Native {
    fn call(&self) -> &Call;
    #[doc(hidden)]
    fn count(&self) -> &Cell<u8>;
    fn cancelled(&self) -> &Cell<bool>;
}

impl Call {
    /// The call, and the count that goes with it.
    #[inline(always)]
    fn new(callback: Object, args: &[&Any], loop_: Object, ctx: Object) -> Res<(Call, u8)> {
        let own = |index: usize| Slot::new(args.get(index).map(|arg| arg.own()));
        let (args, count) = if args.len() <= INLINE {
            (
                [own(0), own(1), own(2)],
                u8::try_from(args.len()).unwrap_or(0),
            )
        } else {
            (
                [
                    Slot::new(Some(value::tuple(args)?)),
                    Slot::default(),
                    Slot::default(),
                ],
                TUPLE,
            )
        };
        let call = Call {
            callback: Slot::new(Some(callback)),
            args,
            context: Slot::new(Some(ctx)),
            loop_: Slot::new(Some(loop_)),
            debug: Slot::default(),
        };
        Ok((call, count))
    }

    fn traverse(&self, visit: &mut Visit) {
        self.callback.visit(visit);
        for arg in &self.args {
            arg.visit(visit);
        }
        self.context.visit(visit);
        self.loop_.visit(visit);
        self.debug.visit(visit);
    }

    fn clear(&self) {
        self.forget_callback();
        self.context.clear();
        self.loop_.clear();
        self.debug.clear();
    }

    fn forget_callback(&self) {
        self.callback.clear();
        for arg in &self.args {
            arg.clear();
        }
    }

    /// One of the two objects of `debug`.
    fn debug_object(&self, index: usize) -> Option<Object> {
        let objects = self.debug.get()?.list_items();
        objects
            .into_iter()
            .nth(index)
            .filter(|object| !object.is_none())
    }

    fn set_debug_object(&self, index: usize, object: Object) -> Res<()> {
        let mut objects = [0, 1].map(|i| self.debug_object(i).unwrap_or_else(value::none));
        objects[index] = object;
        self.debug.set(value::list(&objects)?);
        Ok(())
    }

    fn source_traceback(&self) -> Option<Object> {
        self.debug_object(0)
    }

    /// Takes asyncio's stack of the caller, in debug mode.
    fn capture_source(&self) -> Res<()> {
        self.set_debug_object(0, imports().extract_stack.call0()?)
    }
}

fn inline_count<T: HasCall>(handle: &T) -> usize {
    usize::from(handle.count().get()).min(INLINE)
}

/// Python's `_args`: a tuple, `None` after a cancel.
fn args_object<T: HasCall>(handle: &T) -> Res<Object> {
    let call = handle.call();
    if handle.cancelled().get() && call.callback.is_none() {
        return Ok(value::none());
    }
    if handle.count().get() == TUPLE {
        return Ok(call.args[0].get_or_none());
    }
    let owned: Vec<Object> = call.args[..inline_count(handle)]
        .iter()
        .map(Slot::get_or_none)
        .collect();
    value::tuple(&owned.iter().map(|arg| &**arg).collect::<Vec<_>>())
}

/// Runs the callback in its context.
///
/// `exclusive` says that nobody but the caller holds the handle, so that what it calls need not
/// be counted again for the time of the call.
#[inline]
fn invoke<T: HasCall>(handle: &T, exclusive: bool) -> Res<()> {
    let call = handle.call();
    let take = |slot: &Slot| if exclusive { slot.take() } else { slot.get() };
    let (Some(callback), Some(ctx)) = (take(&call.callback), take(&call.context)) else {
        return Ok(());
    };
    let args: [Option<Object>; INLINE] = [
        take(&call.args[0]),
        take(&call.args[1]),
        take(&call.args[2]),
    ];
    let outcome = if handle.count().get() == TUPLE {
        let tuple = args[0].as_deref().unwrap_or(value::none_ref());
        context::run(&ctx, || callback.call_tuple(tuple))
    } else {
        // Slot 0 is the spare one of the vectorcall protocol.
        let place = |arg: &Option<Object>| match arg {
            Some(arg) => &raw const **arg,
            None => std::ptr::null(),
        };
        let mut spare_and_args = [
            std::ptr::null::<Any>(),
            place(&args[0]),
            place(&args[1]),
            place(&args[2]),
        ];
        let count = inline_count(handle);
        context::run(&ctx, || {
            callback.call_with_spare(&mut spare_and_args[..=count])
        })
    };
    match outcome {
        Ok(Ok(_)) => Ok(()),
        Err(raised) | Ok(Err(raised)) => {
            if exclusive {
                // The report shows the handle as it was.
                call.callback.set(callback);
                for (slot, arg) in call.args.iter().zip(args) {
                    drop(slot.replace(arg));
                }
                call.context.set(ctx);
            }
            Err(raised)
        }
    }
}

/// asyncio's report of a callback that raised. Gives back what must leave the loop.
#[cold]
fn report<T: HasCall>(handle: &Inst<T>, raised: Raised) -> Res<()> {
    let exception = raised.take();
    if is_exit_exception(&exception) {
        return Err(Raised::raise(exception));
    }
    let call = handle.call();
    let (Some(callback), Some(loop_)) = (call.callback.get(), call.loop_.get()) else {
        Raised::raise(exception).unraisable(Some(handle.as_any()));
        return Ok(());
    };
    let args = args_object(&**handle)?;
    let source = if imports().version >= (3, 13) {
        let debug = loop_.call_method0(&names().get_debug)?;
        let names = value::tuple(&[&*value::text("debug")?])?;
        imports()
            .format_callback_source
            .call_names(&[&callback, &args, &debug], &names)?
    } else {
        imports().format_callback_source.call(&[&callback, &args])?
    };
    let report = value::dict()?;
    let message = format!("Exception in callback {}", source.text_lossy());
    report.dict_set(&names().message, &*value::text(&message)?)?;
    report.dict_set(&names().exception, &exception)?;
    report.dict_set(&names().handle, handle.as_any())?;
    if let Some(source) = call.source_traceback() {
        report.dict_set(&names().source_traceback, &source)?;
    }
    loop_.call_method1(&names().call_exception_handler, &report)?;
    Ok(())
}

fn cancel<T: HasCall>(handle: &Inst<T>) -> Res<()> {
    if handle.cancelled().replace(true) {
        return Ok(());
    }
    let call = handle.call();
    if let Some(loop_) = call.loop_.get()
        && is_debug(&loop_)?
    {
        // The report of a slow callback shows what it was, also after it cancelled itself.
        let repr = handle.as_any().repr()?;
        call.set_debug_object(1, repr)?;
    }
    call.forget_callback();
    handle.count().set(0);
    Ok(())
}

fn is_debug(loop_: &Any) -> Res<bool> {
    if let Some(core) = loop_.downcast::<LoopCore>() {
        return Ok(core.is_debug());
    }
    loop_.call_method0(&names().get_debug)?.is_truthy()
}

/// `aioxide.Handle`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Handle {
    call: Call,
    flags: Flags,
}

/// `aioxide.TimerHandle`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct TimerHandle {
    call: Call,
    /// The caller's own object for the time, if it was no float.
    when_object: Slot,
    /// Over asyncio's second slot of a timer; always empty.
    _unused: Slot,
    flags: Flags,
    scheduled: Cell<bool>,
    /// Seconds of the loop's clock; behind `since`, if that is set.
    when: Cell<f64>,
    /// The clock when a delay began, in nanoseconds; 0 for a time that was given as such.
    since: Cell<u64>,
}

/// The time of a timer.
#[derive(Debug)]
pub(crate) enum When {
    /// A time in seconds, and the caller's own object if it was no float.
    At(f64, Option<Object>),
    /// So many seconds after the clock's nanosecond.
    After(u64, f64),
}

/// Dead handles kept for reuse while the loop is busy: for a burst of 100,000 callbacks this halves
/// what each of them costs (allocating and unmapping is the other half).
const POOL: usize = 131_072;
/// What is kept of them when the loop goes to sleep, in the end.
const POOL_ASLEEP: usize = 2048;

static HANDLE: Class<Handle> = Class::new(POOL);
static TIMER_HANDLE: Class<TimerHandle> = Class::new(POOL);

/// The loop goes to sleep: gives back some of what a burst has left.
#[inline]
pub(crate) fn trim_pools() {
    HANDLE.trim(POOL_ASLEEP);
    TIMER_HANDLE.trim(POOL_ASLEEP);
}

impl Native for Handle {
    const NAME: &'static std::ffi::CStr = c"aioxide.Handle";
    const TRACKED: bool = false;
    const OVERLAY: usize = 7;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &HANDLE
    }
    fn empty() -> Self {
        Handle::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.call.traverse(visit);
    }
    fn clear(&self) {
        self.call.clear();
    }
}

impl Native for TimerHandle {
    const NAME: &'static std::ffi::CStr = c"aioxide.TimerHandle";
    const TRACKED: bool = false;
    const OVERLAY: usize = 9;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &TIMER_HANDLE
    }
    fn empty() -> Self {
        TimerHandle::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.call.traverse(visit);
        self.when_object.visit(visit);
    }
    fn clear(&self) {
        self.call.clear();
        self.when_object.clear();
    }
}

impl HasCall for Handle {
    #[inline(always)]
    fn call(&self) -> &Call {
        &self.call
    }
    #[inline(always)]
    fn count(&self) -> &Cell<u8> {
        &self.flags.count
    }
    #[inline(always)]
    fn cancelled(&self) -> &Cell<bool> {
        &self.flags.cancelled
    }
}

impl HasCall for TimerHandle {
    #[inline(always)]
    fn call(&self) -> &Call {
        &self.call
    }
    #[inline(always)]
    fn count(&self) -> &Cell<u8> {
        &self.flags.count
    }
    #[inline(always)]
    fn cancelled(&self) -> &Cell<bool> {
        &self.flags.cancelled
    }
}

impl TimerEntry for Own<TimerHandle> {
    fn is_cancelled(&self) -> bool {
        self.flags.cancelled.get()
    }
}

impl Handle {
    /// A handle for `callback(*args)`.
    #[inline(always)]
    pub(crate) fn create(
        callback: Object,
        args: &[&Any],
        loop_: Object,
        ctx: Object,
    ) -> Res<Own<Handle>> {
        let (call, count) = Call::new(callback, args, loop_, ctx)?;
        let flags = Flags {
            count: Cell::new(count),
            cancelled: Cell::new(false),
        };
        HANDLE.create(Handle { call, flags })
    }

    #[inline(always)]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags.cancelled.get()
    }

    pub(crate) fn capture_source(&self) -> Res<()> {
        self.call.capture_source()
    }
}

impl Inst<Handle> {
    /// Reports an exception as if the callback had raised it.
    pub(crate) fn report(&self, raised: Raised) -> Res<()> {
        report(self, raised)
    }

    /// Python's `handle.cancel()`.
    pub(crate) fn cancel(&self) -> Res<()> {
        cancel(self)
    }
}

impl TimerHandle {
    /// A timer for `callback(*args)`.
    #[inline(always)]
    pub(crate) fn create(
        callback: Object,
        args: &[&Any],
        loop_: Object,
        ctx: Object,
        when: When,
    ) -> Res<Own<TimerHandle>> {
        let (call, count) = Call::new(callback, args, loop_, ctx)?;
        let (when, since, when_object) = match when {
            When::At(when, object) => (when, 0, object),
            When::After(since, delay) => (delay, since, None),
        };
        TIMER_HANDLE.create(TimerHandle {
            call,
            when_object: Slot::new(when_object),
            _unused: Slot::default(),
            flags: Flags {
                count: Cell::new(count),
                cancelled: Cell::new(false),
            },
            scheduled: Cell::new(true),
            when: Cell::new(when),
            since: Cell::new(since),
        })
    }

    #[inline(always)]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags.cancelled.get()
    }

    pub(crate) fn set_unscheduled(&self) {
        self.scheduled.set(false);
    }

    pub(crate) fn capture_source(&self) -> Res<()> {
        self.call.capture_source()
    }
}

/// Runs a handle that the queue has given up: the loop's way.
#[inline]
pub(crate) fn run_owned<T: Native>(handle: Own<T>) -> Res<()>
where
    Inst<T>: Runnable,
{
    let exclusive = handle.as_any().refcount() == 1;
    let result = handle.run(exclusive);
    release(handle);
    result
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "it lets go of what it is given"
)]
/// Lets go of a handle that was in a queue. If others hold it, the collector must know it now.
pub(crate) fn release<T: Native>(handle: Own<T>) {
    if handle.as_any().refcount() > 1 {
        handle.track();
    }
}

/// Something the loop can run and report on.
pub(crate) trait Runnable {
    fn run(&self, exclusive: bool) -> Res<()>;
}

impl<T: HasCall> Runnable for Inst<T> {
    #[inline]
    fn run(&self, exclusive: bool) -> Res<()> {
        match invoke(&**self, exclusive && self.is_exact()) {
            Ok(()) => Ok(()),
            Err(raised) => report(self, raised),
        }
    }
}

fn run_method<T: HasCall>(this: &Inst<T>) -> Res<Object> {
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
        crate::ffi::module::import("builtins")?
            .getattr(&*value::text("tuple")?)?
            .call1(args)?
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
pub(crate) fn build() -> Res<()> {
    fn common<T: HasCall>(
        b: crate::ffi::method::TypeBuilder<T>,
    ) -> crate::ffi::method::TypeBuilder<T> {
        b.method0(c"_run", run_method::<T>, c"_run($self, /)\n--\n\nRun the callback in its context; an exception goes to the loop's handler.")
            .method0(c"cancelled", get_cancelled::<T>, c"cancelled($self, /)\n--\n\nWhether the callback was cancelled.")
            .method0(c"get_context", get_context::<T>, c"get_context($self, /)\n--\n\nThe contextvars.Context that the callback runs in.")
            .getter(c"_callback", get_callback::<T>, c"The callback; None once cancelled.")
            .getter(c"_args", get_args::<T>, c"The callback's arguments; None once cancelled.")
            .attribute(c"_cancelled", get_cancelled::<T>, set_cancelled::<T>, c"Whether it was cancelled.")
            .getter(c"_loop", get_loop::<T>, c"The loop.")
            .getter(c"_context", get_context::<T>, c"The context.")
            .attribute(c"_source_traceback", get_source_traceback::<T>, set_source_traceback::<T>, c"In debug mode, where it was made.")
            .getter(c"_repr", get_repr::<T>, c"The repr kept by a cancel in debug mode.")
    }
    HANDLE.build(&imports().handle_base, |b| {
        common(b)
            .doc(c"Handle(callback, args, loop, context=None)\n--\n\nA callback that call_soon() has scheduled.")
            .init(init_handle)
            .method0(c"cancel", cancel_handle, c"cancel($self, /)\n--\n\nDo not run the callback. Cancelling again does nothing.")
    })?;
    TIMER_HANDLE.build(&imports().timer_handle_base, |b| {
        common(b)
            .doc(c"TimerHandle(when, callback, args, loop, context=None)\n--\n\nA callback that call_later() or call_at() has scheduled.")
            .init(init_timer)
            .method0(c"cancel", cancel_timer, c"cancel($self, /)\n--\n\nDo not run the callback. Cancelling again does nothing.")
            .method0(c"when", when_object, c"when($self, /)\n--\n\nThe scheduled time in seconds of loop.time(), exactly as it was given.")
            .getter(c"_when", when_object, c"The scheduled time.")
            .attribute(c"_scheduled", get_scheduled, set_scheduled, c"Whether the loop still has it among its timers.")
    })?;
    Ok(())
}
