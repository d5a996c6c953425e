//! `Condition.wait()`, `wait_for()`, and `__aenter__` with a lock that is not ours.
//!
//! | phase | what is awaited |
//! |---|---|
//! | notified | the waiter, among the condition's |
//! | locked | the waiter, among those of a lock of ours |
//! | acquired | the `acquire()` of any other lock |
//! | waited | a `wait()` that a derived class has replaced |
//! | entered | the `acquire()` of `async with` |

use std::cell::Cell;
use std::ffi::CStr;

use super::super::gone;
use super::super::known::{known, raise_bare};
use super::super::lock;
use super::super::loop_bound::create_waiter;
use super::super::waiters::WaiterSlot;
use super::{ConditionCore, WAIT, notify_some};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};
use crate::hooks::replaced;

/// Which method was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Wait,
    WaitFor,
    Enter,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Notified,
    Locked,
    Acquired,
    Waited,
    Entered,
}

/// The call.
#[derive(Debug, Default)]
pub(super) struct Wait {
    condition: SlotOf<ConditionCore>,
    waiter: WaiterSlot,
    predicate: Slot,
    /// What ended the wait instead of a notification; raised when the lock is ours again.
    failure: Slot,
    /// The last CancelledError that came while the lock was taken.
    cancelled: Slot,
    method: Method,
    phase: Cell<Phase>,
}

static WAIT_CLASS: Class<Coroutine<Wait>> = Class::new(128);

type Call = Inst<Coroutine<Wait>>;

impl Operation for Wait {
    const CLASS_NAME: &'static CStr = c"aioxide.ConditionWait";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &WAIT_CLASS
    }
    fn name(&self) -> &'static str {
        match self.method {
            Method::Wait => "wait",
            Method::WaitFor => "wait_for",
            Method::Enter => "__aenter__",
        }
    }
    fn qualname(&self) -> String {
        format!("Condition.{}", self.name())
    }
    fn start(this: &Call) -> Res<Step> {
        let condition = this.condition.get().ok_or_else(gone)?;
        match this.method {
            Method::Wait => begin(this, &condition),
            Method::WaitFor => ask(this, &condition),
            Method::Enter => {
                this.phase.set(Phase::Entered);
                let acquire = condition.as_any().call_method0(&names().acquire)?;
                Ok(Step::Await(acquire))
            }
        }
    }
    fn resume(this: &Call, outcome: Outcome) -> Res<Step> {
        let condition = this.condition.get().ok_or_else(gone)?;
        match this.phase.get() {
            Phase::Notified => notified(this, &condition, outcome),
            Phase::Locked => {
                let (Some(waiter), Some(lock)) = (this.waiter.take(), condition.lock.get()) else {
                    return Err(gone());
                };
                let ended = match lock.downcast() {
                    Some(lock) => lock::end(lock, &waiter, outcome),
                    None => Err(gone()),
                };
                relocked(this, &condition, ended)
            }
            Phase::Acquired => {
                let ended = outcome.map(drop).map_err(Raised::raise);
                relocked(this, &condition, ended)
            }
            Phase::Waited => {
                outcome.map_err(Raised::raise)?;
                ask(this, &condition)
            }
            Phase::Entered => {
                outcome.map_err(Raised::raise)?;
                Ok(Step::Return(value::none()))
            }
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.condition.visit(visit);
        self.waiter.visit(visit);
        self.predicate.visit(visit);
        self.failure.visit(visit);
        self.cancelled.visit(visit);
    }
    fn clear(&self) {
        self.condition.clear();
        self.waiter.clear();
        self.predicate.clear();
        self.failure.clear();
        self.cancelled.clear();
    }
}

/// `wait()`: up to the notification.
fn begin(this: &Call, condition: &Inst<ConditionCore>) -> Res<Step> {
    if !condition.is_locked()? {
        return Err(Raised::runtime("cannot wait on un-acquired lock"));
    }
    this.phase.set(Phase::Notified);
    let waiter = if known().condition_passes_on {
        let waiter = create_waiter(condition)?;
        super::context::release(condition)?;
        condition.waiters.push(&waiter).map(|()| waiter)
    } else {
        super::context::release(condition)?;
        // From here on the lock is taken again, whatever fails.
        create_waiter(condition).and_then(|waiter| condition.waiters.push(&waiter).map(|()| waiter))
    };
    match waiter {
        Ok(waiter) => {
            let awaited = waiter.object();
            this.waiter.set(waiter);
            Ok(Step::Await(awaited))
        }
        Err(raised) => {
            this.failure.set(raised.take());
            relock(this, condition)
        }
    }
}

