//! Transports: between a descriptor and a protocol.
//!
//! `StreamTransport` is an `asyncio.Transport` over a stream socket, TCP's or Unix's; `Listener`
//! accepts such. [`pipe`] has the transports of pipes, [`datagram`] that of datagrams.
//!
//! * `common` is what every transport is made of; `event` is what the loop calls: ready to read,
//!   ready to write, connection lost. `flow` asks the protocol to pause, `out_queue` is what could
//!   not be sent yet. They serve all kinds.
//! * `accepted` is a connection whose socket Python has not asked for; `transport_socket` is what it
//!   gets first.
//! * `create` makes a stream transport and schedules its first callbacks.
//! * `reader` tells the protocol what `receive` got; `pause_reading`, `resume_reading`.
//! * `writer` sends; `cork` flushes the writes of an iteration at its end.
//! * `closing` is `close`, `abort`, errors, the last callback, and a transport that is forgotten.
//! * `owners` is whose a descriptor is.
//! * `attributes` is everything else that Python sees.
//! * `sendfile` sends a file, also on bare sockets.
//! * `clients` is the connections of a server.
//! * `listener` accepts, `incoming` makes a transport of what was accepted.
//!
//! Rules:
//!
//! 1. **Behaviour is asyncio's selector transport's**, callback by callback and turn by turn. The
//!    one liberty: all callbacks of a transport run in one context, copied when it was made, where
//!    asyncio up to 3.14 copies it anew for each.
//! 2. **The descriptor is the socket's**, and ours alone as long as nobody has asked for a socket. It
//!    is closed in `connection_lost` or in the finalizer, and by then the loop has been told to
//!    forget it.
//! 3. **Protocol code may do anything**, closing the transport included: nothing read before a call
//!    into Python is believed after it, and no `RefCell` is borrowed across one.
//! 4. **An event is looked at again when its turn comes**: what was paused or closed after the kernel
//!    reported it delivers nothing.

mod accepted;
mod attributes;
mod clients;
mod closing;
mod common;
mod cork;
mod create;
mod datagram;
mod event;
mod flow;
mod incoming;
mod listener;
mod out_queue;
mod owners;
mod pipe;
mod reader;
mod receive;
mod sendfile;
mod transport_socket;
mod writer;

use std::cell::Cell;

use aioxide_core::flow_control::FlowControl;

use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::module::{import, imports};
use crate::ffi::weak_link::{Link, forget};
use crate::ffi::{Any, Class, Inst, Native, Object, Own, Res, Slot, Visit, value};
use accepted::Accepted;
use common::{Common, Transport};
use flow::{Outgoing, Sends};
use owners::Owner;

pub(crate) use clients::Clients;
pub(crate) use cork::{Cork, hooks as cork_hooks};
pub(crate) use datagram::DatagramTransport;
pub(crate) use event::{Event, describe, dispatch};
pub(crate) use incoming::Incoming;
pub(crate) use listener::{Listener, accept, describe_accept};
pub(crate) use owners::owner_at;
pub(crate) use pipe::{ReadPipeTransport, WritePipeTransport};
pub(crate) use sendfile::{SendFile, hooks as sendfile_hooks};
pub(crate) use transport_socket::TransportSocket;

/// The transport as one of ours, if nobody has overridden this method: by a class, or on the object
/// itself, as tests do.
#[inline]
pub(crate) fn plain_transport<'a>(
    transport: &'a Any,
    method: &Any,
) -> Option<&'a Inst<StreamTransport>> {
    let native = transport.as_exact::<StreamTransport>()?;
    (!native.has_own(method)).then_some(native)
}

/// The state behind `aioxide.StreamTransport`.
#[derive(Debug, Default)]
pub(crate) struct StreamTransport {
    common: Common,
    out: Outgoing,
    /// The socket was given to us, so that others may have it too.
    foreign: Cell<bool>,
    /// Nothing is corked: a program has the descriptor, or the socket is a mock object, whose owner
    /// expects to see each write.
    exposed: Cell<bool>,
    /// The protocol is a `BufferedProtocol`.
    buffered: Cell<bool>,
    /// The protocol is a `StreamReaderProtocol` of ours, or of a derived class.
    streamed: Cell<bool>,
    /// The protocol is an `SSLProtocol` of ours, or of a derived class.
    secured: Cell<bool>,
    /// The queue waits for the end of the iteration, and not for the socket to be writable.
    corked: Cell<bool>,
    /// In the loop's list of transports to flush.
    listed: Cell<bool>,
    /// Much was received the last time.
    much: Cell<bool>,
    /// Gone after `connection_lost`.
    server: Slot,
    /// It counts as one of the server's connections.
    attached: Cell<bool>,
    accepted: Accepted,
    /// What `get_extra_info("socket")` has given, while somebody holds it.
    wrapper: Link<TransportSocket>,
    /// `write_eof` was called.
    eof: Cell<bool>,
    /// A future that sendfile waits for: everything has been sent.
    empty_waiter: Slot,
}

