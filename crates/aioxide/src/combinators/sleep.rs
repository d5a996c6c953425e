//! `sleep()`: one native coroutine, and on our loop a timer that holds the future itself.

use std::cell::Cell;
use std::ffi::CStr;

use aioxide_core::clock::delay_to_ns;

use super::current::{any_loop, as_plain};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::{LoopCore, Timer};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};
use crate::future::{Future, FutureLike, LoopSlot, Waiter};

/// The body of `sleep()`.
#[derive(Debug, Default)]
pub(crate) struct Sleep {
    /// The delay; then, on a loop that is not ours, the handle of its timer.
    delay: Slot,
    result: Slot,
    core: SlotOf<LoopCore>,
    future: SlotOf<Future>,
    /// `sleep(0)`: a turn of the loop.
    passing: Cell<bool>,
}

static SLEEP: Class<Coroutine<Sleep>> = Class::new(4096);

impl Operation for Sleep {
    const CLASS_NAME: &'static CStr = c"aioxide.sleep";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &SLEEP
    }
    fn name(&self) -> &'static str {
        "sleep"
    }
    fn qualname(&self) -> String {
        "sleep".to_owned()
    }

    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let delay = this.delay.get_or_none();
        let number = delay.exact_number();
        let over = match number {
            Some(number) => number <= 0.0,
            None => delay.is_at_most(&*value::int(0)?)?,
        };
        if over {
            this.passing.set(true);
            return Ok(Step::Pass);
        }
        if imports().version >= (3, 13) {
            let is_nan = match number {
                Some(number) => number.is_nan(),
                None => delay.to_f64()?.is_nan(),
            };
            if is_nan {
                return Err(Raised::new(
                    Kind::Value,
                    "Invalid delay: NaN (not a number)",
                ));
            }
        }
        let loop_ = any_loop()?;
        if let (Some(core), Some(number)) = (as_plain(&loop_), number)
            && let Some(deadline) = delay_to_ns(core.now(), number)
        {
            let future = crate::future::create(LoopSlot::native(&core))?;
            let state = FutureLike::future(&**future);
            core.reserve_timer()?;
            state.lay_result(this.result.get_or_none());
            state.set_timer(true);
            core.set_timer(deadline, Timer::Resolve(future.clone()));
            this.future.set(future.clone());
            this.core.set(core);
            return Ok(Step::Await(future.into_object()));
        }
        start_elsewhere(this, &loop_, &delay).map(Step::Await)
    }

    #[inline]
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        if this.passing.get() {
            return match outcome {
                Ok(_) => Ok(Step::Return(this.result.get_or_none())),
                Err(exception) => Err(Raised::raise(exception)),
            };
        }
        this.stop_timer()?;
        match outcome {
            Ok(result) => Ok(Step::Return(result)),
            Err(exception) => Err(Raised::raise(exception)),
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        self.delay.visit(visit);
        self.result.visit(visit);
        self.core.visit(visit);
        self.future.visit(visit);
    }

    fn clear(&self) {
        self.delay.clear();
        self.result.clear();
        self.future.clear();
        self.core.clear();
    }
}

impl Sleep {
    #[inline]
    fn stop_timer(&self) -> Res<()> {
        let Some(core) = self.core.get() else {
            return match self.delay.take() {
                Some(handle) => handle.call_method0(&names().cancel).map(drop),
                None => Ok(()),
            };
        };
        if let Some(future) = self.future.get() {
            stop_timer(&core, &future);
        }
        Ok(())
    }
}

/// Takes the timer of a future out of the heap, if it is still there.
#[inline]
pub(super) fn stop_timer(core: &Inst<LoopCore>, future: &Inst<Future>) {
    let state = FutureLike::future(&**future);
    if state.has_timer() {
        state.set_timer(false);
        core.timer_cancelled();
    }
}

/// As asyncio does it: on a loop that is not ours, or has methods that are not.
#[cold]
fn start_elsewhere(this: &Inst<Coroutine<Sleep>>, loop_: &Any, delay: &Any) -> Res<Object> {
    let future = Waiter::create(loop_)?.object();
    let handle = loop_.getattr(&names().call_later)?.call(&[
        delay,
        &imports().set_result_unless_cancelled,
        &future,
        &this.result.get_or_none(),
    ])?;
    this.delay.set(handle);
    Ok(future)
}

const SIGNATURE: Signature<2> = Signature {
    function: "sleep",
    parameters: [c"delay", c"result"],
    positional: 2,
    required: 1,
};

/// `sleep(delay, result=None)`.
pub(super) fn sleep(args: Args<'_>) -> Res<Object> {
    let (delay, result) = if let (&[delay], true) = (args.positional, args.names.is_empty()) {
        (delay, None)
    } else {
        let [delay, result] = args.bind(&SIGNATURE)?;
        (delay.unwrap_or(value::none_ref()), result)
    };
    let call = Sleep {
        delay: Slot::new(Some(delay.own())),
        result: Slot::new(result.map(Any::own)),
        ..Sleep::default()
    };
    Ok(coroutine::create(call)?.into_object())
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<Sleep>(c"The coroutine of sleep().")
}
