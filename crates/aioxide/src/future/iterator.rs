//! The iterator that `fut.__await__()` and `iter(fut)` give.
//!
//! `await fut` on an exact future does not make one; it serves code that calls `__await__` by
//! name, `yield from`, and classes derived from ours.

use crate::ffi::error::{is_exception, is_exception_class, warn, WarningKind};
use crate::ffi::module::imports;
use crate::ffi::send::Answer;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit};
use crate::ffi::{compat, value};
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
    Ok(FUTURE_ITER.create(FutureIter { future: Slot::new(Some(future.own())) })?.into_object())
}

fn next(this: &Inst<FutureIter>) -> Res<Answer> {
    let Some(future) = this.future.get() else { return Ok(Answer::Return(value::none())) };
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
        Answer::Return(result) => {
            Err(crate::ffi::send::stop_iteration(result))
        }
    }
}

/// `throw(exception)` or, deprecated, `throw(type, value, traceback)`.
fn throw(this: &Inst<FutureIter>, args: Args<'_>) -> Res<Object> {
    let (&[class, ..], true) = (args.positional, args.names.is_empty()) else {
        return Err(Raised::type_error("throw expected at least 1 argument, got 0"));
    };
    if args.positional.len() > 3 {
        return Err(Raised::type_error("throw expected at most 3 arguments"));
    }
    if args.positional.len() > 1 && imports().version >= (3, 12) {
        warn(
            WarningKind::Deprecation,
            "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature \
             instead.",
            1,
        )?;
    }
    let given = |index: usize| args.positional.get(index).copied().filter(|arg| !arg.is_none());
    let exception = if is_exception_class(class) {
        match given(1) {
            Some(instance) if is_exception(instance) => instance.own(),
            Some(argument) if argument.is_tuple() => class.call_tuple(argument)?,
            Some(argument) => class.call1(argument)?,
            None => class.call0()?,
        }
    } else if is_exception(class) {
        if given(1).is_some() {
            return Err(Raised::type_error("instance exception may not have a separate value"));
        }
        class.own()
    } else {
        return Err(Raised::type_error(
            "exceptions must be classes deriving BaseException or instances of such a class",
        ));
    };
    if let Some(traceback) = given(2) {
        if !compat::is_traceback(traceback) {
            return Err(Raised::type_error("throw() third argument must be a traceback"));
        }
        compat::set_traceback(&exception, Some(traceback));
    }
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
            .is_own_iterator()
            .next(next)
            .method1(c"send", send, c"send($self, value, /)\n--\n\nResume; the value is ignored.")
            .method(c"throw", throw, c"throw($self, exception, /)\n--\n\nRaise an exception and finish.")
            .method0(c"close", close, c"close($self, /)\n--\n\nFinish.")
    })?;
    Ok(())
}
