//! `Condition`: waiting, with a lock let go of, until somebody says that something has changed.
//!
//! `wait` releases the lock, waits for a notification, and takes the lock again whatever happened
//! in between, cancellation included; only then does it raise. From 3.13 on, one that ends with an
//! exception passes its notification on.
//!
//! The lock may be any object with `acquire`, `release` and `locked`. One of ours, with nothing
//! overridden, is taken without a second coroutine.

mod wait;

use std::ffi::CStr;

use super::context::{self, Context};
use super::known::new_lock;
use super::lock::{self, LockCore};
use super::loop_bound::{self, Bound, LoopBound};
use super::waiters::Waiters;
use crate::ffi::call::Signature;
use crate::ffi::dispatch::Compare;
use crate::ffi::module::{Global, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit, value};
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};

/// The state of a condition.
#[derive(Debug, Default)]
pub(crate) struct ConditionCore {
    lock: Slot,
    waiters: Waiters,
    bound: LoopBound,
    hooks: Hooks,
}

static CONDITION: Class<ConditionCore> = Class::new(0);

impl Native for ConditionCore {
    const NAME: &'static CStr = c"aioxide.ConditionCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &CONDITION
    }
    fn empty() -> Self {
        ConditionCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.lock.visit(visit);
        self.waiters.visit(visit);
        self.bound.visit(visit);
    }
    fn clear(&self) {
        self.lock.clear();
        self.waiters.clear();
        self.bound.clear();
    }
}

const NOTIFY_SOME: u16 = 1;
const ACQUIRE: u16 = 4;
const LOCKED: u16 = 16;
const WAIT: u16 = 32;
const NOTIFY: u16 = 64;
/// What concerns the lock.
const OF_LOCK: u16 = ACQUIRE | LOCKED | ConditionCore::RELEASE;

