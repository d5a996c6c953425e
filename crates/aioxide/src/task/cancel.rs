//! Cancelling a task: pass the request to the awaited future, or mark the task.
//!
//! A task passes it to the future that it awaits, a gathering to its children, and both may be tasks
//! and gatherings again, to any depth. They are visited in asyncio's order, in a loop with a path on
//! the heap: a request reaches the end of a chain of any length. A ring of tasks that await each other
//! has no end. asyncio recurses there until it raises `RecursionError`; here it is raised as soon as
//! the request comes back to a task on its own path.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Task;
use crate::combinators::Gathering;
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, stack, value};
use crate::future::{self, Future, FutureLike};

/// The number of the request that has the object on its path; 0 outside.
pub(crate) type Mark = Cell<u32>;

/// `Task.cancel`: `False` if it is done already.
pub(crate) fn cancel(this: &Inst<Task>, message: Option<&Any>) -> Res<bool> {
    match ask_task(this, message)? {
        Asked::Answered(accepted) => Ok(accepted),
        Asked::Passes(waiter) => {
            let mut walk = Walk::new(message);
            walk.enter_task(this)?;
            walk.run(waiter)
        }
    }
}

/// `_GatheringFuture.cancel`: requests the cancellation of every child. It is done when they are.
pub(crate) fn cancel_gathering(this: &Inst<Gathering>, message: Option<&Any>) -> Res<bool> {
    Walk::new(message).run(this.as_any().own())
}

/// Cancels a future or a task by its type, without a Python call.
pub(super) fn cancel_native<T: FutureLike>(awaited: &Inst<T>, message: Option<&Any>) -> Res<bool> {
    if let Some(task) = awaited.as_any().as_exact::<Task>() {
        return cancel(task, message);
    }
    if let Some(gathering) = awaited.as_any().as_exact::<Gathering>() {
        return cancel_gathering(gathering, message);
    }
    future::cancel(awaited, message)
}

/// What a task does with a request.
enum Asked {
    Answered(bool),
    /// It awaits this task or gathering, which is to be asked.
    Passes(Object),
}

#[inline]
fn ask_task(this: &Inst<Task>, message: Option<&Any>) -> Res<Asked> {
    this.future.forget_log();
    if this.is_done() {
        return Ok(Asked::Answered(false));
    }
    this.cancel_requests.set(this.cancel_requests.get() + 1);
    if let Some(waiter) = this.waiter.get() {
        let accepted = if let Some(future) = waiter.as_exact::<Future>() {
            future::cancel(future, message)?
        } else if waiter.as_exact::<Task>().is_some() || waiter.as_exact::<Gathering>().is_some() {
            return Ok(Asked::Passes(waiter));
        } else {
            cancel_foreign(&waiter, message)?
        };
        if accepted {
            // The waiter stays: a task may catch the cancellation, and be cancelled again.
            return Ok(Asked::Answered(true));
        }
    }
    mark_task(this, message);
    Ok(Asked::Answered(true))
}

/// The awaited future has refused: the next step raises `CancelledError`.
fn mark_task(this: &Inst<Task>, message: Option<&Any>) {
    this.must_cancel.set(true);
    this.future.set_cancel_message(message);
}

/// `future.cancel(msg=message)` of an object that is not exactly ours, and may call back.
#[cold]
pub(crate) fn cancel_foreign(future: &Any, message: Option<&Any>) -> Res<bool> {
    stack::check()?;
    let message = message.unwrap_or(value::none_ref());
    future
        .call_method0_kw(&names().cancel, message, &imports().msg_names)?
        .is_truthy()
}

/// A task or a gathering that waits for the answer of another, and the mark it had before.
enum Level {
    Task(Own<Task>, u32),
    Gathering {
        gathering: Own<Gathering>,
        before: u32,
        children: Object,
        next: usize,
        any: bool,
    },
}

/// One request on its way through tasks and gatherings.
struct Walk<'a> {
    number: u32,
    message: Option<&'a Any>,
    path: Vec<Level>,
}

