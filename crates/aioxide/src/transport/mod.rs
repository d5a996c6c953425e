//! TCP: `StreamTransport`, an `asyncio.Transport`, and `Listener`, which accepts connections.
//!
//! * `create` makes a transport and schedules its first callbacks.
//! * `event` is what the loop calls: ready to read, ready to write, connection lost.
//! * `reader` receives and tells the protocol; `pause_reading`, `resume_reading`.
//! * `writer` sends, `out_queue` is what could not be sent yet, `flow` asks the protocol to pause.
//! * `closing` is `close`, `abort`, errors, the last callback, and a transport that is forgotten.
//! * `attributes` is everything else that Python sees.
//! * `listener` accepts, `incoming` makes a transport of what was accepted.
//!
//! Rules:
//!
//! 1. **Behaviour is asyncio's selector transport's**, callback by callback and turn by turn. The
//!    one liberty: all callbacks of a transport run in one context, copied when it was made, where
//!    asyncio up to 3.14 copies it anew for each.
//! 2. **The descriptor is the socket's.** It is closed by `socket.close()`, in `connection_lost`
//!    or in the finalizer, and by then the loop has been told to forget it.
//! 3. **Protocol code may do anything**, closing the transport included: nothing read before a call
//!    into Python is believed after it, and no `RefCell` is borrowed across one.
//! 4. **An event is looked at again when its turn comes**: what was paused or closed after the kernel
//!    reported it delivers nothing.

mod attributes;
mod closing;
mod create;
mod event;
mod flow;
mod incoming;
mod listener;
mod out_queue;
mod reader;
mod writer;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;

use aioxide_core::flow_control::FlowControl;

use crate::event_loop::LoopCore;
use crate::ffi::module::{import, imports};
use crate::ffi::{Class, Inst, Native, Res, Slot, SlotOf, Visit, value};
use out_queue::OutQueue;

pub(crate) use event::{Event, describe, dispatch};
pub(crate) use listener::{Listener, accept, describe_accept};

/// The state behind `aioxide.StreamTransport`.
#[derive(Debug)]
pub(crate) struct StreamTransport {
    /// Gone after `connection_lost`, as are the socket, the protocol and the server.
    loop_: SlotOf<LoopCore>,
    sock: Slot,
    fd: Cell<RawFd>,
    /// The socket was given to us, so that others may have it too.
    foreign: Cell<bool>,
    protocol: Slot,
    /// The protocol is a `BufferedProtocol`.
    buffered: Cell<bool>,
    /// All callbacks run in it.
    context: Slot,
    server: Slot,
    /// The dict behind `get_extra_info`.
    extra: Slot,
    queue: RefCell<OutQueue>,
    flow: RefCell<FlowControl>,
    paused: Cell<bool>,
    closing: Cell<bool>,
    eof: Cell<bool>,
    /// Not zero once `connection_lost` is scheduled; then it counts writes, as in asyncio.
    conn_lost: Cell<u32>,
    /// What `connection_lost` will be told, while it is scheduled.
    lost_with: Slot,
    /// The loop watches the descriptor for us.
    reading: Cell<bool>,
    writing: Cell<bool>,
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
        StreamTransport {
            loop_: SlotOf::default(),
            sock: Slot::default(),
            fd: Cell::new(-1),
            foreign: Cell::new(false),
            protocol: Slot::default(),
            buffered: Cell::new(false),
            context: Slot::default(),
            server: Slot::default(),
            extra: Slot::default(),
            queue: RefCell::default(),
            flow: RefCell::default(),
            paused: Cell::new(false),
            closing: Cell::new(false),
            eof: Cell::new(false),
            conn_lost: Cell::new(0),
            lost_with: Slot::default(),
            reading: Cell::new(false),
            writing: Cell::new(false),
            empty_waiter: Slot::default(),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        for slot in [
            &self.sock,
            &self.protocol,
            &self.context,
            &self.server,
            &self.extra,
            &self.lost_with,
            &self.empty_waiter,
        ] {
            slot.visit(visit);
        }
        if let Ok(queue) = self.queue.try_borrow() {
            queue.traverse(visit);
        }
    }
    fn clear(&self) {
        self.loop_.clear();
        for slot in [
            &self.sock,
            &self.protocol,
            &self.context,
            &self.server,
            &self.extra,
            &self.lost_with,
            &self.empty_waiter,
        ] {
            slot.clear();
        }
        drop(self.queue.take());
    }
    fn wants_finalize(&self) -> bool {
        self.sock.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        this.finalize_unclosed();
    }
}

/// Makes both classes.
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
        &*modes.getattr(&*value::text("FALLBACK")?)?,
    )?;
    class.setattr(&*value::text("max_size")?, &*value::int(256 * 1024)?)?;
    listener::build()
}