impl Hooked for ConditionCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 7]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names._notify,
                &names._get_loop,
                &names.acquire,
                &names.release,
                &names.locked,
                &names.wait,
                &names.notify,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Bound for ConditionCore {
    const GET_LOOP: u16 = 2;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

impl Context for ConditionCore {
    const RELEASE: u16 = 8;

    fn enter(this: &Inst<Self>) -> Res<Object> {
        match this.plain_lock()? {
            Some(lock) => LockCore::enter(&lock),
            None => wait::enter(this),
        }
    }
    fn release(this: &Inst<Self>) -> Res<()> {
        match this.plain_lock()? {
            Some(lock) => lock::release(&lock),
            None => this.lock()?.call_method0(&names().release).map(drop),
        }
    }
}

impl Inst<ConditionCore> {
    fn lock(&self) -> Res<Object> {
        self.lock.get().ok_or_else(super::gone)
    }

    /// The lock, if it is ours and nothing of it is overridden, here or there.
    #[inline]
    fn plain_lock(&self) -> Res<Option<Own<LockCore>>> {
        if replaced(self)? & OF_LOCK != 0 {
            return Ok(None);
        }
        match self.lock.get() {
            Some(lock) => lock::plain(&lock),
            None => Err(super::gone()),
        }
    }

    /// `self.locked()`.
    #[inline]
    fn is_locked(&self) -> Res<bool> {
        match self.plain_lock()? {
            Some(lock) => Ok(lock.is_locked()),
            None => self.as_any().call_method0(&names().locked)?.is_truthy(),
        }
    }
}

/// `self._notify(n)`, or what it does.
#[inline]
fn notify_some(this: &Inst<ConditionCore>, count: &Any) -> Res<()> {
    if replaced(this)? & NOTIFY_SOME != 0 {
        return this
            .as_any()
            .call_method1(&names()._notify, count)
            .map(drop);
    }
    wake(this, count)
}

/// Wakes as many of those that wait.
fn wake(this: &Inst<ConditionCore>, count: &Any) -> Res<()> {
    let whole = count.exact_int();
    let mut woken = 0;
    let mut index = 0;
    while let Some(waiter) = this.waiters.get(index)? {
        let enough = match whole {
            Some(count) => woken >= count,
            None => value::int(woken)?.compare(Compare::GreaterOrEqual, count)?,
        };
        if enough {
            break;
        }
        if !waiter.is_done()? {
            woken += 1;
            waiter.resolve(value::bool(false))?;
        }
        index += 1;
    }
    Ok(())
}

const INIT: Signature<1> = Signature {
    function: "Condition.__init__",
    parameters: [c"lock"],
    positional: 1,
    required: 0,
};

fn init(this: &Inst<ConditionCore>, args: Args<'_>) -> Res<()> {
    let [given] = args.bind(&INIT)?;
    let lock = match given {
        Some(lock) if !lock.is_none() => lock.own(),
        _ => new_lock()?,
    };
    let methods = [&names().locked, &names().acquire, &names().release];
    let of_class = replaced(this)? & OF_LOCK != 0;
    if of_class || lock::plain(&lock)?.is_none() {
        for name in methods {
            let method = lock.getattr(name)?;
            if of_class {
                // With asyncio these are attributes of the instance, which hide a derived class's.
                this.as_any().object_setattr(name, Some(&method))?;
            }
        }
    }
    this.lock.set(lock);
    this.waiters.clear();
    Ok(())
}

fn acquire(this: &Inst<ConditionCore>) -> Res<Object> {
    match this.lock()? {
        lock if lock::plain(&lock)?.is_none() => lock.call_method0(&names().acquire),
        lock => match lock.downcast::<LockCore>() {
            Some(core) => lock::acquire(core),
            None => Err(super::gone()),
        },
    }
}

fn release(this: &Inst<ConditionCore>) -> Res<Object> {
    match lock::plain(&*this.lock()?)? {
        Some(lock) => {
            lock::release(&lock)?;
            Ok(value::none())
        }
        None => this.lock()?.call_method0(&names().release),
    }
}

fn locked(this: &Inst<ConditionCore>) -> Res<Object> {
    this.lock()?.call_method0(&names().locked)
}

const NOTIFY_SIGNATURE: Signature<1> = Signature {
    function: "Condition.notify",
    parameters: [c"n"],
    positional: 1,
    required: 0,
};

fn notify(this: &Inst<ConditionCore>, args: Args<'_>) -> Res<Object> {
    let [count] = args.bind(&NOTIFY_SIGNATURE)?;
    if !this.is_locked()? {
        return Err(Raised::runtime("cannot notify on un-acquired lock"));
    }
    match count {
        Some(count) => notify_some(this, count)?,
        None => notify_some(this, &*value::int(1)?)?,
    }
    Ok(value::none())
}

fn notify_method(this: &Inst<ConditionCore>, args: Args<'_>) -> Res<Object> {
    wake(this, args.one("Condition._notify", c"n")?)?;
    Ok(value::none())
}

/// `notify_all()`: `self.notify(len(self._waiters))`.
pub(super) fn notify_everybody(this: &Inst<ConditionCore>) -> Res<()> {
    let count = value::int(i64::try_from(this.waiters.len()?).unwrap_or(i64::MAX))?;
    if replaced(this)? & NOTIFY != 0 {
        return this
            .as_any()
            .call_method1(&names().notify, &count)
            .map(drop);
    }
    if !this.is_locked()? {
        return Err(Raised::runtime("cannot notify on un-acquired lock"));
    }
    notify_some(this, &count)
}

fn notify_all(this: &Inst<ConditionCore>) -> Res<Object> {
    notify_everybody(this)?;
    Ok(value::none())
}

fn show_lock(this: &Inst<ConditionCore>) -> Res<Object> {
    this.lock()
}

fn assign_lock(this: &Inst<ConditionCore>, value: Option<&Any>) -> Res<()> {
    this.lock.set(crate::ffi::method::no_delete(value)?.own());
    Ok(())
}

fn waiters(this: &Inst<ConditionCore>) -> Res<Object> {
    this.waiters.show()
}

fn assign_waiters(this: &Inst<ConditionCore>, value: Option<&Any>) -> Res<()> {
    this.waiters.assign(value)
}

fn repr(this: &Inst<ConditionCore>) -> Res<Object> {
    let state = if this.is_locked()? {
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
    wait::build()?;
    CONDITION.build(object_class(), |b| {
        let b = context::methods(loop_bound::methods(b));
        b.doc(c"ConditionCore(lock=None)\n--\n\nThe native half of aioxide.Condition.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .coroutine0(c"acquire", acquire, c"acquire($self)\n--\n\nThe lock's acquire().")
            .method0(c"release", release, c"release($self)\n--\n\nThe lock's release().")
            .method0(c"locked", locked, c"locked($self)\n--\n\nThe lock's locked().")
            .coroutine0(
                c"wait",
                wait::wait,
                c"wait($self)\n--\n\nRelease the lock, wait for a notification, and take the lock again. Gives True.\n\nRaises RuntimeError if the lock is not taken.",
            )
            .coroutine(
                c"wait_for",
                wait::wait_for,
                c"wait_for($self, predicate)\n--\n\nWait until predicate() is true, and give its value.",
            )
            .method(
                c"notify",
                notify,
                c"notify($self, n=1)\n--\n\nWake n of those that wait, or all if they are fewer.\n\nRaises RuntimeError if the lock is not taken.",
            )
            .method(
                c"_notify",
                notify_method,
                c"_notify($self, n)\n--\n\nWake n of those that wait, without a look at the lock.",
            )
            .method0(
                c"notify_all",
                notify_all,
                c"notify_all($self)\n--\n\nWake all that wait.\n\nRaises RuntimeError if the lock is not taken.",
            )
            .attribute(c"_lock", show_lock, assign_lock, c"The lock.")
            .attribute(
                c"_waiters",
                waiters,
                assign_waiters,
                c"The futures of those that wait.",
            )
    })?;
    Ok(())
}
