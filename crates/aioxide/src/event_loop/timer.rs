//! What can stand in the heap of the loop: something to do later.

use aioxide_core::timers::TimerEntry;

use super::Entry;
use crate::combinators::{Timeout, WaitFor};
use crate::coroutine::Coroutine;
use crate::ffi::{Own, Visit};
use crate::future::{Future, FutureLike};
use crate::handle::{self, TimerHandle};

/// One thing to do when its time has come. A sleep is the future itself: no handle, no callback.
///
/// What is not a handle can be in the heap once at a time, and knows whether it is: taken out of
/// its mark it counts as cancelled.
#[derive(Debug)]
pub(crate) enum Timer {
    /// A callback of `call_later` or `call_at`.
    Handle(Own<TimerHandle>),
    /// Gives the future the result that is laid ready in it, unless it is done.
    Resolve(Own<Future>),
    /// Ends a `wait_for`.
    WaitFor(Own<Coroutine<WaitFor>>),
    /// Expires a `Timeout`, if it has not been scheduled again since.
    Timeout(Own<Timeout>, u32),
}

impl TimerEntry for Timer {
    #[inline]
    fn is_cancelled(&self) -> bool {
        match self {
            Timer::Handle(handle) => handle.is_cancelled(),
            Timer::Resolve(future) => !future.future().has_timer(),
            Timer::WaitFor(wait) => !wait.has_timer(),
            Timer::Timeout(timeout, number) => !timeout.has_timer(*number),
        }
    }
}

impl Timer {
    /// It is due: what goes into the queue.
    #[inline]
    pub(super) fn due(self) -> Entry {
        match self {
            Timer::Handle(handle) => {
                handle.set_unscheduled();
                Entry::Timer(handle)
            }
            Timer::Resolve(future) => {
                future.future().set_timer(false);
                Entry::Resolve(future)
            }
            Timer::WaitFor(wait) => {
                wait.set_timer(false);
                Entry::WaitFor(wait)
            }
            Timer::Timeout(timeout, number) => {
                timeout.timer_is_due();
                Entry::Timeout(timeout, number)
            }
        }
    }

    /// It is cancelled, and out of the heap.
    #[inline]
    pub(super) fn bury(self) {
        if let Timer::Handle(handle) = self {
            // Cancelled, so it holds no callback: no cycle leads through it.
            handle.set_unscheduled();
        }
    }

    /// The loop is closed, and it will never be due.
    pub(super) fn release(self) {
        match self {
            Timer::Handle(handle) => {
                handle.set_unscheduled();
                handle::release(handle);
            }
            Timer::Resolve(future) => future.future().set_timer(false),
            Timer::WaitFor(wait) => wait.set_timer(false),
            Timer::Timeout(timeout, _) => timeout.timer_is_due(),
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        match self {
            Timer::Handle(handle) => visit.through(handle),
            Timer::Resolve(future) => visit.native(future),
            Timer::WaitFor(wait) => visit.native(wait),
            Timer::Timeout(timeout, _) => visit.native(timeout),
        }
    }
}
