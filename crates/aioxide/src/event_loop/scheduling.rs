//! `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`, `create_task`, `create_future`.

use aioxide_core::clock::{Nanos, delay_to_ns, ns_to_seconds, seconds_to_ns};

use super::{Entry, LoopCore, Timer};
use crate::ffi::call::Leading;
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Own, Raised, Res, context, gil, value};
use crate::future::{self, LoopSlot};
use crate::handle::{Handle, TimerHandle, When};
use crate::task::{self, NewTask};
use crate::tuning;

const CALL_SOON: Leading<1> = Leading {
    function: "call_soon",
    parameters: [c"callback"],
    keyword: Some(c"context"),
};
const CALL_SOON_THREADSAFE: Leading<1> = Leading {
    function: "call_soon_threadsafe",
    ..CALL_SOON
};
const CALL_AT: Leading<2> = Leading {
    function: "call_at",
    parameters: [c"when", c"callback"],
    keyword: Some(c"context"),
};
const CALL_LATER: Leading<2> = Leading {
    function: "call_later",
    parameters: [c"delay", c"callback"],
    keyword: Some(c"context"),
};

/// The given context, or a copy of the current one.
#[inline]
fn context_of(ctx: Option<&Any>) -> Res<Object> {
    match ctx {
        Some(ctx) => Ok(ctx.own()),
        None => context::copy_current(),
    }
}

/// asyncio's checks in debug mode.
#[cold]
fn debug_checks(this: &Inst<LoopCore>, callback: &Any, method: &str, thread: bool) -> Res<()> {
    if thread && this.thread.get() != 0 && this.thread.get() != gil::thread_ident() {
        return Err(Raised::runtime(
            "Non-thread-safe operation invoked on an event loop other than the current one",
        ));
    }
    this.as_any().call_method2(
        &*value::text("_check_callback")?,
        callback,
        &*value::text(method)?,
    )?;
    Ok(())
}

#[inline]
fn call_soon(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let ([callback], rest, ctx) = args.leading(&CALL_SOON)?;
    this.check_open()?;
    if this.debug.get() {
        debug_checks(this, callback, "call_soon", true)?;
    }
    let handle = Handle::create(callback.own(), rest, this.as_any().own(), context_of(ctx)?)?;
    if this.debug.get() {
        handle.capture_source()?;
    }
    push(this, handle.clone())?;
    Ok(handle.into_object())
}

#[inline(always)]
fn push(this: &Inst<LoopCore>, handle: Own<Handle>) -> Res<()> {
    let mut ready = this.ready.borrow_mut();
    ready.reserve()?;
    ready.push(Entry::Handle(handle));
    Ok(())
}

fn call_soon_threadsafe(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let ([callback], rest, ctx) = args.leading(&CALL_SOON_THREADSAFE)?;
    this.check_open()?;
    if this.debug.get() {
        debug_checks(this, callback, "call_soon_threadsafe", false)?;
    }
    if let Some(class) = &imports().thread_safe_handle {
        return call_soon_with_lock(this, class, callback, rest, ctx);
    }
    let handle = Handle::create(callback.own(), rest, this.as_any().own(), context_of(ctx)?)?;
    if this.debug.get() {
        handle.capture_source()?;
    }
    // With the GIL held the queue is ours from any thread.
    push(this, handle.clone())?;
    this.wake_from_thread();
    Ok(handle.into_object())
}

/// 3.14+: a handle that another thread cancels while it runs makes that thread wait. That is
/// asyncio's own class, with its lock.
fn call_soon_with_lock(
    this: &Inst<LoopCore>,
    class: &Any,
    callback: &Any,
    args: &[&Any],
    ctx: Option<&Any>,
) -> Res<Object> {
    let args = value::tuple(args)?;
    let ctx = ctx.unwrap_or(value::none_ref());
    let handle = class.call(&[callback, &args, this.as_any(), ctx])?;
    if this.debug.get() {
        // Its last frame is that of the class's own `__init__`.
        handle
            .getattr(&names()._source_traceback)?
            .call_method0(&names().pop)?;
    }
    this.ready.borrow_mut().push(Entry::Foreign(handle.clone()));
    this.wake_from_thread();
    Ok(handle)
}

