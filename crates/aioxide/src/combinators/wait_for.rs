//! `wait_for()`: awaits in the current task, under a time limit.
//!
//! Since Python 3.12 that is `async with timeout(t): return await aw`, and so it is here, without
//! the context manager: no task, no callback, and the timer holds the coroutine itself. Python
//! 3.11's, which makes a task, is asyncio's own.

use std::cell::Cell;
use std::ffi::CStr;

use aioxide_core::clock::delay_to_ns;

use super::current::{self, current_task};
use super::originals::originals;
use super::peer::Known;
use super::timeout::{Limit, timeout_error};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::{LoopCore, Timer};
use crate::ffi::call::Signature;
use crate::ffi::module::imports;
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};
use crate::future;

/// The body of `wait_for()`.
#[derive(Debug, Default)]
pub(crate) struct WaitFor {
    awaitable: Slot,
    timeout: Slot,
    core: SlotOf<LoopCore>,
    /// The task to cancel; empty while nothing is limited.
    task: Slot,
    limit: Limit,
    /// It stands in the loop's heap.
    timer: Cell<bool>,
    /// The time is not over yet.
    armed: Cell<bool>,
}

static WAIT_FOR: Class<Coroutine<WaitFor>> = Class::new(1024);

impl Operation for WaitFor {
    const CLASS_NAME: &'static CStr = c"aioxide.wait_for";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &WAIT_FOR
    }
    fn name(&self) -> &'static str {
        "wait_for"
    }
    fn qualname(&self) -> String {
        "wait_for".to_owned()
    }

    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let awaitable = this.awaitable.take().unwrap_or_else(value::none);
        let timeout = this.timeout.take().unwrap_or_else(value::none);
        if let Some(step) = start_natively(this, &awaitable, &timeout)? {
            return Ok(step);
        }
        let call = originals().wait_for.call(&[&awaitable, &timeout])?;
        Ok(Step::Await(call))
    }

    #[inline]
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let task = this.task.take();
        if let Some(task) = task {
            this.stop_timer();
            if this.limit.is_over() {
                return leave(this, &task, outcome);
            }
        }
        match outcome {
            Ok(result) => Ok(Step::Return(result)),
            Err(exception) => Err(Raised::raise(exception)),
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        self.awaitable.visit(visit);
        self.timeout.visit(visit);
        self.core.visit(visit);
        self.task.visit(visit);
    }

    fn clear(&self) {
        self.awaitable.clear();
        self.timeout.clear();
        self.task.clear();
        self.core.clear();
    }
}

/// What comes first; `None` if it is all asyncio's own function's.
#[inline]
fn start_natively(
    this: &Inst<Coroutine<WaitFor>>,
    awaitable: &Object,
    timeout: &Any,
) -> Res<Option<Step>> {
    if imports().version < (3, 12) {
        return Ok(None);
    }
    let Some(core) = current::plain_loop()? else {
        return Ok(None);
    };
    let seconds = if timeout.is_none() {
        None
    } else {
        match timeout.exact_number() {
            None => return Ok(None),
            seconds => seconds,
        }
    };
    // What is done needs no time limit: no clock, no timer.
    if core.is_stepping()
        && let Some(known) = Known::of(awaitable)
        && !known.state().is_pending()
    {
        return future::result(known.state()).map(|result| Some(Step::Return(result)));
    }
    let deadline = if let Some(seconds) = seconds {
        if seconds <= 0.0 {
            return if_done(awaitable);
        }
        let Some(deadline) = delay_to_ns(core.now(), seconds) else {
            return Ok(None);
        };
        Some(deadline)
    } else {
        None
    };
    let task = current_task(core.as_any())?;
    if task.is_none() {
        return Ok(None);
    }
    if deadline.is_some() {
        core.reserve_timer()?;
    }
    this.limit.begin(current::cancelling(&task)?);
    this.task.set(task);
    if let Some(deadline) = deadline {
        this.timer.set(true);
        this.armed.set(true);
        core.set_timer(deadline, Timer::WaitFor(this.own()));
        this.core.set(core);
    }
    Ok(Some(Step::Await(awaitable.clone())))
}

/// No time at all: the outcome of a future that is done.
fn if_done(awaitable: &Any) -> Res<Option<Step>> {
    match Known::of(awaitable) {
        Some(known) if !known.state().is_pending() => {
            future::result(known.state()).map(|result| Some(Step::Return(result)))
        }
        _ => Ok(None),
    }
}

/// The end, after the time was over.
#[cold]
fn leave(this: &Inst<Coroutine<WaitFor>>, task: &Any, outcome: Outcome) -> Res<Step> {
    let ours = current::uncancel(task)? <= this.limit.cancelling();
    match outcome {
        Ok(result) => Ok(Step::Return(result)),
        Err(exception) if ours => Err(timeout_error(exception)?),
        Err(exception) => Err(Raised::raise(exception)),
    }
}

impl WaitFor {
    #[inline]
    pub(crate) fn has_timer(&self) -> bool {
        self.timer.get()
    }

    #[inline]
    pub(crate) fn set_timer(&self, set: bool) {
        self.timer.set(set);
    }

    #[inline]
    fn stop_timer(&self) {
        self.armed.set(false);
        if self.timer.replace(false)
            && let Some(core) = self.core.get()
        {
            core.timer_cancelled();
        }
    }

    /// The time is over: cancels the task.
    pub(crate) fn expire(&self) -> Res<()> {
        if !self.armed.replace(false) {
            return Ok(());
        }
        let Some(task) = self.task.get() else {
            return Ok(());
        };
        current::cancel(&task)?;
        self.limit.end();
        Ok(())
    }
}

const SIGNATURE: Signature<2> = Signature {
    function: "wait_for",
    parameters: [c"fut", c"timeout"],
    positional: 2,
    required: 2,
};

/// `wait_for(fut, timeout)`.
pub(super) fn wait_for(args: Args<'_>) -> Res<Object> {
    let given = (args.positional, args.names.is_empty());
    let (awaitable, timeout) = if let (&[awaitable, timeout], true) = given {
        (Some(awaitable), Some(timeout))
    } else {
        let [awaitable, timeout] = args.bind(&SIGNATURE)?;
        (awaitable, timeout)
    };
    let call = WaitFor {
        awaitable: Slot::new(awaitable.map(Any::own)),
        timeout: Slot::new(timeout.map(Any::own)),
        ..WaitFor::default()
    };
    Ok(coroutine::create(call)?.into_object())
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<WaitFor>(c"The coroutine of wait_for().")
}