/// Woken, or something was thrown in.
fn notified(this: &Call, condition: &Inst<ConditionCore>, outcome: Outcome) -> Res<Step> {
    if let Err(exception) = outcome {
        this.failure.set(exception);
    }
    if let Some(waiter) = this.waiter.take()
        && let Err(raised) = condition.waiters.remove(&waiter)
    {
        this.failure.set(raised.take());
    }
    relock(this, condition)
}

/// Takes the lock again.
fn relock(this: &Call, condition: &Inst<ConditionCore>) -> Res<Step> {
    match try_relock(this, condition) {
        Ok(Some(step)) => Ok(step),
        Ok(None) => finish(this, condition),
        Err(raised) => relocked(this, condition, Err(raised)),
    }
}

/// `None` if the lock was free.
fn try_relock(this: &Call, condition: &Inst<ConditionCore>) -> Res<Option<Step>> {
    if let Some(lock) = condition.plain_lock()? {
        this.phase.set(Phase::Locked);
        let Some(waiter) = lock::begin(&lock)? else {
            return Ok(None);
        };
        let awaited = waiter.object();
        this.waiter.set(waiter);
        return Ok(Some(Step::Await(awaited)));
    }
    this.phase.set(Phase::Acquired);
    let acquire = condition.as_any().call_method0(&names().acquire)?;
    Ok(Some(Step::Await(acquire)))
}

/// One attempt to take the lock has ended. Only a cancellation leads to another.
fn relocked(this: &Call, condition: &Inst<ConditionCore>, ended: Res<()>) -> Res<Step> {
    match ended {
        Ok(()) => finish(this, condition),
        Err(raised) if raised.matches(&imports().cancelled_error) => {
            this.cancelled.set(raised.take());
            relock(this, condition)
        }
        Err(raised) => Err(pass_on(condition, raised)),
    }
}

/// The lock is ours again.
fn finish(this: &Call, condition: &Inst<ConditionCore>) -> Res<Step> {
    let failure = this.failure.take();
    let raised = match (this.cancelled.take(), failure) {
        (None, None) => {
            return match this.method {
                Method::WaitFor => ask(this, condition),
                _ => Ok(Step::Return(value::bool(true))),
            };
        }
        (Some(cancelled), _) if known().condition_passes_on => Raised::raise(cancelled),
        (Some(_), _) => raise_bare(&imports().cancelled_error),
        (None, Some(failure)) => Raised::raise(failure),
    };
    Err(pass_on(condition, raised))
}

/// The exception may have come after the notification, which is then somebody else's.
fn pass_on(condition: &Inst<ConditionCore>, raised: Raised) -> Raised {
    if !known().condition_passes_on {
        return raised;
    }
    let exception = raised.take();
    match value::int(1).and_then(|one| notify_some(condition, &one)) {
        Ok(()) => Raised::raise(exception),
        Err(raised) => raised,
    }
}

/// `wait_for()`: asks the predicate, and waits while it says no.
fn ask(this: &Call, condition: &Inst<ConditionCore>) -> Res<Step> {
    let predicate = this.predicate.get().ok_or_else(gone)?;
    let result = predicate.call0()?;
    if result.is_truthy()? {
        return Ok(Step::Return(result));
    }
    if replaced(condition)? & WAIT != 0 {
        this.phase.set(Phase::Waited);
        let wait = condition.as_any().call_method0(&names().wait)?;
        return Ok(Step::Await(wait));
    }
    begin(this, condition)
}

fn create(condition: &Inst<ConditionCore>, method: Method, predicate: Option<&Any>) -> Res<Object> {
    Ok(coroutine::create(Wait {
        condition: SlotOf::new(Some(condition.own())),
        predicate: Slot::new(predicate.map(Any::own)),
        method,
        ..Wait::default()
    })?
    .into_object())
}

/// The coroutine of `wait()`.
pub(in super::super) fn wait(condition: &Inst<ConditionCore>) -> Res<Object> {
    create(condition, Method::Wait, None)
}

/// That of `wait_for(predicate)`.
pub(super) fn wait_for(condition: &Inst<ConditionCore>, args: Args<'_>) -> Res<Object> {
    let predicate = args.one("Condition.wait_for", c"predicate")?;
    create(condition, Method::WaitFor, Some(predicate))
}

/// That of `__aenter__()`.
pub(super) fn enter(condition: &Inst<ConditionCore>) -> Res<Object> {
    create(condition, Method::Enter, None)
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Wait>(c"A call of Condition.wait(): a coroutine.")
}
