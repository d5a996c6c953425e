//! The state that a future and a task share, and what changes it.

use std::cell::Cell;

use super::callbacks::{Callback, Callbacks};
use super::rare::Rare;
use crate::combinators::{Group, Observer};
use crate::event_loop::{Entry, LoopCore};
use crate::ffi::compat::{set_cause, set_traceback, traceback_of};
use crate::ffi::error::{is_exception, is_exception_class, stop_iteration_class};
use crate::ffi::module::{imports, names};
use crate::ffi::send::Answer;
use crate::ffi::{Any, Inst, Native, Object, Own, Raised, Res, Slot, SlotOf, Visit};
use crate::ffi::{compat, context, value};
use crate::future::Future;
use crate::handle::Handle;
use crate::stream::StreamProtocol;
use crate::task::Task;

/// Where a future stands. Only `Pending` ever changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Pending,
    Cancelled,
    Result,
    Exception,
}

/// The loop of a future: ours, by type, or somebody else's, by its Python interface.
#[derive(Debug, Default)]
pub(crate) struct LoopSlot {
    native: SlotOf<LoopCore>,
    foreign: Slot,
}

impl LoopSlot {
    pub(crate) fn of(loop_: &Any) -> LoopSlot {
        match loop_.downcast::<LoopCore>() {
            Some(core) => LoopSlot::native(core),
            None => LoopSlot {
                native: SlotOf::default(),
                foreign: Slot::new(Some(loop_.own())),
            },
        }
    }

    #[inline]
    pub(crate) fn native(core: &Inst<LoopCore>) -> LoopSlot {
        LoopSlot {
            native: SlotOf::new(Some(core.own())),
            foreign: Slot::default(),
        }
    }

    /// Takes over another slot's loop.
    fn adopt(&self, other: LoopSlot) {
        let LoopSlot { native, foreign } = other;
        drop(self.native.replace(native.take()));
        drop(self.foreign.replace(foreign.take()));
    }

    #[inline]
    pub(crate) fn object(&self) -> Option<Object> {
        match self.native.get() {
            Some(core) => Some(core.into_object()),
            None => self.foreign.get(),
        }
    }

    /// Our loop, if entries may be put into its queue without asking Python: not in debug mode,
    /// not closed, `call_soon` not overridden.
    #[inline]
    pub(crate) fn direct(&self) -> Option<Own<LoopCore>> {
        self.native.get().filter(|core| core.is_direct())
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.native.is_some() || self.foreign.is_some()
    }

    /// Whether both are the same loop.
    #[inline]
    pub(crate) fn same(&self, other: &LoopSlot) -> bool {
        self.native.address() == other.native.address()
            && self.foreign.address() == other.foreign.address()
    }

    pub(crate) fn is(&self, loop_: &Any) -> bool {
        self.native.address() == Some(loop_.address()) || self.foreign.holds(loop_)
    }

    fn traverse(&self, visit: &mut Visit) {
        self.native.visit(visit);
        self.foreign.visit(visit);
    }

    fn clear(&self) {
        self.native.clear();
        self.foreign.clear();
    }
}

/// What a future is made of.
#[derive(Debug, Default)]
pub(crate) struct FutureState {
    pub(super) loop_: LoopSlot,
    pub(super) callbacks: Callbacks,
    /// The result or the exception, as `state` says.
    pub(super) outcome: Slot,
    /// Tracebacks, and what cancellation leaves.
    pub(super) rare: Rare,
    pub(super) state: Cell<State>,
    /// An exception that nobody has looked at yet.
    pub(super) log_traceback: Cell<bool>,
    /// `_asyncio_future_blocking`: set between `await` and the task taking notice.
    pub(super) blocking: Cell<bool>,
    /// It stands in the loop's heap, to be given the result that lies in `outcome` already.
    pub(super) timer: Cell<bool>,
}

/// A native type with a future's state: `Future` and `Task`.
pub(crate) trait FutureLike: Native {
    fn future(&self) -> &FutureState;
    /// asyncio's function that makes the repr.
    fn repr_function() -> &'static Any;
}

impl FutureState {
    #[inline]
    pub(crate) fn with_loop(loop_: LoopSlot) -> FutureState {
        FutureState {
            loop_,
            ..FutureState::default()
        }
    }

