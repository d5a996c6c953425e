//! The iterator that `fut.__await__()` and `iter(fut)` give.
//!
//! `await fut` on an exact future does not make one; it serves code that calls `__await__` by
//! name, `yield from`, and classes derived from ours.

use crate::ffi::send::{Answer, thrown_exception};
use crate::ffi::value;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit};
use crate::task::Task;

use super::{Future, answer};

/// `aioxide.FutureIter`.
#[derive(Debug, Default)]
pub(crate) struct FutureIter {
    /// Empty once it is exhausted.
    future: Slot,
}

static FUTURE_ITER: Class<FutureIter> = Class::new(64);

impl Native for FutureIter {
    const NAME: &'static std::ffi::CStr = c"aioxide.FutureIter";
    const SUBCLASSABLE: bool = false;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &FUTURE_ITER
    }
    fn empty() -> Self {
        FutureIter::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.future.visit(visit);
    }
    fn clear(&self) {
        self.future.clear();
    }
}

pub(super) fn create(future: &Any) -> Res<Object> {
    Ok(FUTURE_ITER
        .create(FutureIter {
            future: Slot::new(Some(future.own())),
        })?
        .into_object())
}

fn next(this: &Inst<FutureIter>) -> Res<Answer> {
    let Some(future) = this.future.get() else {
        return Ok(Answer::Return(value::none()));
    };
    let answered = if let Some(future) = future.downcast::<Future>() {
        answer(future)
    } else if let Some(task) = future.downcast::<Task>() {
        answer(task)
    } else {
        Err(Raised::type_error("a future was expected"))
    };
    if !matches!(answered, Ok(Answer::Yield(_))) {
        this.future.clear();
    }
    answered
}

fn send(this: &Inst<FutureIter>, _value: &Any) -> Res<Object> {
    match next(this)? {
        Answer::Yield(object) => Ok(object),
        Answer::Return(result) => Err(crate::ffi::send::stop_iteration(&result)),
    }
}

/// `throw(exception)` or, deprecated, `throw(type, value, traceback)`.
fn throw(this: &Inst<FutureIter>, args: Args<'_>) -> Res<Object> {
    let exception = thrown_exception(&args)?;
    this.future.clear();
    Err(Raised::raise(exception))
}

fn close(this: &Inst<FutureIter>) -> Res<Object> {
    this.future.clear();
    Ok(value::none())
}

pub(super) fn build() -> Res<()> {
    FUTURE_ITER.build(crate::ffi::native_type::object_class(), |b| {
        b.not_constructible()
            .iterates_itself()
            .next(next)
            .method1(
                c"send",
                send,
                c"send($self, value, /)\n--\n\nResume; the value is ignored.",
            )
            .method(
                c"throw",
                throw,
                c"throw($self, exception, /)\n--\n\nRaise an exception and finish.",
            )
            .method0(c"close", close, c"close($self, /)\n--\n\nFinish.")
    })?;
    Ok(())
}
