//! The futures that our functions wait for: ours by type, without a Python call, and any other.

use super::gathering::Gathering;
use super::observer::Observer;
use super::originals::originals;
use crate::event_loop::LoopCore;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Own, Res, value};
use crate::future::{self, Future, FutureLike, FutureState, State};
use crate::task::{self, Task};

/// A future of exactly one of our classes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'a> {
    Future(&'a Inst<Future>),
    Task(&'a Inst<Task>),
    Gathering(&'a Inst<Gathering>),
}

impl<'a> Known<'a> {
    #[inline]
    pub(super) fn of(object: &'a Any) -> Option<Known<'a>> {
        if let Some(task) = object.as_exact::<Task>() {
            return Some(Known::Task(task));
        }
        if let Some(future) = object.as_exact::<Future>() {
            return Some(Known::Future(future));
        }
        object.as_exact::<Gathering>().map(Known::Gathering)
    }

    #[inline]
    pub(super) fn state(self) -> &'a FutureState {
        match self {
            Known::Future(future) => FutureLike::future(&**future),
            Known::Task(task) => FutureLike::future(&**task),
            Known::Gathering(gathering) => FutureLike::future(&**gathering),
        }
    }

    /// Whether it belongs to this loop.
    #[inline]
    pub(super) fn is_on(self, core: &Inst<LoopCore>) -> bool {
        self.state().loop_slot().is(core.as_any())
    }

    #[inline]
    pub(super) fn observe(self, observer: &Inst<Observer>, number: u32) -> Res<()> {
        let observer = observer.own();
        match self {
            Known::Future(future) => future::add_observer(future, observer, number),
            Known::Task(task) => future::add_observer(task, observer, number),
            Known::Gathering(gathering) => future::add_observer(gathering, observer, number),
        }
    }

    pub(super) fn unobserve(self, observer: &Inst<Observer>) {
        match self {
            Known::Future(future) => future::remove_observer(future, observer),
            Known::Task(task) => future::remove_observer(task, observer),
            Known::Gathering(gathering) => future::remove_observer(gathering, observer),
        }
    }

    fn cancel(self, message: Option<&Any>) -> Res<bool> {
        match self {
            Known::Future(future) => future::cancel(future, message),
            Known::Task(task) => task::cancel(task, message),
            Known::Gathering(gathering) => task::cancel_gathering(gathering, message),
        }
    }
}

/// How a future has ended.
#[derive(Debug)]
pub(super) enum Ending {
    Cancelled,
    Failed(Object),
    Result(Object),
}

/// `done()`.
pub(super) fn is_done(future: &Any) -> Res<bool> {
    match Known::of(future) {
        Some(known) => Ok(!known.state().is_pending()),
        None => future.call_method0(&names().done)?.is_truthy(),
    }
}

/// `cancelled()`, `exception()`, `result()` of a future that is done, in this order.
#[inline]
pub(super) fn ending(future: &Any) -> Res<Ending> {
    let Some(known) = Known::of(future) else {
        return foreign_ending(future);
    };
    let state = known.state();
    Ok(match state.state() {
        State::Cancelled => Ending::Cancelled,
        State::Exception => {
            state.retrieve();
            Ending::Failed(state.outcome())
        }
        State::Pending | State::Result => Ending::Result(state.outcome()),
    })
}

#[cold]
fn foreign_ending(future: &Any) -> Res<Ending> {
    if future
        .call_method0(&originals().names.cancelled)?
        .is_truthy()?
    {
        return Ok(Ending::Cancelled);
    }
    let exception = future.call_method0(&names().exception)?;
    if !exception.is_none() {
        return Ok(Ending::Failed(exception));
    }
    future.call_method0(&names().result).map(Ending::Result)
}

/// `_make_cancelled_error()`.
pub(super) fn cancelled_error(future: &Any) -> Res<Object> {
    match Known::of(future) {
        Some(known) => future::make_cancelled_error(known.state()),
        None => future.call_method0(&originals().names._make_cancelled_error),
    }
}

/// `_cancel_message`.
pub(super) fn cancel_message(future: &Any) -> Res<Object> {
    match Known::of(future) {
        Some(known) => Ok(known.state().cancel_message().unwrap_or_else(value::none)),
        None => future.getattr(&originals().names._cancel_message),
    }
}

/// `cancel(msg=message)`.
pub(super) fn cancel(future: &Any, message: Option<&Any>) -> Res<bool> {
    match Known::of(future) {
        Some(known) => known.cancel(message),
        None => task::cancel_foreign(future, message),
    }
}

/// `add_done_callback(observer)`.
pub(super) fn observe(future: &Any, observer: &Own<Observer>, number: u32) -> Res<()> {
    match Known::of(future) {
        Some(known) => known.observe(observer, number),
        None => future
            .call_method1(&names().add_done_callback, observer.as_any())
            .map(drop),
    }
}
