//! From stage to stage: beginning, suspending, resuming, ending.

use super::{Coroutine, Operation, Stage, Step, introspection};
use crate::ffi::compat::set_cause;
use crate::ffi::error::{Kind, stop_iteration_class};
use crate::ffi::module::names;
use crate::ffi::send::{self, Answer, Sent};
use crate::ffi::{Inst, Object, Raised, Res, stack, value};
use crate::future::{self, Future};

/// One step: `send(None)`.
#[inline]
pub(super) fn step<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Answer> {
    let stage = this.stage.get();
    check_resumable(stage)?;
    // Whatever runs in the step may drop the last other reference to us.
    let held = this.own();
    let this = &*held;
    this.stage.set(Stage::Running);
    let next = if stage == Stage::Created {
        O::start(this)
    } else {
        match this.awaiting.get() {
            None => O::resume(this, Ok(value::none())),
            Some(awaited) => match resume_awaited(&awaited) {
                Ok(Sent::Yielded(object)) => {
                    this.stage.set(Stage::Suspended);
                    return Ok(Answer::Yield(object));
                }
                Ok(Sent::Returned(result)) => {
                    this.awaiting.clear();
                    O::resume(this, Ok(result))
                }
                Err(raised) => resume_with(this, raised),
            },
        }
    };
    follow(this, next)
}

/// One step with an exception: `throw(exception)`.
pub(super) fn throw<O: Operation>(this: &Inst<Coroutine<O>>, exception: Object) -> Res<Answer> {
    let stage = this.stage.get();
    check_resumable(stage)?;
    let held = this.own();
    let this = &*held;
    if stage == Stage::Created {
        finish(this);
        return Err(Raised::raise(exception));
    }
    this.stage.set(Stage::Running);
    let next = match this.awaiting.get() {
        Some(awaited) if awaited.as_exact::<Future>().is_none() => {
            match stack::check().and_then(|()| send::throw_into(&awaited, &exception)) {
                Ok(Sent::Yielded(object)) => {
                    this.stage.set(Stage::Suspended);
                    return Ok(Answer::Yield(object));
                }
                Ok(Sent::Returned(result)) => {
                    this.awaiting.clear();
                    O::resume(this, Ok(result))
                }
                Err(raised) => resume_with(this, raised),
            }
        }
        _ => resume_with(this, Raised::raise(exception)),
    };
    follow(this, next)
}

/// `close()`: ends it where it stands, as a coroutine that gets `GeneratorExit`.
pub(super) fn close<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<()> {
    match this.stage.get() {
        Stage::Running => return Err(executing()),
        Stage::Finished => return Ok(()),
        Stage::Created => {
            let held = this.own();
            finish(&*held);
            return Ok(());
        }
        Stage::Suspended => {}
    }
    let held = this.own();
    let this = &*held;
    this.stage.set(Stage::Running);
    let closed = match this.awaiting.get() {
        Some(awaited) if awaited.as_exact::<Future>().is_none() => close_awaited(&awaited),
        _ => Ok(()),
    };
    let thrown = match closed {
        // What cannot be made is an error like any other: the body gets that one.
        Ok(()) => match Kind::GeneratorExit.as_any().call0() {
            Ok(exit) => Raised::raise(exit),
            Err(raised) => raised,
        },
        Err(raised) => raised,
    };
    let next = resume_with(this, thrown);
    match follow(this, next) {
        Ok(Answer::Yield(_)) => Err(Raised::runtime("coroutine ignored GeneratorExit")),
        Ok(Answer::Return(_)) => Ok(()),
        Err(raised) if raised.matches(Kind::GeneratorExit.as_any()) => {
            raised.discard();
            Ok(())
        }
        Err(raised) => Err(raised),
    }
}

/// Nobody refers to it any more, and it has not ended.
#[cold]
pub(super) fn forgotten<O: Operation>(this: &Inst<Coroutine<O>>) {
    let outcome = if this.stage.get() == Stage::Created {
        // A nest that is dropped deep in the stack: a warning runs Python.
        if let Err(raised) = stack::check() {
            raised.discard();
            return;
        }
        introspection::warn_unawaited(this)
    } else {
        close(this)
    };
    if let Err(raised) = outcome {
        raised.unraisable(Some(this.as_any()));
    }
}

#[inline]
fn check_resumable(stage: Stage) -> Res<()> {
    match stage {
        Stage::Created | Stage::Suspended => Ok(()),
        Stage::Running => Err(executing()),
        Stage::Finished => Err(Raised::runtime("cannot reuse already awaited coroutine")),
    }
}

/// Resumes the body with an exception. It is taken off the thread first: what the body lets go
/// of on its way may run Python, which must not see it.
fn resume_with<O: Operation>(this: &Inst<Coroutine<O>>, raised: Raised) -> Res<Step> {
    let exception = raised.take();
    this.awaiting.clear();
    O::resume(this, Err(exception))
}

/// Does what the body has asked for, until it waits or ends.
#[inline]
fn follow<O: Operation>(this: &Inst<Coroutine<O>>, mut next: Res<Step>) -> Res<Answer> {
    loop {
        match next {
            Ok(Step::Return(result)) => {
                finish(this);
                return Ok(Answer::Return(result));
            }
            Ok(Step::Await(awaitable)) => match begin_await(this, awaitable) {
                Ok(Sent::Yielded(object)) => {
                    this.stage.set(Stage::Suspended);
                    return Ok(Answer::Yield(object));
                }
                Ok(Sent::Returned(result)) => {
                    this.awaiting.clear();
                    next = O::resume(this, Ok(result));
                }
                Err(raised) => next = resume_with(this, raised),
            },
            Ok(Step::Pass) => {
                this.stage.set(Stage::Suspended);
                return Ok(Answer::Yield(value::none()));
            }
            Err(raised) => return Err(fail(this, raised)),
        }
    }
}

#[inline]
fn begin_await<O: Operation>(this: &Inst<Coroutine<O>>, awaitable: Object) -> Res<Sent> {
    let iterator = match awaitable.as_exact::<Future>() {
        Some(_) => awaitable,
        None => send::awaitable_iterator(&awaitable)?,
    };
    this.awaiting.set(iterator.clone());
    resume_awaited(&iterator)
}

/// The body has raised.
fn fail<O: Operation>(this: &Inst<Coroutine<O>>, raised: Raised) -> Raised {
    let mut exception = raised.take();
    finish(this);
    if exception.is_subtype_of(stop_iteration_class()) {
        // To whoever awaits us it would be a result.
        let cause = exception;
        exception = Raised::runtime("coroutine raised StopIteration").take();
        set_cause(&exception, &cause);
    }
    Raised::raise(exception)
}

#[inline]
fn finish<O: Operation>(this: &Inst<Coroutine<O>>) {
    this.stage.set(Stage::Finished);
    this.awaiting.clear();
    O::clear(this);
}

/// One step of what is awaited.
#[inline]
fn resume_awaited(awaited: &Object) -> Res<Sent> {
    if let Some(future) = awaited.as_exact::<Future>() {
        return future::answer(future).map(|answer| match answer {
            Answer::Yield(object) => Sent::Yielded(object),
            Answer::Return(result) => Sent::Returned(result),
        });
    }
    stack::check()?;
    send::send_none(awaited)
}

/// `awaited.close()`, if it has such a method: futures' iterators and coroutines do.
fn close_awaited(awaited: &Object) -> Res<()> {
    stack::check()?;
    match awaited.getattr_opt(&names().close)? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

fn executing() -> Raised {
    Raised::new(Kind::Value, "coroutine already executing")
}