impl Inst<LoopCore> {
    /// `call_soon_threadsafe` has added to the queue: wakes the loop if it sleeps, and gives other
    /// threads the GIL if the queue is long.
    ///
    /// asyncio writes to its self-pipe at each call and releases the GIL meanwhile. That is what
    /// bounds its queue: without it, threads in a tight loop add callbacks faster than the loop,
    /// which gets the GIL as seldom as each of them, can run them, and each iteration is longer
    /// than the one before. Below the limit there is nothing to bound.
    fn wake_from_thread(&self) {
        self.notify();
        let runs_loop = self.thread.get();
        if self.queued() > tuning::THREAD_BACKLOG
            && runs_loop != 0
            && runs_loop != gil::thread_ident()
        {
            gil::released(std::thread::yield_now);
        }
    }
}

/// The float of a time that was given; other numbers as Python converts them.
#[inline]
fn seconds(object: &Any) -> Res<f64> {
    match object.exact_number() {
        Some(seconds) => Ok(seconds),
        None => object.to_f64(),
    }
}

#[inline]
fn schedule(
    this: &Inst<LoopCore>,
    deadline: Option<Nanos>,
    when: When,
    callback: &Any,
    args: &[&Any],
    ctx: Option<&Any>,
) -> Res<Own<TimerHandle>> {
    let Some(deadline) = deadline else {
        return Err(Raised::new(Kind::Value, "Invalid value NaN (not a number)"));
    };
    let timer = TimerHandle::create(
        callback.own(),
        args,
        this.as_any().own(),
        context_of(ctx)?,
        when,
    )?;
    if this.debug.get() {
        timer.capture_source()?;
    }
    this.reserve_timer()?;
    this.timers
        .borrow_mut()
        .push(deadline, Timer::Handle(timer.clone()));
    Ok(timer)
}

fn call_at(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let ([when, callback], rest, ctx) = args.leading(&CALL_AT)?;
    if when.is_none() {
        return Err(Raised::type_error("when cannot be None"));
    }
    this.check_open()?;
    if this.debug.get() {
        debug_checks(this, callback, "call_at", true)?;
    }
    let time = seconds(when)?;
    let object = (!when.is_exact_float()).then(|| when.own());
    let deadline = seconds_to_ns(time);
    Ok(schedule(this, deadline, When::At(time, object), callback, rest, ctx)?.into_object())
}

fn call_later(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let ([delay, callback], rest, ctx) = args.leading(&CALL_LATER)?;
    if delay.is_none() {
        return Err(Raised::type_error("delay must not be None"));
    }
    if !this.is_plain() {
        return call_at_patched(this, delay, callback, rest, ctx);
    }
    let now = this.now();
    let number = delay.exact_number();
    // Any number that can be added to a float. What cannot is asyncio's first complaint.
    let sum = match number {
        Some(_) => None,
        None => Some(value::float(ns_to_seconds(now))?.add(delay)?),
    };
    this.check_open()?;
    if this.debug.get() {
        debug_checks(this, callback, "call_at", true)?;
    }
    let (deadline, when) = if let Some(delay) = number {
        (delay_to_ns(now, delay), When::After(now, delay))
    } else {
        let sum = sum.unwrap_or_else(value::none);
        let time = seconds(&sum)?;
        let object = (!sum.is_exact_float()).then_some(sum);
        (seconds_to_ns(time), When::At(time, object))
    };
    Ok(schedule(this, deadline, when, callback, rest, ctx)?.into_object())
}

/// `call_later` as asyncio has it, where a program has replaced `time` or `call_at`.
#[cold]
fn call_at_patched(
    this: &Inst<LoopCore>,
    delay: &Any,
    callback: &Any,
    args: &[&Any],
    ctx: Option<&Any>,
) -> Res<Object> {
    let loop_ = this.as_any();
    let when = loop_.call_method0(&names().time)?.add(delay)?;
    let mut all = vec![&*when, callback];
    all.extend(args);
    all.push(ctx.unwrap_or(value::none_ref()));
    loop_
        .getattr(&names().call_at)?
        .call_names(&all, &imports().context_names)
}

