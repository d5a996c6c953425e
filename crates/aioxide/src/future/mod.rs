//! `Future`: a result that is not there yet.
//!
//! * `state` holds what a future and a task share: outcome, callbacks, loop.
//! * `rare` is what few futures have.
//! * `callbacks` is the list of what runs when it is done; the first one lies inline, and the
//!   usual one, "wake this task", is a task pointer and no Python object at all.
//! * `methods` is the Python side, the same for `Future` and `Task`.
//! * `waiter` is the future that a native coroutine awaits, also on loops that are not ours.
//! * `iterator` is what `fut.__await__()` gives when it is called by name.
//!
//! A future is its own awaitable: `await fut` resumes the future's `tp_iternext` directly (see
//! `TypeBuilder::awaits_itself`).

mod callbacks;
mod iterator;
mod methods;
mod rare;
mod state;
mod waiter;

pub(crate) use methods::{cancel_message, common, finalize_future};
pub(crate) use state::{FutureLike, FutureState, LoopSlot, State};
pub(crate) use waiter::{Waiter, running_loop};

use crate::ffi::call::Signature;
use crate::ffi::module::imports;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Res, Visit};

/// `aioxide.Future`. Its first and only field is also the first of `Task` (see `ffi::family`).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Future {
    state: FutureState,
}

static FUTURE: Class<Future> = Class::new(1024);

impl Native for Future {
    const NAME: &'static std::ffi::CStr = c"aioxide.Future";
    const FINALIZER: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &FUTURE
    }
    fn empty() -> Self {
        Future::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.state.traverse(visit);
    }
    fn clear(&self) {
        self.state.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.state.wants_log()
    }
    fn finalize(this: &Inst<Self>) {
        finalize_future(this);
    }
}

impl FutureLike for Future {
    #[inline(always)]
    fn future(&self) -> &FutureState {
        &self.state
    }

    fn repr_function() -> &'static Any {
        &imports().future_repr
    }
}

const INIT: Signature<1> = Signature {
    function: "Future",
    parameters: [c"loop"],
    positional: 0,
    required: 0,
};

fn init(this: &Inst<Future>, args: Args<'_>) -> Res<()> {
    let [loop_] = args.bind(&INIT)?;
    this.state.initialise(this.as_any(), loop_)
}

/// `loop.create_future()`.
#[inline]
pub(crate) fn create(loop_: LoopSlot) -> Res<Own<Future>> {
    FUTURE.create(Future {
        state: FutureState::with_loop(loop_),
    })
}

fn set_result(this: &Inst<Future>, result: &Any) -> Res<Object> {
    state::set_result(this, result.own())?;
    Ok(crate::ffi::value::none())
}

fn cancel_method(this: &Inst<Future>, args: Args<'_>) -> Res<Object> {
    let message = cancel_message(&args)?;
    this.state.ensure_alive()?;
    Ok(crate::ffi::value::bool(cancel(this, message)?))
}

fn set_exception(this: &Inst<Future>, exception: &Any) -> Res<Object> {
    state::set_exception(this, exception)?;
    Ok(crate::ffi::value::none())
}

pub(crate) use state::{
    add_member, add_observer, add_server, add_wake, answer, cancel, make_cancelled_error,
};
pub(crate) use state::{dies_noticeably, outcome_exception, remove_observer, resolve_laid, result};
pub(crate) use state::{set_exception as fail, set_result as resolve};

/// Makes the classes `Future` and its iterator.
pub(crate) fn build() -> Res<()> {
    iterator::build()?;
    FUTURE.reserve(&imports().task_base);
    FUTURE.build(&imports().future_base, |b| {
        common(b)
            .doc(c"Future(*, loop=None)\n--\n\nA result that is not there yet, bound to an event loop. An asyncio.Future.")
            .init(init)
            .method(c"cancel", cancel_method, c"cancel($self, /, msg=None)\n--\n\nCancel the future and schedule its callbacks. False if it is done already.")
            .method1(
                c"set_result",
                set_result,
                c"set_result($self, result, /)\n--\n\nMark the future done with a result.\n\nRaises InvalidStateError if it is done already.",
            )
            .method1(
                c"set_exception",
                set_exception,
                c"set_exception($self, exception, /)\n--\n\nMark the future done with an exception, a class or an instance.\n\nRaises InvalidStateError if it is done already.",
            )
    })?;
    Ok(())
}
