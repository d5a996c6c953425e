//! `Semaphore` and `BoundedSemaphore`: so many tasks at a time, strictly in the order they came.
//!
//! `release` hands its unit to the first that waits: the value goes up, and down again for the one
//! that is woken. While anybody waits, nobody else takes a unit, even if there is one. A
//! waiter that is cancelled after it was woken gives its unit back.

use std::ffi::CStr;

use super::context::{self, Context};
use super::gone;
use super::known::known;
use super::loop_bound::{self, Bound, LoopBound, create_waiter};
use super::number::{Number, argument_is_less};
use super::waiters::{WaiterSlot, Waiters};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::call::Signature;
use crate::ffi::dispatch::Compare;
use crate::ffi::error::Kind;
use crate::ffi::method::flag;
use crate::ffi::module::{Global, imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, SlotOf, Visit, value};
use crate::future::Waiter;
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};

/// The state of a semaphore.
#[derive(Debug, Default)]
pub(crate) struct SemaphoreCore {
    waiters: Waiters,
    bound: LoopBound,
    hooks: Hooks,
    value: Number,
    /// A `BoundedSemaphore`'s first value, which it must not exceed; boxed, since few have one.
    limit: std::cell::OnceCell<Box<Number>>,
}

static SEMAPHORE: Class<SemaphoreCore> = Class::new(0);

impl Native for SemaphoreCore {
    const NAME: &'static CStr = c"aioxide.SemaphoreCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &SEMAPHORE
    }
    fn empty() -> Self {
        SemaphoreCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.waiters.visit(visit);
        self.bound.visit(visit);
        self.value.visit(visit);
        if let Some(limit) = self.limit.get() {
            limit.visit(visit);
        }
    }
    fn clear(&self) {
        self.waiters.clear();
        self.bound.clear();
        self.value.clear();
        if let Some(limit) = self.limit.get() {
            limit.clear();
        }
    }
}

const WAKE_UP_NEXT: u16 = 1;
const ACQUIRE: u16 = 4;
const LOCKED: u16 = 16;