    /// `__init__`: binds the loop, and notes who made the future in debug mode.
    ///
    /// A second time it starts afresh up to 3.14, and is refused since.
    pub(crate) fn initialise(&self, this: &Any, loop_: Option<&Any>) -> Res<()> {
        if self.loop_.is_set() && imports().version >= (3, 15) {
            let message = format!("{} is already initialized", this.repr_lossy());
            return Err(Raised::runtime(&message));
        }
        self.clear();
        self.state.set(State::Pending);
        self.log_traceback.set(false);
        self.blocking.set(false);
        let given = match loop_ {
            Some(loop_) if !loop_.is_none() => loop_.own(),
            _ => imports().get_event_loop.call0()?,
        };
        let slot = LoopSlot::of(&given);
        let debug = match slot.direct() {
            Some(_) => false,
            None => given.call_method0(&names().get_debug)?.is_truthy()?,
        };
        self.loop_.adopt(slot);
        if debug {
            self.capture_source()?;
        }
        Ok(())
    }

    pub(crate) fn capture_source(&self) -> Res<()> {
        if !compat::is_finalizing() {
            let stack = imports().extract_stack.call0()?;
            self.rare.set(|rare| &rare.source_traceback, Some(stack));
        }
        Ok(())
    }

    pub(crate) fn traverse(&self, visit: &mut Visit) {
        self.loop_.traverse(visit);
        self.callbacks.traverse(visit);
        self.outcome.visit(visit);
        self.rare.visit(visit);
    }