/// A number for the next request, never 0.
fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    match NEXT.fetch_add(1, Ordering::Relaxed) {
        0 => NEXT.fetch_add(1, Ordering::Relaxed),
        number => number,
    }
}

impl<'a> Walk<'a> {
    fn new(message: Option<&'a Any>) -> Walk<'a> {
        Walk {
            number: next_number(),
            message,
            path: Vec::new(),
        }
    }

    /// Marks a task or a gathering, and gives the mark it had.
    fn mark(&self, mark: &Mark) -> Res<u32> {
        if mark.get() == self.number {
            return Err(stack::too_deep());
        }
        Ok(mark.replace(self.number))
    }

    fn push(&mut self, level: Level) -> Res<()> {
        if self.path.try_reserve(1).is_err() {
            level.unmark();
            return Err(Raised::new(
                Kind::Memory,
                "no memory to cancel so many tasks",
            ));
        }
        self.path.push(level);
        Ok(())
    }

    fn enter_task(&mut self, task: &Inst<Task>) -> Res<()> {
        let before = self.mark(&task.cancel_mark)?;
        self.push(Level::Task(task.own(), before))
    }

    /// Asks `first`, then whatever it leads to.
    fn run(&mut self, first: Object) -> Res<bool> {
        let mut asked = first;
        loop {
            let mut answer = match self.ask(&asked)? {
                Asked::Answered(answer) => Some(answer),
                Asked::Passes(next) => {
                    asked = next;
                    continue;
                }
            };
            // Back along the path, to the next child that is to be asked.
            loop {
                match self.path.last_mut() {
                    None => return Ok(answer.unwrap_or(false)),
                    Some(Level::Task(task, _)) => {
                        if answer == Some(false) {
                            mark_task(task, self.message);
                        }
                        answer = Some(true);
                    }
                    Some(Level::Gathering {
                        gathering,
                        children,
                        next,
                        any,
                        ..
                    }) => {
                        *any |= answer == Some(true);
                        if let Some(child) = children.list_get(*next) {
                            *next += 1;
                            asked = child;
                            break;
                        }
                        if *any {
                            gathering.request_cancel();
                        }
                        answer = Some(*any);
                    }
                }
                if let Some(level) = self.path.pop() {
                    level.unmark();
                }
            }
        }
    }

    /// Asks one object; a task or a gathering that passes the request on is on the path then.
    fn ask(&mut self, asked: &Any) -> Res<Asked> {
        if let Some(task) = asked.as_exact::<Task>() {
            // Before it counts: a ring counts each of its tasks once.
            if task.cancel_mark.get() == self.number {
                return Err(stack::too_deep());
            }
            let next = ask_task(task, self.message)?;
            if matches!(next, Asked::Passes(_)) {
                self.enter_task(task)?;
            }
            return Ok(next);
        }
        if let Some(gathering) = asked.as_exact::<Gathering>() {
            return self.ask_gathering(gathering);
        }
        match asked.as_exact::<Future>() {
            Some(future) => future::cancel(future, self.message),
            None => cancel_foreign(asked, self.message),
        }
        .map(Asked::Answered)
    }

    fn ask_gathering(&mut self, gathering: &Inst<Gathering>) -> Res<Asked> {
        let Some(children) = gathering.cancellable_children() else {
            return Ok(Asked::Answered(false));
        };
        let Some(first) = children.list_get(0) else {
            return Ok(Asked::Answered(false));
        };
        let before = self.mark(gathering.cancel_mark())?;
        self.push(Level::Gathering {
            gathering: gathering.own(),
            before,
            children,
            next: 1,
            any: false,
        })?;
        Ok(Asked::Passes(first))
    }
}

impl Level {
    fn unmark(&self) {
        match self {
            Level::Task(task, before) => task.cancel_mark.set(*before),
            Level::Gathering {
                gathering, before, ..
            } => gathering.cancel_mark().set(*before),
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        // Only after an error is something left.
        self.path.iter().for_each(Level::unmark);
    }
}
