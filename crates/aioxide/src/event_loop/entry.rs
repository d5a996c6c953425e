//! What can stand in the queue of the loop.

use super::LoopCore;
use crate::ffi::module::names;
use crate::ffi::{Inst, Object, Own, Res, Visit};
use crate::handle::{self, Handle, TimerHandle, run_owned};
use crate::sock_op::SockOp;
use crate::task::{self, StepCall, Task};
use crate::transport::{self, Listener, StreamTransport};

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
    /// Connections are there to accept.
    Listener(Own<Listener>),
    /// A `sock_*` operation whose descriptor is ready.
    Sock(Own<SockOp>),
}

impl Entry {
    /// Runs it. An error is what must leave the loop: SystemExit or KeyboardInterrupt.
    #[inline]
    pub(super) fn run(self, core: &Inst<LoopCore>) -> Res<()> {
        match self {
            Entry::Handle(handle) => {
                if handle.is_cancelled() {
                    handle::release(handle);
                    return Ok(());
                }
                core.leave_task()?;
                run_owned(handle)
            }
            Entry::Timer(handle) => {
                if handle.is_cancelled() {
                    handle::release(handle);
                    return Ok(());
                }
                core.leave_task()?;
                run_owned(handle)
            }
            Entry::Step(task) => core.run_step(&task, |task| task::step(task, None)),
            Entry::Wake(task) => core.run_step(&task, task::wake),
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
            Entry::Listener(listener) => {
                core.leave_task()?;
                transport::accept(&listener)
            }
            Entry::Sock(op) => {
                core.leave_task()?;
                op.ready()
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
            Entry::Listener(listener) => transport::describe_accept(listener)?,
            Entry::Sock(op) => op.describe()?,
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
            | Entry::Listener(_)
            | Entry::Sock(_) => {}
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        match self {
            Entry::Handle(handle) => visit.through(handle),
            Entry::Timer(handle) => visit.through(handle),
            Entry::Step(task) | Entry::Wake(task) => visit.native(task),
            Entry::Foreign(handle) => visit.object(handle),
            Entry::Transport(transport, _) => visit.native(transport),
            Entry::Listener(listener) => visit.native(listener),
            Entry::Sock(op) => visit.native(op),
        }
    }
}
