//! `Lock`: one task at a time, in the order they came.
//!
//! `release` opens the lock and completes the first waiter's future; the lock is taken when that
//! task runs. In between it is open but not free: `acquire` looks at the waiters too, so nobody
//! jumps the queue. A waiter that is cancelled in between wakes the next.

use std::cell::Cell;
use std::ffi::CStr;

use super::context::{self, Context};
use super::gone;
use super::loop_bound::{self, Bound, LoopBound, create_waiter};
use super::number::assign_flag;
use super::waiters::{WaiterSlot, Waiters};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::method::flag;
use crate::ffi::module::{imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, SlotOf, Visit, value};
use crate::future::Waiter;
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};

/// The state of a lock.
#[derive(Debug, Default)]
pub(crate) struct LockCore {
    waiters: Waiters,
    bound: LoopBound,
    hooks: Hooks,
    locked: Cell<bool>,
}

static LOCK: Class<LockCore> = Class::new(0);

impl Native for LockCore {
    const NAME: &'static CStr = c"aioxide.LockCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &LOCK
    }
    fn empty() -> Self {
        LockCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.waiters.visit(visit);
        self.bound.visit(visit);
    }
    fn clear(&self) {
        self.waiters.clear();
        self.bound.clear();
    }
}

const WAKE_UP_FIRST: u16 = 1;
const ACQUIRE: u16 = 4;