fn time(this: &Inst<LoopCore>) -> Res<Object> {
    value::float(ns_to_seconds(this.now()))
}

/// `_use_virtual_clock(start)`: for tests.
fn use_virtual_clock(this: &Inst<LoopCore>, start: &Any) -> Res<Object> {
    let Some(start @ 1..) = seconds_to_ns(start.to_f64()?) else {
        return Err(Raised::new(Kind::Value, "a clock starts after 0"));
    };
    this.virtual_now.set(start);
    Ok(value::none())
}

impl Inst<LoopCore> {
    /// A timer of ours was cancelled; when too many are, the heap is cleared of them.
    #[inline]
    pub(crate) fn timer_cancelled(&self) {
        let mut dead = self.graveyard.take();
        let last = self.timers.borrow_mut().note_cancelled(&mut dead);
        if let Some(timer) = last {
            timer.bury();
        }
        if dead.is_empty() {
            self.graveyard.set(dead);
        } else {
            self.bury(dead);
        }
    }
}

fn create_future(this: &Inst<LoopCore>) -> Res<Object> {
    let future = future::create(LoopSlot::native(this))?;
    if this.debug.get() {
        future::FutureLike::future(&**future).capture_source()?;
    }
    Ok(future.into_object())
}

/// The keywords of `create_task`, and whether there are others than these.
#[derive(Debug, Default)]
pub(crate) struct TaskKeywords<'a> {
    name: Option<&'a Any>,
    context: Option<&'a Any>,
    /// Only where the running Python passes it on to the task; else it is one of the others.
    eager_start: Option<&'a Any>,
    others: bool,
}

