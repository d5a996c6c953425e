//! The Python side of `Task`.

use super::{Task, cancel, registry, step};
use crate::coroutine;
use crate::event_loop::LoopCore;
use crate::ffi::call::Signature;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Object, Own, Raised, Res};
use crate::ffi::{context, stack, task_mirror, value};
use crate::future::{self, FutureState, LoopSlot};

const INIT: Signature<5> = Signature {
    function: "Task",
    parameters: [c"coro", c"loop", c"name", c"context", c"eager_start"],
    positional: 1,
    required: 1,
};
const GET_STACK: Signature<1> = Signature {
    function: "get_stack",
    parameters: [c"limit"],
    positional: 0,
    required: 0,
};
const PRINT_STACK: Signature<2> = Signature {
    function: "print_stack",
    parameters: [c"limit", c"file"],
    positional: 0,
    required: 0,
};

fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a new task is made of.
#[derive(Debug)]
pub(crate) struct NewTask<'a> {
    pub(crate) coro: &'a Any,
    pub(crate) name: Option<&'a Any>,
    pub(crate) context: Option<&'a Any>,
    /// Whether the first step runs at once, if the loop runs.
    pub(crate) eager: bool,
}

/// `loop.create_task(coro)` on our own loop.
#[inline]
pub(crate) fn create(core: &Inst<LoopCore>, new: &NewTask<'_>) -> Res<Own<Task>> {
    check_coroutine(new.coro)?;
    let this = Task::class_create(FutureState::with_loop(LoopSlot::native(core)))?;
    set_up(&this, new)?;
    if core.is_debug() {
        this.future.capture_source()?;
    }
    if new.eager
        && core
            .as_any()
            .call_method0(&names().is_running)?
            .is_truthy()?
    {
        start_eagerly(&this)?;
    } else {
        start(&this)?;
    }
    Ok(this)
}

impl Task {
    #[inline]
    fn class_create(future: FutureState) -> Res<Own<Task>> {
        super::TASK.create(Task {
            future,
            ..Task::default()
        })
    }
}

fn check_coroutine(coro: &Any) -> Res<()> {
    if coro.is_native_coroutine()
        || coroutine::is_ours(coro)
        || imports().iscoroutine.call1(coro)?.is_truthy()?
    {
        return Ok(());
    }
    Err(Raised::type_error(&format!(
        "a coroutine was expected, got {}",
        coro.repr_lossy()
    )))
}

/// Everything but the start.
#[inline]
fn set_up(this: &Inst<Task>, new: &NewTask<'_>) -> Res<()> {
    this.context.set(match new.context {
        Some(ctx) if !ctx.is_none() => {
            if imports().version >= (3, 15) && !context::is_context(ctx) {
                this.log_destroy_pending.set(false);
                return Err(Raised::type_error(&format!(
                    "a contextvars.Context was expected, got {}",
                    ctx.repr_lossy()
                )));
            }
            ctx.own()
        }
        _ => context::copy_current()?,
    });
    this.waiter.clear();
    this.must_cancel.set(false);
    this.cancel_requests.set(0);
    this.log_destroy_pending.set(true);
    let shown = this.set_coroutine(new.coro)?;
    match new.name {
        Some(name) if !name.is_none() => {
            let name = if name.is_str() {
                name.own()
            } else {
                name.str()?
            };
            if task_mirror::is_active() {
                task_mirror::fill(this.as_any(), shown.as_deref(), &name);
            }
            this.name.set(name);
        }
        _ => {
            this.name.clear();
            this.number.set(next_number());
            if task_mirror::is_active() {
                let number = value::uint(this.number.get())?;
                task_mirror::fill(this.as_any(), shown.as_deref(), &number);
            }
        }
    }
    Ok(())
}

#[inline]
fn start(this: &Inst<Task>) -> Res<()> {
    step::schedule(this)?;
    registry::register(this)
}

/// `eager_start`: the first step runs now, inside the constructor.
fn start_eagerly(this: &Inst<Task>) -> Res<()> {
    stack::check()?;
    let Some(loop_) = this.future.loop_slot().object() else {
        return Err(Raised::runtime("Task object is not initialized."));
    };
    registry::register(this)?;
    let before = registry::swap(&loop_, this.as_any())?;
    let context = this.context();
    let result = match context::run(&context, || step::step(this, None)) {
        Ok(result) => result,
        Err(raised) => Err(raised),
    };
    let raised = result.err().map(Raised::take);
    let swapped = registry::swap(&loop_, &before);
    if this.is_done() {
        this.clear_coroutine();
    }
    match (raised, swapped) {
        (Some(exception), _) => Err(Raised::raise(exception)),
        (None, Err(raised)) => Err(raised),
        (None, Ok(_)) => Ok(()),
    }
}

fn init(this: &Inst<Task>, args: Args<'_>) -> Res<()> {
    let [coro, loop_, name, context, eager] = args.bind(&INIT)?;
    let coro = coro.unwrap_or(value::none_ref());
    if eager.is_some() && imports().version < (3, 12) {
        return Err(Raised::type_error(
            "Task() got an unexpected keyword argument 'eager_start'",
        ));
    }
    this.future.initialise(this.as_any(), loop_)?;
    this.log_destroy_pending.set(false);
    check_coroutine(coro)?;
    set_up(
        this,
        &NewTask {
            coro,
            name,
            context,
            eager: false,
        },
    )?;
    if let Some(eager) = eager
        && eager.is_truthy()?
        && let Some(loop_) = this.future.loop_slot().object()
        && loop_.call_method0(&names().is_running)?.is_truthy()?
    {
        return start_eagerly(this);
    }
    start(this)
}