impl Hooked for SemaphoreCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 5]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names._wake_up_next,
                &names._get_loop,
                &names.acquire,
                &names.release,
                &names.locked,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Bound for SemaphoreCore {
    const GET_LOOP: u16 = 2;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

impl Context for SemaphoreCore {
    const RELEASE: u16 = 8;

    fn enter(this: &Inst<Self>) -> Res<Object> {
        create(this, true)
    }
    #[inline]
    fn release(this: &Inst<Self>) -> Res<()> {
        release(this)
    }
}

/// `locked()`: none is left, or somebody waits for one already.
#[inline]
fn is_locked(this: &Inst<SemaphoreCore>) -> Res<bool> {
    Ok(this.value.is(Compare::Equal, 0)? || this.waiters.any_live()?)
}

/// `release()`.
#[inline]
fn release(this: &Inst<SemaphoreCore>) -> Res<()> {
    if let Some(limit) = this.limit.get()
        && this.value.is_at_least(limit)?
    {
        return Err(Raised::new(
            Kind::Value,
            "BoundedSemaphore released too many times",
        ));
    }
    this.value.increase()?;
    wake_up_next(this).map(drop)
}

/// `self._wake_up_next()`: whether anybody was woken.
#[inline]
fn wake_up_next(this: &Inst<SemaphoreCore>) -> Res<bool> {
    if replaced(this)? & WAKE_UP_NEXT != 0 {
        return this
            .as_any()
            .call_method0(&names()._wake_up_next)?
            .is_truthy();
    }
    wake(this)
}

#[inline]
fn wake(this: &Inst<SemaphoreCore>) -> Res<bool> {
    let Some(waiter) = this.waiters.first_pending()? else {
        return Ok(false);
    };
    this.value.decrease()?;
    waiter.resolve(value::bool(true))?;
    Ok(true)
}

/// Wakes as many as there are units for.
fn wake_all(this: &Inst<SemaphoreCore>) -> Res<()> {
    while this.value.is(Compare::Greater, 0)? {
        if !wake_up_next(this)? {
            break;
        }
    }
    Ok(())
}

/// What follows the wait, in asyncio's order: out of the line, the count right again, others woken.
fn after_wait(this: &Inst<SemaphoreCore>, waiter: &Waiter, outcome: Outcome) -> Res<()> {
    this.waiters.remove(waiter)?;
    let all = known().semaphore_wakes_all;
    let result = match outcome {
        Ok(_) => Ok(()),
        Err(exception) => {
            let had_unit = exception.is_subtype_of(&imports().cancelled_error)
                && !waiter.is_cancelled()?
                && (!all || waiter.is_done()?);
            if had_unit {
                this.value.increase()?;
                if !all {
                    wake_up_next(this)?;
                }
            }
            Err(exception)
        }
    };
    if all {
        wake_all(this)?;
    } else if result.is_ok() && this.value.is(Compare::Greater, 0)? {
        wake_up_next(this)?;
    }
    result.map_err(Raised::raise)
}

/// `Semaphore.acquire()` and `Semaphore.__aenter__()`.
#[derive(Debug, Default)]
struct Acquire {
    semaphore: SlotOf<SemaphoreCore>,
    waiter: WaiterSlot,
    /// Called by `async with`, whose value is `None`.
    enters: bool,
}

static ACQUIRE_CLASS: Class<Coroutine<Acquire>> = Class::new(256);

impl Operation for Acquire {
    const CLASS_NAME: &'static CStr = c"aioxide.SemaphoreAcquire";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &ACQUIRE_CLASS
    }
    fn name(&self) -> &'static str {
        if self.enters { "__aenter__" } else { "acquire" }
    }
    fn qualname(&self) -> String {
        format!("Semaphore.{}", self.name())
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let semaphore = this.semaphore.get().ok_or_else(gone)?;
        let replaced = replaced(&semaphore)?;
        if this.enters && replaced & ACQUIRE != 0 {
            let acquire = semaphore.as_any().call_method0(&names().acquire)?;
            return Ok(Step::Await(acquire));
        }
        let locked = if replaced & LOCKED == 0 {
            is_locked(&semaphore)?
        } else {
            semaphore
                .as_any()
                .call_method0(&names().locked)?
                .is_truthy()?
        };
        if !locked {
            semaphore.value.decrease()?;
            return Ok(this.finished());
        }
        let waiter = create_waiter(&*semaphore)?;
        semaphore.waiters.push(&waiter)?;
        let awaited = waiter.object();
        this.waiter.set(waiter);
        Ok(Step::Await(awaited))
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        match this.waiter.take() {
            Some(waiter) => {
                after_wait(&*this.semaphore.get().ok_or_else(gone)?, &waiter, outcome)?;
            }
            // It was an `acquire` of somebody else's.
            None => drop(outcome.map_err(Raised::raise)?),
        }
        Ok(this.finished())
    }
    fn traverse(&self, visit: &mut Visit) {
        self.semaphore.visit(visit);
        self.waiter.visit(visit);
    }
    fn clear(&self) {
        self.semaphore.clear();
        self.waiter.clear();
    }
}

impl Acquire {
    #[inline]
    fn finished(&self) -> Step {
        Step::Return(if self.enters {
            value::none()
        } else {
            value::bool(true)
        })
    }
}

#[inline]
fn create(this: &Inst<SemaphoreCore>, enters: bool) -> Res<Object> {
    Ok(coroutine::create(Acquire {
        semaphore: SlotOf::new(Some(this.own())),
        waiter: WaiterSlot::default(),
        enters,
    })?
    .into_object())
}

fn acquire(this: &Inst<SemaphoreCore>) -> Res<Object> {
    create(this, false)
}

