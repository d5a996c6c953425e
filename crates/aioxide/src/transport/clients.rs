//! The connections of a server: what asyncio has as a `WeakSet`, which costs each connection more
//! memory than its transport's state, and two calls of Python.
//!
//! A transport knows its server, so the set needs no entries: it counts, and is enumerated by
//! looking at all transports, which only `close_clients` and `abort_clients` ask for.

use std::cell::Cell;

use super::StreamTransport;
use super::owners::Owner;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Visit, value};

/// The state behind `ClientsCore`.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// Whose they are, by its address: the server has us, and not we the server.
    server: Cell<usize>,
    count: Cell<usize>,
}

static CLIENTS: Class<Clients> = Class::new(0);

impl Native for Clients {
    const NAME: &'static std::ffi::CStr = c"aioxide.ClientsCore";

    fn class() -> &'static Class<Self> {
        &CLIENTS
    }
    fn empty() -> Self {
        Clients::default()
    }
    fn traverse(&self, _visit: &mut Visit) {}
    fn clear(&self) {}
}

impl Clients {
    fn has(&self, transport: &Inst<StreamTransport>) -> bool {
        transport.attached.get() && transport.server.address() == Some(self.server.get())
    }

    fn add(&self, transport: &Inst<StreamTransport>) {
        if !transport.attached.replace(true) {
            self.count.set(self.count.get() + 1);
        }
    }

    fn remove(&self, transport: &Inst<StreamTransport>) {
        if transport.attached.replace(false) {
            self.count.set(self.count.get().saturating_sub(1));
        }
    }
}

impl Inst<StreamTransport> {
    /// Tells the server of a connection that it has accepted itself: `Server._attach`.
    pub(super) fn attach(&self, server: &Any) -> Res<()> {
        if let Some(clients) = server.getattr_opt(&names()._clients)?
            && let Some(clients) = clients.downcast::<Clients>()
            // Of a server that was closed since the connection was accepted, asyncio's method complains.
            && !server.getattr(&names()._sockets)?.is_none()
        {
            clients.add(self);
            return Ok(());
        }
        self.tell_server(server, &names()._attach)
    }

    /// Tells it that the connection is over: `Server._detach`.
    pub(super) fn detach(&self, server: &Any) -> Res<()> {
        if let Some(clients) = server.getattr_opt(&names()._clients)?
            && let Some(clients) = clients.downcast::<Clients>()
            && clients.count.get() > 1
        {
            // The last one may be waited for.
            clients.remove(self);
            return Ok(());
        }
        self.tell_server(server, &names()._detach)
    }
}

fn init(this: &Inst<Clients>, args: Args<'_>) -> Res<()> {
    this.server
        .set(args.one("ClientsCore", c"server")?.address());
    Ok(())
}

fn transport(object: &Any) -> Res<&Inst<StreamTransport>> {
    object
        .downcast::<StreamTransport>()
        .ok_or_else(|| Raised::type_error("a transport of aioxide is needed"))
}

fn add(this: &Inst<Clients>, object: &Any) -> Res<Object> {
    let transport = transport(object)?;
    // It says itself whose it is only after it was added.
    if !transport.attached.get() || this.has(transport) {
        this.add(transport);
    }
    Ok(value::none())
}

fn discard(this: &Inst<Clients>, object: &Any) -> Res<Object> {
    if let Some(transport) = object.downcast::<StreamTransport>() {
        this.remove(transport);
    }
    Ok(value::none())
}

fn copy(this: &Inst<Clients>) -> Res<Object> {
    let all = StreamTransport::all().snapshot();
    let mine: Vec<Object> = all
        .into_iter()
        .filter(|transport| this.has(transport))
        .map(crate::ffi::Own::into_object)
        .collect();
    value::list(&mine)
}

fn count(this: &Inst<Clients>) -> Res<Object> {
    value::uint(this.count.get() as u64)
}

pub(super) fn build() -> Res<()> {
    CLIENTS.build(object_class(), |b: TypeBuilder<Clients>| {
        b.doc(c"ClientsCore(server)\n--\n\nThe open connections of a server.")
            .init(init)
            .method1(
                c"add",
                add,
                c"add($self, transport, /)\n--\n\nA connection begins.",
            )
            .method1(
                c"discard",
                discard,
                c"discard($self, transport, /)\n--\n\nA connection is over, if it was one.",
            )
            .method0(
                c"copy",
                copy,
                c"copy($self, /)\n--\n\nThe transports, as a list.",
            )
            .getter(c"count", count, c"How many connections there are.")
    })?;
    Ok(())
}