impl Hooked for LockCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: crate::ffi::module::Global<[&'static Object; 4]> =
            crate::ffi::module::Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names._wake_up_first,
                &names._get_loop,
                &names.acquire,
                &names.release,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Bound for LockCore {
    const GET_LOOP: u16 = 2;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

impl Context for LockCore {
    const RELEASE: u16 = 8;

    fn enter(this: &Inst<Self>) -> Res<Object> {
        create(this, true)
    }
    #[inline]
    fn release(this: &Inst<Self>) -> Res<()> {
        release(this)
    }
}

impl Inst<LockCore> {
    #[inline]
    pub(super) fn is_locked(&self) -> bool {
        self.locked.get()
    }

    /// Whether `acquire`, `release` and `locked` are ours, and may be done without.
    #[inline]
    pub(super) fn is_plain(&self) -> Res<bool> {
        Ok(replaced(self)? == 0)
    }
}

/// Takes the lock if it is free, else stands in line: the waiter to await.
#[inline]
pub(super) fn begin(lock: &Inst<LockCore>) -> Res<Option<Waiter>> {
    if !lock.locked.get() && !lock.waiters.any_live()? {
        lock.locked.set(true);
        return Ok(None);
    }
    let waiter = create_waiter(lock)?;
    lock.waiters.push(&waiter)?;
    Ok(Some(waiter))
}

/// The waiter has been woken, which takes the lock, or something was thrown in.
#[inline]
pub(super) fn end(lock: &Inst<LockCore>, waiter: &Waiter, outcome: Outcome) -> Res<()> {
    lock.waiters.remove(waiter)?;
    match outcome {
        Ok(_) => {
            lock.locked.set(true);
            Ok(())
        }
        Err(exception) => {
            if exception.is_subtype_of(&imports().cancelled_error) && !lock.locked.get() {
                // It may be us who were woken.
                wake_up_first(lock)?;
            }
            Err(Raised::raise(exception))
        }
    }
}

/// `self._wake_up_first()`.
#[inline]
fn wake_up_first(lock: &Inst<LockCore>) -> Res<()> {
    if replaced(lock)? & WAKE_UP_FIRST != 0 {
        return lock
            .as_any()
            .call_method0(&names()._wake_up_first)
            .map(drop);
    }
    wake(lock)
}

#[inline]
fn wake(lock: &Inst<LockCore>) -> Res<()> {
    if let Some(first) = lock.waiters.get(0)?
        && !first.is_done()?
    {
        first.resolve(value::bool(true))?;
    }
    Ok(())
}

/// `release()`.
#[inline]
pub(super) fn release(lock: &Inst<LockCore>) -> Res<()> {
    if !lock.locked.replace(false) {
        return Err(Raised::runtime("Lock is not acquired."));
    }
    wake_up_first(lock)
}

/// `Lock.acquire()` and `Lock.__aenter__()`.
#[derive(Debug, Default)]
pub(super) struct Acquire {
    lock: SlotOf<LockCore>,
    waiter: WaiterSlot,
    /// Called by `async with`, whose value is `None`.
    enters: bool,
}

static ACQUIRE_CLASS: Class<Coroutine<Acquire>> = Class::new(256);

impl Operation for Acquire {
    const CLASS_NAME: &'static CStr = c"aioxide.LockAcquire";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &ACQUIRE_CLASS
    }
    fn name(&self) -> &'static str {
        if self.enters { "__aenter__" } else { "acquire" }
    }
    fn qualname(&self) -> String {
        format!("Lock.{}", self.name())
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let lock = this.lock.get().ok_or_else(gone)?;
        if this.enters && replaced(&lock)? & ACQUIRE != 0 {
            return Ok(Step::Await(lock.as_any().call_method0(&names().acquire)?));
        }
        match begin(&lock)? {
            None => Ok(this.finished()),
            Some(waiter) => {
                let awaited = waiter.object();
                this.waiter.set(waiter);
                Ok(Step::Await(awaited))
            }
        }
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        match this.waiter.take() {
            Some(waiter) => end(&*this.lock.get().ok_or_else(gone)?, &waiter, outcome)?,
            // It was an `acquire` of somebody else's.
            None => drop(outcome.map_err(Raised::raise)?),
        }
        Ok(this.finished())
    }
    fn traverse(&self, visit: &mut Visit) {
        self.lock.visit(visit);
        self.waiter.visit(visit);
    }
    fn clear(&self) {
        self.lock.clear();
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
fn create(lock: &Inst<LockCore>, enters: bool) -> Res<Object> {
    Ok(coroutine::create(Acquire {
        lock: SlotOf::new(Some(lock.own())),
        waiter: WaiterSlot::default(),
        enters,
    })?
    .into_object())
}

/// The coroutine of `acquire()`.
#[inline]
pub(super) fn acquire(lock: &Inst<LockCore>) -> Res<Object> {
    create(lock, false)
}

/// The lock behind an object, if nothing of it is overridden.
#[inline]
pub(super) fn plain(object: &Any) -> Res<Option<Own<LockCore>>> {
    match object.downcast::<LockCore>() {
        Some(lock) if lock.is_plain()? => Ok(Some(lock.own())),
        _ => Ok(None),
    }
}

fn init(this: &Inst<LockCore>, args: Args<'_>) -> Res<()> {
    args.bind(&crate::ffi::call::Signature::<0> {
        function: "Lock.__init__",
        parameters: [],
        positional: 0,
        required: 0,
    })?;
    this.waiters.clear();
    this.locked.set(false);
    Ok(())
}

fn locked(this: &Inst<LockCore>) -> Res<Object> {
    flag(this.locked.get())
}

fn release_method(this: &Inst<LockCore>) -> Res<Object> {
    release(this)?;
    Ok(value::none())
}

fn wake_method(this: &Inst<LockCore>) -> Res<Object> {
    wake(this)?;
    Ok(value::none())
}

fn set_locked(this: &Inst<LockCore>, value: Option<&Any>) -> Res<()> {
    assign_flag(&this.locked, value)
}

fn waiters(this: &Inst<LockCore>) -> Res<Object> {
    this.waiters.show_or_none()
}

fn set_waiters(this: &Inst<LockCore>, value: Option<&Any>) -> Res<()> {
    this.waiters.assign(value)
}

fn repr(this: &Inst<LockCore>) -> Res<Object> {
    let state = if this.locked.get() {
        "locked"
    } else {
        "unlocked"
    };
    super::bracketed(
        this.as_any(),
        &format!("{state}{}", this.waiters.described()?),
    )
}

/// Makes the classes.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Acquire>(c"A call of Lock.acquire(): a coroutine.")?;
    LOCK.build(object_class(), |b| {
        let b = context::methods(loop_bound::methods(b));
        b.doc(c"LockCore()\n--\n\nThe native half of aioxide.Lock.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .method0(c"locked", locked, c"locked($self)\n--\n\nWhether the lock is taken.")
            .coroutine0(
                c"acquire",
                acquire,
                c"acquire($self)\n--\n\nTake the lock, after those that asked for it before. Gives True.",
            )
            .method0(
                c"release",
                release_method,
                c"release($self)\n--\n\nOpen the lock, and wake the first of those that wait for it.\n\nRaises RuntimeError if it is not taken.",
            )
            .method0(
                c"_wake_up_first",
                wake_method,
                c"_wake_up_first($self)\n--\n\nWake the first waiter.",
            )
            .attribute(c"_locked", locked, set_locked, c"Whether the lock is taken.")
            .attribute(
                c"_waiters",
                waiters,
                set_waiters,
                c"The futures of those that wait, or None.",
            )
    })?;
    Ok(())
}
