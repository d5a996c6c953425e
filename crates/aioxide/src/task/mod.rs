//! `Task`: a coroutine that the loop drives.
//!
//! # The protocol
//!
//! While a task is not done it is in one of three states, asyncio's own:
//!
//! | | `waiter` | in the loop's queue | who acts next |
//! |---|---|---|---|
//! | waiting | the future it awaits | no | the future, when it is done: `Entry::Wake` |
//! | scheduled | empty, or a future that is done | once, as `Step` or `Wake` | the loop |
//! | running | empty | no | the coroutine, inside `step` |
//!
//! * **Who owns what.** A waiting task is kept alive by the future's callback, a scheduled one by
//!   the queue; that one reference travels future → queue → step, uncounted on the way. The
//!   registry holds none.
//! * **Waking.** A future that is done moves the task into the queue. The step asks the future,
//!   not the queue, what happened: an exception is thrown into the coroutine, a result is fetched
//!   by the coroutine itself when it resumes the future's iterator.
//! * **Cancelling** (`cancel`). A waiting task passes the request to its future. If there is none,
//!   or the future refuses, `must_cancel` makes the next step throw CancelledError, and so does a
//!   future that is awaited while it is set. `cancel_requests` only counts.
//! * **Ending.** Return, exception, CancelledError each go to the future part exactly once; a
//!   `must_cancel` that is still set when the coroutine returns wins over the result.
//!   SystemExit and KeyboardInterrupt are stored *and* leave the loop.
//! * **Foreign objects.** Whatever is not exactly our `Future` or `Task` (a derived class may
//!   override anything) is spoken to through `_asyncio_future_blocking`, `get_loop`,
//!   `add_done_callback` and `cancel`, as asyncio does.
//! * **Foreign loops.** On a loop that is not ours, or in debug mode, or when `call_soon` is
//!   overridden, each step goes through `loop.call_soon` with a `TaskStep` object.
//!
//! Files: `methods` is the Python side, `step` drives, `cancel` cancels, `registry` answers
//! `current_task` and `all_tasks`, `step_call` is the callable for foreign loops.

mod cancel;
mod methods;
pub(crate) mod registry;
mod step;
mod step_call;

use std::cell::Cell;

use crate::coroutine;
use crate::ffi::family;
use crate::ffi::method::BoundMethod;
use crate::ffi::module::{Global, imports, names};
use crate::ffi::weak_list::{Listed, Place};
use crate::ffi::{Any, Class, Inst, Native, Object, Res, Slot, Visit, task_mirror, value};
use crate::future::{FutureLike, FutureState, finalize_future};

pub(crate) use cancel::{Mark as CancelMark, cancel, cancel_foreign, cancel_gathering};
pub(crate) use methods::{NewTask, create};
pub(crate) use step::{step, wake};
pub(crate) use step_call::StepCall;

/// `aioxide.Task`. Its first field lets it pass for a `Future` (see `ffi::family`).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Task {
    future: FutureState,
    /// The coroutine, if it does not stand in the base's field: see `ffi::task_mirror`.
    coro: Slot,
    context: Slot,
    /// The future that the task waits for (`_fut_waiter`).
    waiter: Slot,
    name: Slot,
    /// The N of `Task-N`, when no name was given.
    number: Cell<u64>,
    must_cancel: Cell<bool>,
    log_destroy_pending: Cell<bool>,
    cancel_requests: Cell<i64>,
    cancel_mark: cancel::Mark,
    place: Place,
}

static TASK: Class<Task> = Class::new(1024);

impl Native for Task {
    const NAME: &'static std::ffi::CStr = c"aioxide.Task";
    const FINALIZER: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &TASK
    }
    fn empty() -> Self {
        Task::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.future.traverse(visit);
        self.coro.visit(visit);
        self.context.visit(visit);
        self.waiter.visit(visit);
        self.name.visit(visit);
    }
    fn clear(&self) {
        self.future.clear();
        self.coro.clear();
        self.context.clear();
        self.waiter.clear();
        self.name.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.future.wants_log() || (self.future.is_pending() && self.log_destroy_pending.get())
    }
    fn finalize(this: &Inst<Self>) {
        if this.future.is_pending()
            && this.log_destroy_pending.get()
            && let Err(raised) = report_destroyed(this)
        {
            raised.unraisable(Some(this.as_any()));
        }
        // Whoever keeps it alive now has a task that will never run again.
        registry::done(this);
        finalize_future(this);
    }
    fn on_dealloc(this: &Inst<Self>) {
        registry::forget(this);
    }
}

