//! `Handle` and `TimerHandle`: a callback that the loop will run, once or never.
//!
//! Both stand on asyncio's own classes, which are Python classes with `__slots__`: the Rust state
//! lies over those slots (see `Native::OVERLAY`), and getters of the same names answer from it. So
//! asyncio's own `__repr__`, comparisons and hash run unchanged on ours.
//!
//! A handle is not tracked by the garbage collector while only the loop's queue holds it. What
//! the queue lets go of and others still hold is tracked from then on, so that a cycle through
//! a handle that somebody keeps can be collected.
//!
//! Files: `call` is what both share, `methods` their Python side.

mod call;
mod methods;

use std::cell::Cell;

use aioxide_core::timers::TimerEntry;

use self::call::{Call, Flags, cancel, invoke, report};
use crate::ffi::{Any, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit};
use crate::tuning;

pub(crate) use self::call::HasCall;

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

static HANDLE: Class<Handle> = Class::new(tuning::HANDLES);
static TIMER_HANDLE: Class<TimerHandle> = Class::new(tuning::HANDLES);

/// The loop goes to sleep: gives back some of what a burst has left.
#[inline]
pub(crate) fn trim_pools() {
    HANDLE.trim(tuning::HANDLES_ASLEEP);
    TIMER_HANDLE.trim(tuning::HANDLES_ASLEEP);
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
    fn is_cancelled(&self) -> bool;
    fn run(&self, exclusive: bool) -> Res<()>;
}

impl<T: HasCall> Runnable for Inst<T> {
    #[inline(always)]
    fn is_cancelled(&self) -> bool {
        self.cancelled().get()
    }

    #[inline]
    fn run(&self, exclusive: bool) -> Res<()> {
        match invoke(&**self, exclusive && self.is_exact()) {
            Ok(()) => Ok(()),
            Err(raised) => report(self, raised),
        }
    }
}

/// Makes both classes.
pub(crate) fn build() -> Res<()> {
    methods::build(&HANDLE, &TIMER_HANDLE)
}
