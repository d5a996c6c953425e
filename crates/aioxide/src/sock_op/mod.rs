//! `SockOp`: what the loop's `sock_*` methods give back.
//!
//! A native coroutine (see [`coroutine`](crate::coroutine)) around a system call.
//!
//! * **First step.** The checks, then the system call. Only if the kernel is not ready a future is
//!   made, a watcher registered and the future awaited.
//! * **Ready** (`Entry::Sock`, from the loop). The system call again; unless the kernel still is
//!   not ready, the watcher is removed and the future resolved, which wakes the task.
//! * **One watcher per side of a descriptor**, as with asyncio's selector loop: a second operation
//!   takes the place of the first, which then waits until it is cancelled. `watched` says whether
//!   the watcher in the table is ours, so that ending one operation never removes another's.
//! * **Ending**, however it comes about (result, exception, `throw`, `close`), removes the watcher
//!   at once: the descriptor may be closed and its number used again right after.
//! * **The descriptor is asked for before each system call**, never remembered: between two of them
//!   the socket may have been closed and its number given to another.
//! * **Connecting** by name first awaits BaseEventLoop's own coroutine that resolves it.
//!
//! Files: `attempt` makes the system calls, `connect` those that connect, `drive` is the body of the
//! coroutine and what the loop calls.

mod attempt;
mod connect;
mod drive;

pub(crate) use connect::address_family;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;

use aioxide_driver::reactor::Interest;

use crate::coroutine::{self, Coroutine};
use crate::event_loop::LoopCore;
use crate::ffi::buffer::Buffer;
use crate::ffi::module::imports;
use crate::ffi::{Any, Class, Inst, Object, Res, Slot, SlotOf};
use crate::future::Future;

/// Which of the loop's methods was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    #[default]
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Connect {
        /// From `create_connection`, which has seen that the address is numeric and has made the
        /// socket itself.
        numeric: bool,
    },
    Accept,
}

impl Method {
    /// The method's name.
    fn name(self) -> &'static str {
        match self {
            Method::Recv => "sock_recv",
            Method::RecvInto => "sock_recv_into",
            Method::RecvFrom => "sock_recvfrom",
            Method::RecvFromInto => "sock_recvfrom_into",
            Method::SendAll => "sock_sendall",
            Method::SendTo => "sock_sendto",
            Method::Connect { .. } => "sock_connect",
            Method::Accept => "sock_accept",
        }
    }

    /// The side of the descriptor that it waits for.
    fn side(self) -> Interest {
        match self {
            Method::Recv
            | Method::RecvInto
            | Method::RecvFrom
            | Method::RecvFromInto
            | Method::Accept => Interest::READ,
            Method::SendAll | Method::SendTo | Method::Connect { .. } => Interest::WRITE,
        }
    }
}

/// The descriptor of a closed socket.
const NO_FD: RawFd = -1;

/// `aioxide.SockOp`, the coroutine.
pub(crate) type SockOp = Coroutine<SockCall>;

/// The call and what it waits with.
#[derive(Debug, Default)]
pub(crate) struct SockCall {
    method: Method,
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
    /// The address is being resolved.
    resolving: Cell<bool>,
    /// The watcher that is registered for this descriptor is ours.
    watched: Cell<bool>,
    /// The descriptor that is watched, or that the last attempt used.
    fd: Cell<RawFd>,
}

static SOCK_OP: Class<SockOp> = Class::new(256);

/// A call that has not begun.
#[inline]
pub(crate) fn create(
    method: Method,
    core: &Inst<LoopCore>,
    sock: &Any,
    first: Option<&Any>,
    second: Option<&Any>,
) -> Res<Object> {
    let op = coroutine::create(SockCall {
        method,
        loop_: SlotOf::new(Some(core.own())),
        sock: Slot::new(Some(sock.own())),
        first: Slot::new(first.map(Any::own)),
        second: Slot::new(second.map(Any::own)),
        plain: sock.type_is(&imports().socket_class),
        fd: Cell::new(NO_FD),
        ..SockCall::default()
    })?;
    Ok(op.into_object())
}

impl SockCall {
    /// The watcher of this operation has been replaced or removed by somebody else.
    pub(crate) fn unwatched(&self) {
        self.watched.set(false);
    }
}

/// Makes the class.
pub(crate) fn build() -> Res<()> {
    coroutine::build::<SockCall>(c"A call of one of the loop's sock_* methods: a coroutine.")
}
