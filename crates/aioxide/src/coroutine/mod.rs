//! Native coroutines: what `lock.acquire()`, `queue.get()`, `sleep()`, `sock_recv()` give back.
//!
//! asyncio's are coroutine functions, and people treat what they return so: `create_task`,
//! `gather`, `wait_for`, `iscoroutine`, `close`, "was never awaited". Here one object is the call,
//! its arguments and the place where it waits. Outwards it is a `collections.abc.Coroutine` that
//! works under any task and any loop; nothing happens before its first step.
//!
//! # Writing one
//!
//! An [`Operation`] is the body of the coroutine as a small state machine. `start` runs at the
//! first step, `resume` whenever what it awaited has ended, and both say what comes next:
//!
//! | [`Step`] | in Python | then |
//! |---|---|---|
//! | `Return(value)` | `return value` | nothing more |
//! | `Await(awaitable)` | `await awaitable` | `resume(Ok(result))` or `resume(Err(exception))` |
//! | `Pass` | a bare `yield` | `resume(Ok(None))` in the next turn, or `resume(Err(thrown))` |
//! | `Err(raised)` | `raise` | nothing more |
//!
//! So `resume(Err(..))` is the `except BaseException` around the `await`: cancellation comes in
//! there, as `CancelledError`, and so does `GeneratorExit` from `close()`. An operation that keeps
//! its place in a queue of waiters leaves it there. The exception is off the thread: raise it again
//! with `Raised::raise`.
//!
//! # The stages
//!
//! | stage | who acts next |
//! |---|---|
//! | created | whoever awaits it; nobody: "was never awaited" |
//! | running | we, inside one step; a second one is refused |
//! | suspended | whatever completes what is awaited |
//! | finished | nobody; awaiting it again is an error |
//!
//! A waiter is made with [`Waiter::create`](crate::future::Waiter): a future of ours on our loop,
//! `loop.create_future()` on any other.
//!
//! Files: `drive` goes from stage to stage, `methods` is the Python side, `introspection` what
//! `inspect` and debuggers see, `ready` the awaitable of what never waits.

mod drive;
mod introspection;
mod methods;
mod ready;

use std::cell::Cell;
use std::ffi::CStr;

use crate::ffi::{Class, Inst, Native, Object, Own, Res, Slot, Visit, origin};

pub(crate) use introspection::{readable, use_helpers};
pub(crate) use methods::{build, is_ours};
pub(crate) use ready::ready;

/// Makes the classes that all coroutines share.
pub(crate) fn build_shared() -> Res<()> {
    origin::find()?;
    methods::build_iterator()?;
    ready::build()
}

/// What a coroutine does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Ends with this value.
    Return(Object),
    /// Awaits this: a future, a coroutine, anything that `await` takes.
    Await(Object),
    /// Yields once, to be resumed in the loop's next turn.
    Pass,
}

/// How an `await` has ended: with a result, or with this exception.
pub(crate) type Outcome = Result<Object, Object>;

/// The body of a native coroutine.
pub(crate) trait Operation: Default + std::fmt::Debug + 'static {
    /// The class's full name, `aioxide.Something`.
    const CLASS_NAME: &'static CStr;
    /// Whether the collector knows it from the start. Only what holds no object can do without.
    const TRACKED: bool = true;

    /// The class of the coroutine.
    fn class() -> &'static Class<Coroutine<Self>>;
    /// `__name__`: that of the method that was called.
    fn name(&self) -> &'static str;
    /// `__qualname__`, `Lock.acquire`.
    fn qualname(&self) -> String;
    /// The first step.
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step>;
    /// What was awaited has ended, or something was thrown in.
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step>;
    /// Shows the collector every reference.
    fn traverse(&self, visit: &mut Visit);
    /// Drops every reference: the coroutine has ended, or the collector asks.
    fn clear(&self);
}

/// Where a coroutine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    Created,
    Running,
    Suspended,
    #[default]
    Finished,
}

/// A native coroutine.
#[derive(Debug)]
pub(crate) struct Coroutine<O> {
    stage: Cell<Stage>,
    /// It has a `cr_origin`, or names that were set: see `introspection`.
    has_extra: Cell<bool>,
    /// What is awaited, as its iterator; empty while suspended in a [`Step::Pass`].
    awaiting: Slot,
    operation: O,
}

impl<O> std::ops::Deref for Coroutine<O> {
    type Target = O;

    #[inline(always)]
    fn deref(&self) -> &O {
        &self.operation
    }
}

impl<O: Operation> Native for Coroutine<O> {
    const NAME: &'static CStr = O::CLASS_NAME;
    const SUBCLASSABLE: bool = false;
    const TRACKED: bool = O::TRACKED;
    const FINALIZER: bool = true;
    const WEAK_REFERENCES: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        O::class()
    }
    fn empty() -> Self {
        Coroutine {
            stage: Cell::new(Stage::Finished),
            has_extra: Cell::new(false),
            awaiting: Slot::default(),
            operation: O::default(),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.awaiting.visit(visit);
        self.operation.traverse(visit);
    }
    fn clear(&self) {
        self.awaiting.clear();
        self.operation.clear();
    }
    fn wants_finalize(&self) -> bool {
        matches!(self.stage.get(), Stage::Created | Stage::Suspended)
    }
    fn finalize(this: &Inst<Self>) {
        drive::forgotten(this);
    }
    #[inline]
    fn on_dealloc(this: &Inst<Self>) {
        if this.has_extra.get() {
            introspection::drop_extra(this);
        }
    }
}

impl<O: Operation> Inst<Coroutine<O>> {
    /// Whether a step is under way.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.stage.get() == Stage::Running
    }
}

/// A call that has not begun.
#[inline]
pub(crate) fn create<O: Operation>(operation: O) -> Res<Own<Coroutine<O>>> {
    let made = O::class().create(Coroutine {
        stage: Cell::new(Stage::Created),
        has_extra: Cell::new(false),
        awaiting: Slot::default(),
        operation,
    })?;
    if origin::depth() > 0 {
        introspection::record_origin(&made)?;
    }
    Ok(made)
}