impl Listed for Task {
    fn place(&self) -> &Place {
        &self.place
    }
}

impl FutureLike for Task {
    #[inline(always)]
    fn future(&self) -> &FutureState {
        &self.future
    }

    fn repr_function() -> &'static Any {
        &imports().task_repr
    }
}

/// "Task was destroyed but it is pending!"
fn report_destroyed(this: &Inst<Task>) -> Res<()> {
    let Some(loop_) = this.future.loop_slot().object() else {
        return Ok(());
    };
    let report = value::dict()?;
    report.dict_set(&names().task, this.as_any())?;
    report.dict_set(
        &names().message,
        &*value::text("Task was destroyed but it is pending!")?,
    )?;
    if let Some(source) = this.future.source_traceback() {
        report.dict_set(&names().source_traceback, &source)?;
    }
    loop_.call_method1(&names().call_exception_handler, &report)?;
    Ok(())
}

/// A type that hides the function item behind a bound method.
trait Bind: Sync {
    fn bind(&'static self, this: &Inst<Task>) -> Res<Object>;
}

impl<F> Bind for BoundMethod<Task, F>
where
    F: Fn(&Inst<Task>, &Any) -> Res<Object> + Copy + 'static,
{
    fn bind(&'static self, this: &Inst<Task>) -> Res<Object> {
        BoundMethod::bind(self, this)
    }
}

static WAKEUP: Global<&'static dyn Bind> = Global::new();

impl Inst<Task> {
    /// The callable that a foreign future gets as its done callback.
    pub(crate) fn wakeup_method(&self) -> Res<Object> {
        WAKEUP.get().bind(self)
    }

    /// Whether `function` equals this task's wakeup method.
    pub(crate) fn is_wakeup_method(&self, function: &Any) -> Res<bool> {
        self.wakeup_method()?.equals(function)
    }

    /// The coroutine, which is in one of two places.
    #[inline]
    fn coroutine(&self) -> Option<Object> {
        match self.coro.get() {
            None => task_mirror::coroutine(self.as_any()),
            coro => coro,
        }
    }

    /// Takes the coroutine. Returns what the base's field is to hold, where a debugger reads it.
    #[inline]
    fn set_coroutine(&self, coro: &Any) -> Res<Option<Object>> {
        if !task_mirror::is_active() {
            self.coro.set(coro.own());
            return Ok(None);
        }
        if coro.is_native_coroutine() || coro.is_generator() {
            self.coro.clear();
            return Ok(Some(coro.own()));
        }
        let shown = coroutine::readable(coro)?;
        self.coro.set(coro.own());
        Ok(shown)
    }

    /// A coroutine that the debugger cannot read has yielded: shows it what that one awaits.
    #[inline]
    fn show_awaited(&self, coro: &Any) -> Res<()> {
        if task_mirror::is_active() && self.coro.is_some() {
            let shown = coroutine::readable(coro)?;
            task_mirror::set_coroutine(self.as_any(), shown.as_deref());
        }
        Ok(())
    }

    fn clear_coroutine(&self) {
        self.coro.clear();
        task_mirror::set_coroutine(self.as_any(), None);
    }

    pub(crate) fn context(&self) -> Object {
        self.context.get_or_none()
    }

    /// The future that it waited for, which is done.
    #[inline]
    pub(crate) fn take_waiter(&self) -> Option<Object> {
        self.waiter.take()
    }

    /// `cancelling()`.
    #[inline]
    pub(crate) fn cancel_requests(&self) -> i64 {
        self.cancel_requests.get()
    }

    /// `uncancel()`.
    #[inline]
    pub(crate) fn take_back_cancel(&self) -> i64 {
        let requests = self.cancel_requests.get();
        if requests > 0 {
            self.cancel_requests.set(requests - 1);
            if requests == 1 && imports().version >= (3, 13) {
                self.must_cancel.set(false);
            }
        }
        self.cancel_requests.get()
    }

    /// `_log_destroy_pending = False`.
    #[inline]
    pub(crate) fn never_report_destroyed(&self) {
        self.log_destroy_pending.set(false);
    }

    pub(crate) fn is_done(&self) -> bool {
        !self.future.is_pending()
    }
}

fn task_wakeup(this: &Inst<Task>, future: &Any) -> Res<Object> {
    step::wakeup_call(this, future)?;
    Ok(value::none())
}

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    WAKEUP.set(BoundMethod::leak(c"task_wakeup", task_wakeup));
    step_call::build()?;
    methods::build(&TASK)?;
    family::join(&TASK, crate::future::Future::class())
}
