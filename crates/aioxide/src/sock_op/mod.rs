//! `SockOp`: what the loop's `sock_*` methods give back.
//!
//! asyncio's are coroutine functions. Here one object is the call, its arguments and the place
//! where it waits; outwards it is a coroutine (`send`, `throw`, `close`, `await`), so that
//! `create_task`, `gather` and `wait_for` take it, and nothing happens before its first step.
//!
//! # The protocol
//!
//! | stage | holds | who acts next |
//! |---|---|---|
//! | created | socket and arguments | whoever awaits it; nobody: "was never awaited" |
//! | running | | we, inside one step; a second one is refused |
//! | suspended | a future and a watcher, or a resolver | the loop, or the resolver's future |
//! | finished | nothing | nobody |
//!
//! * **First step.** The checks, then the system call. Only if the kernel is not ready a future is
//!   made, a watcher registered and the future yielded, as `await future` would: so it works under
//!   our task, a stock one, and any loop's `gather`.
//! * **Ready** (`Entry::Sock`, from the loop). The system call again; unless the kernel still is
//!   not ready, the watcher is removed and the future resolved, which wakes the task.
//! * **One watcher per side of a descriptor**, as with asyncio's selector loop: a second operation
//!   takes the place of the first, which then waits until it is cancelled. `watched` says whether
//!   the watcher in the table is ours, so that ending one operation never removes another's.
//! * **Ending**, however it comes about (result, exception, `throw`, `close`), removes the watcher
//!   at once: the descriptor may be closed and its number used again right after.
//! * **The descriptor is asked for before each system call**, never remembered: between two of them
//!   the socket may have been closed and its number given to another.
//! * **Connecting** by name first resolves it: BaseEventLoop's own coroutine, driven from here.
//!
//! Files: `attempt` makes the system calls, `drive` goes from stage to stage, `coroutine` is the
//! Python side.

mod attempt;
mod coroutine;
mod drive;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;

use aioxide_driver::reactor::Interest;

use crate::event_loop::LoopCore;
use crate::ffi::buffer::Buffer;
use crate::ffi::module::imports;
use crate::ffi::{Any, Class, Inst, Native, Object, Res, Slot, SlotOf, Visit};
use crate::future::Future;

pub(crate) use coroutine::build;

/// Which of the loop's methods was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Operation {
    #[default]
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Connect,
    Accept,
}

impl Operation {
    /// The method's name.
    fn name(self) -> &'static str {
        match self {
            Operation::Recv => "sock_recv",
            Operation::RecvInto => "sock_recv_into",
            Operation::RecvFrom => "sock_recvfrom",
            Operation::RecvFromInto => "sock_recvfrom_into",
            Operation::SendAll => "sock_sendall",
            Operation::SendTo => "sock_sendto",
            Operation::Connect => "sock_connect",
            Operation::Accept => "sock_accept",
        }
    }

    /// The side of the descriptor that it waits for.
    fn side(self) -> Interest {
        match self {
            Operation::Recv
            | Operation::RecvInto
            | Operation::RecvFrom
            | Operation::RecvFromInto
            | Operation::Accept => Interest::READ,
            Operation::SendAll | Operation::SendTo | Operation::Connect => Interest::WRITE,
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    Created,
    Running,
    Suspended,
    #[default]
    Finished,
}

/// The descriptor of a closed socket.
const NO_FD: RawFd = -1;

/// `aioxide.SockOp`.
#[derive(Debug, Default)]
pub(crate) struct SockOp {
    operation: Operation,
    stage: Cell<Stage>,
    loop_: SlotOf<LoopCore>,
    sock: Slot,
    /// The size, buffer, data or address.
    first: Slot,
    /// `sock_recvfrom_into`'s size, `sock_sendto`'s address.
    second: Slot,
    /// The socket is exactly a `socket.socket`: its `recv` and `send` are known to us.
    plain: bool,
    /// How many bytes to receive, or have been sent.
    count: Cell<usize>,
    /// The data of a `sock_sendall`, held while parts of it are sent.
    data: RefCell<Option<Buffer>>,
    /// What the task awaits.
    future: SlotOf<Future>,
    /// `loop._ensure_resolved(...)`, while connecting needs it.
    resolver: Slot,
    /// The watcher that is registered for this descriptor is ours.
    watched: Cell<bool>,
    /// The descriptor that is watched, or that the last attempt used.
    fd: Cell<RawFd>,
}

static SOCK_OP: Class<SockOp> = Class::new(256);

impl Native for SockOp {
    const NAME: &'static std::ffi::CStr = c"aioxide.SockOp";
    const SUBCLASSABLE: bool = false;
    const FINALIZER: bool = true;

    fn class() -> &'static Class<Self> {
        &SOCK_OP
    }
    fn empty() -> Self {
        SockOp::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        self.sock.visit(visit);
        self.first.visit(visit);
        self.second.visit(visit);
        self.future.visit(visit);
        self.resolver.visit(visit);
        if let Ok(data) = self.data.try_borrow()
            && let Some(data) = &*data
        {
            data.visit(visit);
        }
    }
    fn clear(&self) {
        self.forget();
        self.loop_.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.stage.get() == Stage::Created
    }
    fn finalize(this: &Inst<Self>) {
        coroutine::warn_never_awaited(this);
    }
}

impl SockOp {
    /// A call that has not begun.
    #[inline]
    pub(crate) fn create(
        operation: Operation,
        core: &Inst<LoopCore>,
        sock: &Any,
        first: Option<&Any>,
        second: Option<&Any>,
    ) -> Res<Object> {
        let op = SOCK_OP.create(SockOp {
            operation,
            stage: Cell::new(Stage::Created),
            loop_: SlotOf::new(Some(core.own())),
            sock: Slot::new(Some(sock.own())),
            first: Slot::new(first.map(Any::own)),
            second: Slot::new(second.map(Any::own)),
            plain: sock.type_is(&imports().socket_class),
            fd: Cell::new(NO_FD),
            ..SockOp::default()
        })?;
        Ok(op.into_object())
    }

    /// Lets go of everything but the loop.
    fn forget(&self) {
        let data = self.data.take();
        self.sock.clear();
        self.first.clear();
        self.second.clear();
        self.future.clear();
        self.resolver.clear();
        drop(data);
    }

    /// The watcher of this operation has been replaced or removed by somebody else.
    pub(crate) fn unwatched(&self) {
        self.watched.set(false);
    }
}
