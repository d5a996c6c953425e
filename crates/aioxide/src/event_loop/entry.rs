//! What can stand in the queue of the loop.

use super::LoopCore;
use crate::combinators::{Group, Observer, Timeout, WaitFor};
use crate::coroutine::Coroutine;
use crate::ffi::module::names;
use crate::ffi::{Inst, Native, Object, Own, Res, Visit};
use crate::future::{self, Future};
use crate::handle::{self, Handle, Runnable, TimerHandle, run_owned};
use crate::sock_op::SockOp;
use crate::task::{self, StepCall, Task};
use crate::transport::{
    self, DatagramTransport, Incoming, Listener, ReadPipeTransport, SendFile, StreamTransport,
    WritePipeTransport,
};

/// One thing to run. A task's step is the task itself: no handle, no bound method, no copy of
/// its context.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A callback of `call_soon`, or of a file descriptor that is ready.
    Handle(Own<Handle>),
    /// A callback of `call_later` that is due.
    Timer(Own<TimerHandle>),
    /// The next step of a task.
    Step(Own<Task>),
    /// The step of a task whose awaited future is done.
    Wake(Own<Task>),
    /// A handle that is not ours, put in through `_add_callback`.
    Foreign(Object),
    /// Something happened to a stream transport.
    Transport(Own<StreamTransport>, transport::Event),
    /// Something happened to a datagram transport.
    Datagram(Own<DatagramTransport>, transport::Event),
    /// Something happened to the reading end of a pipe.
    ReadPipe(Own<ReadPipeTransport>, transport::Event),
    /// Something happened to the writing end of a pipe.
    WritePipe(Own<WritePipeTransport>, transport::Event),
    /// The socket that a file is being sent to takes more.
    SendFile(Own<SendFile>),
    /// Connections are there to accept.
    Listener(Own<Listener>),
    /// A connection was accepted: where asyncio has a task's first step.
    Incoming(Box<Incoming>),
    /// A `sock_*` operation whose descriptor is ready.
    Sock(Own<SockOp>),
    /// A sleep is over: the future gets the result that lies in it.
    Resolve(Own<Future>),
    /// A future that one of our functions watches is done; which one, it knows by the number.
    Observe(Own<Observer>, u32),
    /// A task of a group is done.
    Member(Own<Group>, u32),
    /// The time of a `wait_for` is over.
    WaitFor(Own<Coroutine<WaitFor>>),
    /// The time of a `Timeout` is over, if it was not scheduled again since.
    Timeout(Own<Timeout>, u32),
}

/// Runs the callback of a handle, unless it was cancelled.
#[inline(always)]
fn run_handle<T: Native>(core: &Inst<LoopCore>, handle: Own<T>) -> Res<()>
where
    Inst<T>: Runnable,
{
    if handle.is_cancelled() {
        handle::release(handle);
        return Ok(());
    }
    core.leave_task()?;
    if let Some(run) = core.handle_run() {
        let result = run.call1(handle.as_any()).map(drop);
        handle::release(handle);
        return result;
    }
    run_owned(handle)
}

impl Entry {
    /// Runs it. An error is what must leave the loop: SystemExit or KeyboardInterrupt.
    #[inline]
    pub(super) fn run(self, core: &Inst<LoopCore>) -> Res<()> {
        match self {
            Entry::Handle(handle) => run_handle(core, handle),
            Entry::Timer(handle) => run_handle(core, handle),
            Entry::Step(task) => core.run_step(task, None, |task, _| task::step(task, None)),
            Entry::Wake(task) => {
                let waiter = task.take_waiter();
                core.run_step(task, waiter, task::wake)
            }
            Entry::Foreign(handle) => {
                core.leave_task()?;
                if handle.getattr(&names()._cancelled)?.is_truthy()? {
                    return Ok(());
                }
                handle.call_method0(&names()._run).map(drop)
            }
            Entry::Transport(transport, event) => {
                core.leave_task()?;
                transport::dispatch(&transport, event)
            }
            Entry::Datagram(transport, event) => {
                core.leave_task()?;
                transport::dispatch(&transport, event)
            }
            Entry::ReadPipe(transport, event) => {
                core.leave_task()?;
                transport::dispatch(&transport, event)
            }
            Entry::WritePipe(transport, event) => {
                core.leave_task()?;
                transport::dispatch(&transport, event)
            }
            Entry::Listener(listener) => {
                core.leave_task()?;
                transport::accept(&listener)
            }
            Entry::Incoming(incoming) => {
                core.leave_task()?;
                (*incoming).serve()
            }
            Entry::Sock(op) => {
                core.leave_task()?;
                op.ready()
            }
            Entry::SendFile(op) => {
                core.leave_task()?;
                op.ready()
            }
            Entry::Resolve(future) => {
                let resolved = future::resolve_laid(&future);
                if future.as_any().refcount() == 1 {
                    core.pause_task()?;
                }
                resolved
            }
            Entry::Observe(observer, number) => {
                core.leave_task()?;
                match observer.notice(number) {
                    Ok(()) => Ok(()),
                    Err(raised) => core.report_native(observer.into_object(), raised),
                }
            }
            Entry::Member(group, number) => {
                core.leave_task()?;
                match group.notice(number) {
                    Ok(()) => Ok(()),
                    Err(raised) => core.report_native(group.done_method()?, raised),
                }
            }
            Entry::WaitFor(wait) => {
                core.leave_task()?;
                match wait.expire() {
                    Ok(()) => Ok(()),
                    Err(raised) => core.report_native(wait.into_object(), raised),
                }
            }
            Entry::Timeout(timeout, number) => {
                core.leave_task()?;
                match timeout.expire(number) {
                    Ok(()) => Ok(()),
                    Err(raised) => core.report_native(timeout.into_object(), raised),
                }
            }
        }
    }