    pub(crate) fn clear(&self) {
        self.callbacks.clear();
        self.outcome.clear();
        self.rare.clear();
        self.loop_.clear();
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    #[inline(always)]
    pub(crate) fn is_pending(&self) -> bool {
        self.state.get() == State::Pending
    }

    pub(crate) fn loop_slot(&self) -> &LoopSlot {
        &self.loop_
    }

    pub(crate) fn wants_log(&self) -> bool {
        self.log_traceback.get()
    }

    pub(crate) fn forget_log(&self) {
        self.log_traceback.set(false);
    }

    pub(crate) fn blocking(&self) -> &Cell<bool> {
        &self.blocking
    }

    #[inline(always)]
    pub(crate) fn has_timer(&self) -> bool {
        self.timer.get()
    }

    #[inline(always)]
    pub(crate) fn set_timer(&self, set: bool) {
        self.timer.set(set);
    }

    /// Lays the result ready for [`resolve_laid`]; until then nobody sees it.
    pub(crate) fn lay_result(&self, result: Object) {
        self.outcome.set(result);
    }

    /// An exception counts as retrieved.
    #[inline]
    pub(crate) fn retrieve(&self) {
        self.log_traceback.set(false);
    }

    /// The result or the exception of a future that has one.
    #[inline]
    pub(crate) fn outcome(&self) -> Object {
        self.outcome.get_or_none()
    }

    #[inline]
    pub(crate) fn cancel_message(&self) -> Option<Object> {
        self.rare.get(|rare| &rare.cancel_message)
    }

    #[inline]
    pub(crate) fn set_cancel_message(&self, message: Option<&Any>) {
        self.rare
            .set(|rare| &rare.cancel_message, message.map(Any::own));
    }

    pub(crate) fn set_cancelled_error(&self, exception: Object) {
        self.rare.set(|rare| &rare.cancelled_error, Some(exception));
    }

    pub(crate) fn source_traceback(&self) -> Option<Object> {
        self.rare.get(|rare| &rare.source_traceback)
    }

    /// asyncio's error for an object whose `__init__` has not run.
    #[inline]
    pub(crate) fn ensure_alive(&self) -> Res<()> {
        if self.loop_.is_set() {
            return Ok(());
        }
        Err(Raised::runtime("Future object is not initialized."))
    }

    #[inline]
    fn ensure_pending(&self) -> Res<()> {
        if self.is_pending() {
            return Ok(());
        }
        Err(Raised::of_class(
            &imports().invalid_state_error,
            "invalid state",
        ))
    }
}

/// Puts everything that waits for the future into the loop's queue.
fn schedule_callbacks<T: FutureLike>(this: &Inst<T>) -> Res<()> {
    let future = this.future();
    let Some(first) = future.callbacks.take_first() else {
        return Ok(());
    };
    let rest = future.callbacks.take_rest();
    schedule(this, first)?;
    if let Some(rest) = rest {
        for callback in *rest {
            schedule(this, callback)?;
        }
    }
    Ok(())
}

#[inline]
fn schedule<T: FutureLike>(this: &Inst<T>, callback: Callback) -> Res<()> {
    let future = this.future();
    let callback = match callback {
        Callback::Served(protocol) => served(this, &protocol)?,
        other => other,
    };
    let direct = future.loop_.direct();
    match (callback, direct) {
        (Callback::Wake(task), Some(core)) => {
            core.push(Entry::Wake(task));
            Ok(())
        }
        (Callback::Wake(task), None) => {
            let wakeup = task.wakeup_method()?;
            call_soon(&future.loop_, &wakeup, this.as_any(), &task.context())
        }
        (Callback::Call(function, context), Some(core)) => {
            let handle = Handle::create(function, &[this.as_any()], core.as_any().own(), context)?;
            core.push(Entry::Handle(handle));
            Ok(())
        }
        (Callback::Call(function, context), None) => {
            call_soon(&future.loop_, &function, this.as_any(), &context)
        }
        (Callback::Observe(observer, number), Some(core)) => {
            core.push(Entry::Observe(observer, number));
            Ok(())
        }
        (Callback::Observe(observer, _), None) => {
            let context = context::copy_current()?;
            call_soon(&future.loop_, observer.as_any(), this.as_any(), &context)
        }
        (Callback::Member(group, number), Some(core)) => {
            core.push(Entry::Member(group, number));
            Ok(())
        }
        (Callback::Member(group, _), None) => {
            let context = context::copy_current()?;
            call_soon(
                &future.loop_,
                &*group.done_method()?,
                this.as_any(),
                &context,
            )
        }
        // Made into a call above.
        (Callback::Served(_), _) => Ok(()),
    }
}

/// The Python objects of a callback that was kept without them.
fn served<T: FutureLike>(this: &Inst<T>, protocol: &Inst<StreamProtocol>) -> Res<Callback> {
    let context = match this.as_any().downcast::<Task>() {
        Some(task) => task.context(),
        None => context::copy_current()?,
    };
    Ok(Callback::Call(protocol.served_method()?, context))
}

/// `loop.call_soon(function, arg, context=context)` through Python's eyes.
pub(crate) fn call_soon(loop_: &LoopSlot, function: &Any, arg: &Any, context: &Any) -> Res<()> {
    let Some(loop_) = loop_.object() else {
        return Err(Raised::runtime("Future object is not initialized."));
    };
    loop_.call_method2_kw(
        &names().call_soon,
        function,
        arg,
        context,
        &imports().context_names,
    )?;
    Ok(())
}

/// `set_result`.
#[inline]
pub(crate) fn set_result<T: FutureLike>(this: &Inst<T>, result: Object) -> Res<()> {
    let future = this.future();
    future.ensure_alive()?;
    future.ensure_pending()?;
    future.outcome.set(result);
    future.state.set(State::Result);
    schedule_callbacks(this)
}

/// `set_result` with what `lay_result` has laid ready, unless it is done.
#[inline]
pub(crate) fn resolve_laid<T: FutureLike>(this: &Inst<T>) -> Res<()> {
    let future = this.future();
    if !future.is_pending() {
        return Ok(());
    }
    future.state.set(State::Result);
    schedule_callbacks(this)
}

/// `set_exception`.
pub(crate) fn set_exception<T: FutureLike>(this: &Inst<T>, exception: &Any) -> Res<()> {
    let future = this.future();
    future.ensure_alive()?;
    future.ensure_pending()?;
    let mut instance = exception.own();
    if is_exception_class(exception) {
        instance = exception.call0()?;
        future.ensure_pending()?;
    }
    if !is_exception(&instance) {
        return Err(Raised::type_error("invalid exception object"));
    }
    if instance.is_subtype_of(stop_iteration_class()) {
        instance = refuse_stop_iteration(&instance)?;
    }
    if let Some(traceback) = traceback_of(&instance) {
        future.rare.set(|rare| &rare.traceback, Some(traceback));
    }
    future.outcome.set(instance);
    future.state.set(State::Exception);
    schedule_callbacks(this)?;
    future.log_traceback.set(true);
    Ok(())
}

/// A StopIteration cannot travel through coroutines: refused up to 3.12, wrapped since 3.13.
#[cold]
fn refuse_stop_iteration(exception: &Object) -> Res<Object> {
    const WHY: &str =
        "StopIteration interacts badly with generators and cannot be raised into a Future";
    if imports().version < (3, 13) {
        if exception.type_is(stop_iteration_class()) {
            return Err(Raised::type_error(WHY));
        }
        return Ok(exception.clone());
    }
    let wrapped = Raised::runtime(WHY).take();
    set_cause(&wrapped, exception);
    Ok(wrapped)
}

/// `Future.cancel`: `False` if it is done already.
pub(crate) fn cancel<T: FutureLike>(this: &Inst<T>, message: Option<&Any>) -> Res<bool> {
    let future = this.future();
    future.log_traceback.set(false);
    if !future.is_pending() {
        return Ok(false);
    }
    future.state.set(State::Cancelled);
    future.set_cancel_message(message);
    schedule_callbacks(this)?;
    Ok(true)
}

/// The CancelledError to raise: the one that ended the task if there is one, and that only once.
pub(crate) fn make_cancelled_error(future: &FutureState) -> Res<Object> {
    if let Some(error) = future.rare.take(|rare| &rare.cancelled_error) {
        return Ok(error);
    }
    let class = &imports().cancelled_error;
    match future.cancel_message() {
        Some(message) if !message.is_none() => class.call1(&message),
        _ => class.call0(),
    }
}

/// What a done future raises: `None` if it has a result.
pub(crate) fn outcome_exception(future: &FutureState) -> Res<Option<Object>> {
    match future.state.get() {
        State::Cancelled => make_cancelled_error(future).map(Some),
        State::Exception => {
            future.log_traceback.set(false);
            let exception = future.outcome.get_or_none();
            let traceback = future.rare.get(|rare| &rare.traceback);
            set_traceback(&exception, traceback.as_deref());
            Ok(Some(exception))
        }
        State::Pending | State::Result => Ok(None),
    }
}

/// `result()`.
#[inline]
pub(crate) fn result(future: &FutureState) -> Res<Object> {
    match future.state.get() {
        State::Result => Ok(future.outcome.get_or_none()),
        State::Pending => Err(Raised::of_class(
            &imports().invalid_state_error,
            "Result is not set.",
        )),
        State::Cancelled | State::Exception => match outcome_exception(future)? {
            Some(exception) => Err(Raised::raise(exception)),
            None => Ok(value::none()),
        },
    }
}

/// Whether this is the last reference to a future, and Python code may run when it goes.
///
/// Futures of locks, queues and sleeps end with `None`, and nobody else can know them.
#[inline]
pub(crate) fn dies_noticeably(future: &Object) -> bool {
    if future.refcount() > 1 {
        return false;
    }
    match future.as_exact::<Future>() {
        Some(future) => {
            future.future().state() != State::Result
                || !future.future().outcome.holds(value::none_ref())
                || future.as_any().is_weakly_referenced()
        }
        None => true,
    }
}

/// One resumption of `await future`.
#[inline]
pub(crate) fn answer<T: FutureLike>(this: &Inst<T>) -> Res<Answer> {
    let future = this.future();
    if future.is_pending() {
        future.ensure_alive()?;
        if future.blocking.replace(true) {
            return Err(Raised::runtime("await wasn't used with future"));
        }
        return Ok(Answer::Yield(this.as_any().own()));
    }
    result(future).map(Answer::Return)
}

/// `add_done_callback(wakeup of task)`, without the Python objects.
#[inline]
pub(crate) fn add_wake<T: FutureLike>(this: &Inst<T>, task: Own<Task>) -> Res<()> {
    let callback = Callback::Wake(task);
    if this.future().is_pending() {
        return this.future().callbacks.push(callback);
    }
    schedule(this, callback)
}

/// `add_done_callback(observer)`, without the Python objects.
#[inline]
pub(crate) fn add_observer<T: FutureLike>(
    this: &Inst<T>,
    observer: Own<Observer>,
    number: u32,
) -> Res<()> {
    let callback = Callback::Observe(observer, number);
    if this.future().is_pending() {
        return this.future().callbacks.push(callback);
    }
    schedule(this, callback)
}

/// `add_done_callback(group._on_task_done)`, without the Python objects.
#[inline]
pub(crate) fn add_member<T: FutureLike>(this: &Inst<T>, group: Own<Group>, number: u32) -> Res<()> {
    let callback = Callback::Member(group, number);
    if this.future().is_pending() {
        return this.future().callbacks.push(callback);
    }
    schedule(this, callback)
}

/// `add_done_callback(protocol._served, context=task.get_context())`, without the Python objects.
pub(crate) fn add_server(task: &Inst<Task>, protocol: Own<StreamProtocol>) -> Res<()> {
    let callback = Callback::Served(protocol);
    if task.future().is_pending() {
        return task.future().callbacks.push(callback);
    }
    schedule(task, callback)
}

/// `remove_done_callback(observer)`, without comparing Python objects.
pub(crate) fn remove_observer<T: FutureLike>(this: &Inst<T>, observer: &Inst<Observer>) {
    this.future().callbacks.remove_observer(observer);
}

/// `add_done_callback(function, context=context)`.
pub(crate) fn add_callback<T: FutureLike>(
    this: &Inst<T>,
    function: &Any,
    context: Object,
) -> Res<()> {
    let callback = Callback::Call(function.own(), context);
    if this.future().is_pending() {
        return this.future().callbacks.push(callback);
    }
    schedule(this, callback)
}