impl<'a> TaskKeywords<'a> {
    #[inline]
    pub(crate) fn of(args: &Args<'a>) -> TaskKeywords<'a> {
        let mut keywords = TaskKeywords::default();
        for (key, value) in args.names.iter().zip(args.keywords) {
            if key.is_text(c"name") {
                keywords.name = Some(value);
            } else if key.is_text(c"context") {
                keywords.context = Some(value);
            } else if key.is_text(c"eager_start") && imports().create_task_passes_keywords {
                keywords.eager_start = Some(value);
            } else {
                keywords.others = true;
            }
        }
        keywords
    }

    /// Whether it was said how the task starts.
    #[inline]
    pub(crate) fn is_eager(&self) -> bool {
        self.eager_start.is_some()
    }

    /// What the task is made of, if it can be made here.
    #[inline]
    pub(crate) fn task_of(&self, coro: &'a Any) -> Res<Option<NewTask<'a>>> {
        if self.others {
            return Ok(None);
        }
        Ok(Some(NewTask {
            coro,
            name: self.name,
            context: self.context,
            eager: self.eager_start.map_or(Ok(false), Any::is_truthy)?,
        }))
    }
}

/// `create_task(coro, *, name=None, context=None, ...)`.
///
/// Without a task factory and with keywords that we know, the task is made here.
fn create_task(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let keywords = TaskKeywords::of(&args);
    let &[coro] = args.positional else {
        return create_task_by_python(this, &args);
    };
    if let Some(factory) = this.task_factory.get() {
        return create_task_by_factory(this, &factory, &args, &keywords);
    }
    let Some(new) = keywords.task_of(coro)? else {
        return create_task_by_python(this, &args);
    };
    this.check_open()?;
    Ok(task::create(this, &new)?.into_object())
}

/// Lets the task factory make the task, called as the running Python's BaseEventLoop calls it.
///
/// Since 3.13.3 that is with all keywords. Before, the factory got the context if there was one,
/// and the name was set on what it made (in 3.13 also the name `None`).
fn create_task_by_factory(
    this: &Inst<LoopCore>,
    factory: &Any,
    args: &Args<'_>,
    keywords: &TaskKeywords<'_>,
) -> Res<Object> {
    let passes_all = imports().create_task_passes_keywords;
    if !passes_all && (keywords.others || (keywords.name.is_some() && imports().version < (3, 13)))
    {
        return create_task_by_python(this, args);
    }
    this.check_open()?;
    let coro = args.positional[0];
    if passes_all {
        let mut given = vec![this.as_any(), coro];
        given.extend(args.keywords);
        return factory.call_names(&given, &*value::tuple(args.names)?);
    }
    let task = match keywords.context {
        Some(ctx) if !ctx.is_none() => {
            factory.call_names(&[this.as_any(), coro, ctx], &imports().context_names)?
        }
        _ => factory.call(&[this.as_any(), coro])?,
    };
    if imports().version >= (3, 13) {
        task.call_method1(
            &names().set_name,
            keywords.name.unwrap_or(value::none_ref()),
        )?;
    }
    Ok(task)
}

/// Everything else is BaseEventLoop's, or that of the running Python's Task.
#[cold]
fn create_task_by_python(this: &Inst<LoopCore>, args: &Args<'_>) -> Res<Object> {
    let mut all = vec![this.as_any()];
    all.extend(args.positional.iter().chain(args.keywords));
    let names = value::tuple(args.names)?;
    if this.task_factory.is_none() && imports().create_task_passes_keywords {
        let method = this.as_any().getattr(&*value::text("_create_task_here")?)?;
        return method.call_names(&all[1..], &names);
    }
    imports().base_create_task.call_names(&all, &names)
}

fn add_callback(this: &Inst<LoopCore>, handle: &Any) -> Res<Object> {
    if handle.getattr(&names()._cancelled)?.is_truthy()? {
        return Ok(value::none());
    }
    let entry = match handle.as_exact::<Handle>() {
        Some(handle) => Entry::Handle(handle.own()),
        None => Entry::Foreign(handle.own()),
    };
    this.ready.borrow_mut().push(entry);
    Ok(value::none())
}

fn write_to_self(this: &Inst<LoopCore>) -> Res<Object> {
    this.notify();
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    // As the running Python's BaseEventLoop has it.
    let create_task_doc = if imports().create_task_passes_keywords {
        c"create_task($self, coro, **kwargs)\n--\n\nSchedule a coroutine. Returns a Task, or what the task factory makes."
    } else {
        c"create_task($self, coro, *, name=None, context=None)\n--\n\nSchedule a coroutine. Returns a Task, or what the task factory makes."
    };
    b.method(c"call_soon", call_soon, c"call_soon($self, callback, *args, context=None)\n--\n\nCall callback(*args) in the next turn of the loop. Returns a Handle.\n\nRaises RuntimeError if the loop is closed.")
        .method(c"call_soon_threadsafe", call_soon_threadsafe, c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nLike call_soon(), from any thread: a sleeping loop is woken.")
        .method(c"call_later", call_later, c"call_later($self, delay, callback, *args, context=None)\n--\n\nCall callback(*args) after delay seconds, never earlier. Returns a TimerHandle.")
        .method(c"call_at", call_at, c"call_at($self, when, callback, *args, context=None)\n--\n\nCall callback(*args) when time() reaches when, in seconds. Returns a TimerHandle.\n\nEqual times run in the order in which they were scheduled.")
        .method0(c"time", time, c"time($self, /)\n--\n\nThe loop's time in seconds: time.monotonic().")
        .method1(c"_use_virtual_clock", use_virtual_clock, c"_use_virtual_clock($self, start, /)\n--\n\nCount the time from start, and jump to the next deadline instead of waiting for it. For tests.")
        .method0(c"create_future", create_future, c"create_future($self, /)\n--\n\nA Future bound to this loop.")
        .method(c"create_task", create_task, create_task_doc)
        .method1(c"_add_callback", add_callback, c"_add_callback($self, handle, /)\n--\n\nPut a handle into the queue.")
        .method0(c"_write_to_self", write_to_self, c"_write_to_self($self, /)\n--\n\nWake the loop if it sleeps.")
}
