//! `Waiter`: the future that a suspended operation awaits, on whatever loop runs.

use super::{Future, LoopSlot, cancel, create, resolve, state};
use crate::event_loop::LoopCore;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Own, Res, Visit};

/// A future of ours on our loop, and what `loop.create_future()` gives on any other.
#[derive(Clone, Debug)]
pub(crate) enum Waiter {
    Native(Own<Future>),
    Foreign(Object),
}

impl Waiter {
    /// `loop.create_future()`.
    #[inline]
    pub(crate) fn create(loop_: &Any) -> Res<Waiter> {
        match loop_.downcast::<LoopCore>() {
            Some(core) if core.is_plain() => Waiter::on(core),
            _ => Waiter::foreign(loop_),
        }
    }

    /// As `create`, for a loop that is known to be ours and to be direct.
    #[inline]
    pub(crate) fn on(core: &Inst<LoopCore>) -> Res<Waiter> {
        create(LoopSlot::native(core)).map(Waiter::Native)
    }

    #[cold]
    fn foreign(loop_: &Any) -> Res<Waiter> {
        Ok(Waiter::of(loop_.call_method0(&names().create_future)?))
    }

    /// Any future, or what passes for one.
    pub(crate) fn of(future: Object) -> Waiter {
        match future.as_exact::<Future>() {
            Some(native) => Waiter::Native(native.own()),
            None => Waiter::Foreign(future),
        }
    }

    /// The future itself, to await it and to show it.
    #[inline]
    pub(crate) fn object(&self) -> Object {
        match self {
            Waiter::Native(future) => future.as_any().own(),
            Waiter::Foreign(future) => future.clone(),
        }
    }

    #[inline]
    pub(crate) fn is(&self, future: &Any) -> bool {
        match self {
            Waiter::Native(own) => own.as_any().is(future),
            Waiter::Foreign(own) => own.is(future),
        }
    }

    /// `done()`.
    #[inline]
    pub(crate) fn is_done(&self) -> Res<bool> {
        match self {
            Waiter::Native(future) => Ok(!super::FutureLike::future(&***future).is_pending()),
            Waiter::Foreign(future) => future.call_method0(&names().done)?.is_truthy(),
        }
    }

    /// `cancelled()`.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> Res<bool> {
        match self {
            Waiter::Native(future) => {
                Ok(super::FutureLike::future(&***future).state() == state::State::Cancelled)
            }
            Waiter::Foreign(future) => future.call_method0(&names().cancelled)?.is_truthy(),
        }
    }

    /// `set_result(result)`.
    #[inline]
    pub(crate) fn resolve(&self, result: Object) -> Res<()> {
        match self {
            Waiter::Native(future) => resolve(future, result),
            Waiter::Foreign(future) => future.call_method1(&names().set_result, &result).map(drop),
        }
    }

    /// `set_exception(exception)`.
    pub(crate) fn fail(&self, exception: &Any) -> Res<()> {
        match self {
            Waiter::Native(future) => super::fail(future, exception),
            Waiter::Foreign(future) => future
                .call_method1(&names().set_exception, exception)
                .map(drop),
        }
    }

    /// `cancel()`.
    pub(crate) fn cancel(&self) -> Res<bool> {
        match self {
            Waiter::Native(future) => cancel(future, None),
            Waiter::Foreign(future) => future.call_method0(&names().cancel)?.is_truthy(),
        }
    }

    pub(crate) fn visit(&self, visit: &mut Visit) {
        match self {
            Waiter::Native(future) => visit.native(future),
            Waiter::Foreign(future) => visit.object(future),
        }
    }
}

/// The loop that runs in this thread.
///
/// # Errors
/// RuntimeError if none does.
#[inline]
pub(crate) fn running_loop() -> Res<Object> {
    crate::ffi::running_loop::required()
}