/// Connections come and go: the memory of so many is kept.
static STREAM_TRANSPORT: Class<StreamTransport> = Class::new(256);

impl Native for StreamTransport {
    const NAME: &'static std::ffi::CStr = c"aioxide.StreamTransport";
    const FINALIZER: bool = true;
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &STREAM_TRANSPORT
    }
    fn empty() -> Self {
        StreamTransport::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.common.visit(visit);
        self.out.visit(visit);
        self.server.visit(visit);
        self.empty_waiter.visit(visit);
    }
    fn clear(&self) {
        self.common.clear();
        self.out.clear();
        self.server.clear();
        self.empty_waiter.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.common.file.is_some() || self.accepted.is_bare()
    }
    fn finalize(this: &Inst<Self>) {
        this.finalize_unclosed();
    }
    fn on_dealloc(this: &Inst<Self>) {
        StreamTransport::all().remove(this);
        forget(&**this);
    }
}

impl Transport for StreamTransport {
    fn common(&self) -> &Common {
        &self.common
    }
    fn entry(this: Own<Self>, event: Event) -> Entry {
        Entry::Transport(this, event)
    }
    fn watcher(this: Own<Self>) -> Watcher {
        Watcher::Transport(this)
    }
    #[inline]
    fn on_ready(this: &Inst<Self>, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        if event == Event::Readable {
            this.read_ready(core)
        } else {
            this.write_ready(core)
        }
    }
    fn settle_output(this: &Inst<Self>) -> Res<()> {
        this.uncork()
    }
    fn complete_extra(this: &Inst<Self>) -> Res<()> {
        this.complete_extra()
    }
    fn complete_addresses(this: &Inst<Self>) -> Res<()> {
        this.complete_addresses()
    }
    fn extra_socket(this: &Inst<Self>) -> Res<Option<Object>> {
        this.extra_socket()
    }
    fn close_bare(this: &Inst<Self>) -> Res<bool> {
        this.leave_socket()?;
        this.close_bare()
    }
    fn drop_output(&self) {
        self.out.clear();
    }
    fn release(this: &Inst<Self>) -> Res<()> {
        this.release()
    }
}

impl Sends for StreamTransport {
    fn flow(&self) -> &Cell<FlowControl> {
        &self.out.flow
    }
    fn waiting(&self) -> usize {
        self.out.size()
    }
    fn waiting_list(&self) -> Res<Object> {
        self.out.list()
    }
}

/// Makes all classes.
pub(crate) fn build() -> Res<()> {
    let class = STREAM_TRANSPORT.build(&imports().stream_transport_base, |b| {
        let b = b.doc(
            c"StreamTransport(loop, sock, protocol, waiter=None, extra=None, server=None, context=None)\n--\n\nA connected stream socket with its protocol. The loop makes them.",
        );
        let b = create::methods(b);
        let b = event::methods(b);
        let b = reader::methods(b);
        let b = writer::methods(b);
        let b = flow::methods(b);
        let b = closing::methods(b);
        attributes::methods(b)
    })?;
    // What start_tls and sendfile ask a transport.
    class.setattr(&*value::text("_start_tls_compatible")?, &value::bool(true))?;
    let modes = import("asyncio.constants")?.getattr(&*value::text("_SendfileMode")?)?;
    class.setattr(
        &*value::text("_sendfile_compatible")?,
        &*modes.getattr(&*value::text("TRY_NATIVE")?)?,
    )?;
    class.setattr(&*value::text("max_size")?, &*value::int(256 * 1024)?)?;
    clients::build()?;
    listener::build()?;
    datagram::build()?;
    pipe::build()?;
    transport_socket::build()?;
    sendfile::build()
}