    /// The handle, or the task, for a report of a slow callback.
    pub(super) fn describe(&self) -> Res<Object> {
        Ok(match self {
            Entry::Handle(handle) => handle.as_any().own(),
            Entry::Timer(handle) => handle.as_any().own(),
            Entry::Step(task) | Entry::Wake(task) => StepCall::create(task, None)?,
            Entry::Foreign(handle) => handle.clone(),
            Entry::Transport(transport, event) => transport::describe(transport, *event)?,
            Entry::Datagram(transport, event) => transport::describe(transport, *event)?,
            Entry::ReadPipe(transport, event) => transport::describe(transport, *event)?,
            Entry::WritePipe(transport, event) => transport::describe(transport, *event)?,
            Entry::Listener(listener) => transport::describe_accept(listener)?,
            Entry::Incoming(incoming) => transport::describe_accept(incoming.listener())?,
            Entry::Sock(op) => op.describe()?,
            Entry::SendFile(op) => op.describe()?,
            Entry::Resolve(future) => future.as_any().own(),
            Entry::Observe(observer, _) => observer.as_any().own(),
            Entry::Member(group, _) => group.done_method()?,
            Entry::WaitFor(wait) => wait.as_any().own(),
            Entry::Timeout(timeout, _) => timeout.as_any().own(),
        })
    }

    /// Drops it without running it.
    pub(super) fn release(self) {
        match self {
            Entry::Handle(handle) => handle::release(handle),
            Entry::Timer(handle) => handle::release(handle),
            Entry::Step(_)
            | Entry::Wake(_)
            | Entry::Foreign(_)
            | Entry::Transport(..)
            | Entry::Datagram(..)
            | Entry::ReadPipe(..)
            | Entry::WritePipe(..)
            | Entry::SendFile(_)
            | Entry::Listener(_)
            | Entry::Incoming(_)
            | Entry::Sock(_)
            | Entry::Resolve(_)
            | Entry::Observe(..)
            | Entry::Member(..)
            | Entry::WaitFor(_)
            | Entry::Timeout(..) => {}
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        match self {
            Entry::Handle(handle) => visit.through(handle),
            Entry::Timer(handle) => visit.through(handle),
            Entry::Step(task) | Entry::Wake(task) => visit.native(task),
            Entry::Foreign(handle) => visit.object(handle),
            Entry::Transport(transport, _) => visit.native(transport),
            Entry::Datagram(transport, _) => visit.native(transport),
            Entry::ReadPipe(transport, _) => visit.native(transport),
            Entry::WritePipe(transport, _) => visit.native(transport),
            Entry::Listener(listener) => visit.native(listener),
            Entry::Incoming(incoming) => incoming.traverse(visit),
            Entry::Sock(op) => visit.native(op),
            Entry::SendFile(op) => visit.native(op),
            Entry::Resolve(future) => visit.native(future),
            Entry::Observe(observer, _) => visit.native(observer),
            Entry::Member(group, _) => visit.native(group),
            Entry::WaitFor(wait) => visit.native(wait),
            Entry::Timeout(timeout, _) => visit.native(timeout),
        }
    }
}