fn get_name(this: &Inst<Task>) -> Res<Object> {
    if let Some(name) = this.name.get() {
        return Ok(name);
    }
    if this.number.get() == 0 {
        return Ok(value::none());
    }
    let name = value::text(&format!("Task-{}", this.number.get()))?;
    this.name.set(name.clone());
    Ok(name)
}

fn set_name(this: &Inst<Task>, name: &Any) -> Res<Object> {
    let name = if name.is_str() {
        name.own()
    } else {
        name.str()?
    };
    task_mirror::rename(this.as_any(), &name);
    this.name.set(name);
    Ok(value::none())
}

fn cancel_method(this: &Inst<Task>, args: Args<'_>) -> Res<Object> {
    let message = future::cancel_message(&args)?;
    this.future.ensure_alive()?;
    Ok(value::bool(cancel(this, message)?))
}

fn cancelling(this: &Inst<Task>) -> Res<Object> {
    value::int(this.cancel_requests.get())
}

fn uncancel(this: &Inst<Task>) -> Res<Object> {
    value::int(this.take_back_cancel())
}

fn set_result(_this: &Inst<Task>, _result: &Any) -> Res<Object> {
    Err(Raised::runtime(
        "Task does not support set_result operation",
    ))
}

fn set_exception(_this: &Inst<Task>, _exception: &Any) -> Res<Object> {
    Err(Raised::runtime(
        "Task does not support set_exception operation",
    ))
}

fn get_stack(this: &Inst<Task>, args: Args<'_>) -> Res<Object> {
    let [limit] = args.bind(&GET_STACK)?;
    imports()
        .task_get_stack
        .call(&[this.as_any(), limit.unwrap_or(value::none_ref())])
}

fn print_stack(this: &Inst<Task>, args: Args<'_>) -> Res<Object> {
    let [limit, file] = args.bind(&PRINT_STACK)?;
    let none = value::none_ref();
    imports()
        .task_print_stack
        .call(&[this.as_any(), limit.unwrap_or(none), file.unwrap_or(none)])
}

fn get_coro(this: &Inst<Task>) -> Res<Object> {
    Ok(this.coroutine().unwrap_or_else(value::none))
}

/// asyncio's own task in C refuses this, the one in Python does not. Libraries that exchange the
/// coroutine of a task try it before they write into its memory.
fn set_coro(this: &Inst<Task>, coro: Option<&Any>) -> Res<()> {
    let coro = no_delete(coro)?;
    check_coroutine(coro)?;
    let shown = this.set_coroutine(coro)?;
    task_mirror::set_coroutine(this.as_any(), shown.as_deref());
    Ok(())
}

fn get_context(this: &Inst<Task>) -> Res<Object> {
    Ok(this.context())
}

fn get_waiter(this: &Inst<Task>) -> Res<Object> {
    Ok(this.waiter.get_or_none())
}

fn get_must_cancel(this: &Inst<Task>) -> Res<Object> {
    flag(this.must_cancel.get())
}

fn get_log_destroy_pending(this: &Inst<Task>) -> Res<Object> {
    flag(this.log_destroy_pending.get())
}

fn set_log_destroy_pending(this: &Inst<Task>, value: Option<&Any>) -> Res<()> {
    this.log_destroy_pending.set(no_delete(value)?.is_truthy()?);
    Ok(())
}

pub(super) fn build(class: &'static Class<Task>) -> Res<()> {
    class.build(&imports().task_base, |b| {
        future::common(b)
            .doc(c"Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\nA coroutine that an event loop drives. An asyncio.Task.")
            .init(init)
            .method1(c"set_result", set_result, c"set_result($self, result, /)\n--\n\nRaises RuntimeError: the coroutine gives the result.")
            .method1(c"set_exception", set_exception, c"set_exception($self, exception, /)\n--\n\nRaises RuntimeError: the coroutine gives the exception.")
            .method(c"cancel", cancel_method, c"cancel($self, /, msg=None)\n--\n\nAsk the task to cancel itself: CancelledError is thrown into the coroutine in the next turn.\n\nReturns False if it is done already. Each call counts, see cancelling().")
            .method0(c"cancelling", cancelling, c"cancelling($self, /)\n--\n\nHow many cancel() calls uncancel() has not taken back.")
            .method0(c"uncancel", uncancel, c"uncancel($self, /)\n--\n\nTake one cancel() back. Returns how many are left.")
            .method(c"get_stack", get_stack, c"get_stack($self, /, *, limit=None)\n--\n\nThe frames of the coroutine, or of the exception that ended it.")
            .method(c"print_stack", print_stack, c"print_stack($self, /, *, limit=None, file=None)\n--\n\nPrint what get_stack() gives, as a traceback.")
            .method0(c"get_coro", get_coro, c"get_coro($self, /)\n--\n\nThe coroutine.")
            .method0(c"get_context", get_context, c"get_context($self, /)\n--\n\nThe contextvars.Context of the task.")
            .method0(c"get_name", get_name, c"get_name($self, /)\n--\n\nThe name, Task-N if none was given.")
            .method1(c"set_name", set_name, c"set_name($self, value, /)\n--\n\nSet the name; what is no str is converted.")
            .attribute(c"_coro", get_coro, set_coro, c"The coroutine.")
            .getter(c"_fut_waiter", get_waiter, c"The future that the task waits for, or None.")
            .getter(c"_must_cancel", get_must_cancel, c"Whether the next step throws CancelledError.")
            .attribute(c"_log_destroy_pending", get_log_destroy_pending, set_log_destroy_pending, c"Whether destroying the pending task is reported.")
    })?;
    Ok(())
}
