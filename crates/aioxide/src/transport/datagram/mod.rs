//! Datagrams: `DatagramTransport`, an `asyncio.DatagramTransport` over UDP, Unix and other sockets.
//!
//! * `create` makes a transport and schedules its first callbacks.
//! * `reader` receives what is there, datagram by datagram.
//! * `writer` sends, `queue` is what could not be sent yet.
//! * `address` is between the kernel's addresses and Python's.
//! * `closing` is `close`, the end, and a transport that is forgotten; `attributes` is the rest.
//!
//! Rules, beside those of [the transports](super):
//!
//! 1. **A datagram's consequences come before the next datagram.** asyncio receives one in a turn of the
//!    loop, and whatever its callback schedules runs before the next. Here an event delivers several, but
//!    only for as long as the callbacks schedule nothing: nobody can tell the difference.
//! 2. **A plain socket of a known family needs no Python** to receive and to send. Whatever else it is
//!    (another family, a derived class, an address that is no number), the socket's own methods do it.

mod address;
mod attributes;
mod closing;
mod create;
mod queue;
mod reader;
mod writer;

use std::cell::{Cell, RefCell};

use aioxide_core::flow_control::FlowControl;

use super::common::{Common, Transport};
use super::flow::Sends;
use super::owners::Owner;
use super::{Event, event, flow, reader as stream_reader};
use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::module::{import, imports};
use crate::ffi::{Class, Inst, Native, Object, Own, Res, Slot, Visit, value};
use address::{Family, Peer};
use queue::DatagramQueue;
use reader::Lookahead;

/// asyncio's `max_size`: what is longer is cut off, as by `socket.recvfrom`.
const MAX_SIZE: usize = 256 * 1024;

/// The state behind `aioxide.DatagramTransport`.
#[derive(Debug, Default)]
pub(crate) struct DatagramTransport {
    common: Common,
    family: Cell<Family>,
    /// Where everything goes, if the endpoint has been made with a remote address.
    address: Slot,
    /// The kernel knows where everything goes.
    connected: Cell<bool>,
    /// Who sent the last datagram.
    peer: RefCell<Option<Peer>>,
    lookahead: Cell<Lookahead>,
    queue: RefCell<DatagramQueue>,
    flow: Cell<FlowControl>,
}

/// Endpoints seldom come and go.
static DATAGRAM_TRANSPORT: Class<DatagramTransport> = Class::new(16);

impl Native for DatagramTransport {
    const NAME: &'static std::ffi::CStr = c"aioxide.DatagramTransport";
    const FINALIZER: bool = true;
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &DATAGRAM_TRANSPORT
    }
    fn empty() -> Self {
        DatagramTransport::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.common.visit(visit);
        self.address.visit(visit);
        if let Ok(queue) = self.queue.try_borrow() {
            queue.traverse(visit);
        }
        // The peer's address is a tuple of a str and numbers: no cycle leads through it.
    }
    fn clear(&self) {
        self.common.clear();
        self.address.clear();
        self.drop_output();
    }
    fn wants_finalize(&self) -> bool {
        self.common.file.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        this.finalize_unclosed();
    }
    fn on_dealloc(this: &Inst<Self>) {
        DatagramTransport::all().remove(this);
    }
}

impl Transport for DatagramTransport {
    fn common(&self) -> &Common {
        &self.common
    }
    fn entry(this: Own<Self>, event: Event) -> Entry {
        Entry::Datagram(this, event)
    }
    fn watcher(this: Own<Self>) -> Watcher {
        Watcher::Datagram(this)
    }
    #[inline]
    fn on_ready(this: &Inst<Self>, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        if event == Event::Readable {
            this.read_ready(core)
        } else {
            this.write_ready(core)
        }
    }
    fn drop_output(&self) {
        drop(self.queue.take());
    }
    fn release(this: &Inst<Self>) -> Res<()> {
        this.release()
    }
}

impl Sends for DatagramTransport {
    fn flow(&self) -> &Cell<FlowControl> {
        &self.flow
    }
    fn waiting(&self) -> usize {
        self.queue.borrow().size()
    }
    fn waiting_list(&self) -> Res<Object> {
        let waiting = self.queue.borrow().snapshot();
        let waiting: Vec<Object> = waiting
            .iter()
            .map(|(data, address)| value::tuple(&[data, address]))
            .collect::<Res<_>>()?;
        value::list(&waiting)
    }
}

/// asyncio's own is a `Transport` and a `DatagramTransport`; code that asks for either finds it.
fn base() -> Res<Object> {
    let datagram = import("asyncio.transports")?.getattr(&*value::text("DatagramTransport")?)?;
    let members = value::dict()?;
    members.dict_set(&*value::text("__slots__")?, &*value::tuple(&[])?)?;
    members.dict_set(
        &*value::text("__module__")?,
        &*value::text("aioxide._aioxide")?,
    )?;
    let stream = &imports().stream_transport_base;
    stream.class().call(&[
        &*value::text("_DatagramTransportBase")?,
        &*value::tuple(&[stream, &datagram])?,
        &members,
    ])
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    let class = DATAGRAM_TRANSPORT.build(&*base()?, |b| {
        let b = b.doc(
            c"DatagramTransport(loop, sock, protocol, address=None, waiter=None, extra=None, context=None)\n--\n\nA datagram socket with its protocol. The loop makes them.",
        );
        let b = create::methods(b);
        let b = event::methods(b);
        let b = stream_reader::pausing(b);
        let b = flow::methods(b);
        let b = writer::methods(b);
        let b = closing::methods(b);
        attributes::methods(b)
    })?;
    class.setattr(&*value::text("max_size")?, &*value::uint(MAX_SIZE as u64)?)
}