fn init(this: &Inst<SemaphoreCore>, args: Args<'_>) -> Res<()> {
    let bounded = this.as_any().is_subtype_of(&known().bounded_semaphore);
    let [given] = args.bind(&Signature {
        function: if bounded {
            "BoundedSemaphore.__init__"
        } else {
            "Semaphore.__init__"
        },
        parameters: [c"value"],
        positional: 1,
        required: 0,
    })?;
    let given = match given {
        Some(given) => given.own(),
        None => value::int(1)?,
    };
    if bounded {
        this.limit.get_or_init(Box::default).set(&given);
    }
    if argument_is_less(&given, 0)? {
        return Err(Raised::new(
            Kind::Value,
            "Semaphore initial value must be >= 0",
        ));
    }
    this.waiters.clear();
    this.value.set(&given);
    Ok(())
}

fn locked(this: &Inst<SemaphoreCore>) -> Res<Object> {
    flag(is_locked(this)?)
}

fn release_method(this: &Inst<SemaphoreCore>) -> Res<Object> {
    release(this)?;
    Ok(value::none())
}

fn wake_method(this: &Inst<SemaphoreCore>) -> Res<Object> {
    let woken = wake(this)?;
    if known().semaphore_wakes_all {
        flag(woken)
    } else {
        Ok(value::none())
    }
}

fn show_value(this: &Inst<SemaphoreCore>) -> Res<Object> {
    this.value.object()
}

fn assign_value(this: &Inst<SemaphoreCore>, value: Option<&Any>) -> Res<()> {
    this.value.assign(value)
}

fn show_limit(this: &Inst<SemaphoreCore>) -> Res<Object> {
    match this.limit.get() {
        Some(limit) => limit.object(),
        None => Err(Raised::new(
            Kind::Attribute,
            &format!(
                "'{}' object has no attribute '_bound_value'",
                this.as_any().class_name()?.text_lossy()
            ),
        )),
    }
}

fn assign_limit(this: &Inst<SemaphoreCore>, value: Option<&Any>) -> Res<()> {
    this.limit.get_or_init(Box::default).assign(value)
}

fn waiters(this: &Inst<SemaphoreCore>) -> Res<Object> {
    this.waiters.show_or_none()
}

fn assign_waiters(this: &Inst<SemaphoreCore>, value: Option<&Any>) -> Res<()> {
    this.waiters.assign(value)
}

fn repr(this: &Inst<SemaphoreCore>) -> Res<Object> {
    let locked = if replaced(this)? & LOCKED == 0 {
        is_locked(this)?
    } else {
        this.as_any().call_method0(&names().locked)?.is_truthy()?
    };
    let state = if locked {
        "locked".to_owned()
    } else {
        format!(
            "unlocked, value:{}",
            this.value.object()?.str()?.text_lossy()
        )
    };
    super::bracketed(
        this.as_any(),
        &format!("{state}{}", this.waiters.described()?),
    )
}

/// Makes the classes.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Acquire>(c"A call of Semaphore.acquire(): a coroutine.")?;
    SEMAPHORE.build(object_class(), |b| {
        let b = context::methods(loop_bound::methods(b));
        b.doc(c"SemaphoreCore(value=1)\n--\n\nThe native half of aioxide.Semaphore.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .method0(
                c"locked",
                locked,
                c"locked($self)\n--\n\nWhether acquire() would have to wait.",
            )
            .coroutine0(
                c"acquire",
                acquire,
                c"acquire($self)\n--\n\nTake one unit, after those that asked for one before. Gives True.",
            )
            .method0(
                c"release",
                release_method,
                c"release($self)\n--\n\nGive one unit back, or to the first that waits.\n\nA bounded semaphore raises ValueError if that is more than it had at first.",
            )
            .method0(
                c"_wake_up_next",
                wake_method,
                c"_wake_up_next($self)\n--\n\nGive a unit to the first waiter.",
            )
            .attribute(c"_value", show_value, assign_value, c"The units that are left.")
            .attribute(
                c"_bound_value",
                show_limit,
                assign_limit,
                c"The most units that a bounded semaphore may have.",
            )
            .attribute(
                c"_waiters",
                waiters,
                assign_waiters,
                c"The futures of those that wait, or None.",
            )
    })?;
    Ok(())
}
