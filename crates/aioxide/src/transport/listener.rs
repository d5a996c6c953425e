//! A listening socket: accepts what comes.
//!
//! No task is made for a connection. An entry in the ready queue takes the place of asyncio's task:
//! in the next iteration it calls the protocol factory, in a context of its own, and
//! `connection_made` follows one iteration later.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;

use aioxide_driver::reactor::Interest;
use aioxide_driver::sys;

use super::reader::is_not_ready;
use crate::event_loop::{LoopCore, Watcher, descriptor};
use crate::ffi::call::Signature;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, SlotOf, Visit};
use crate::ffi::{context, value};
use crate::handle::Handle;

/// The state behind `Listener`.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(super) loop_: SlotOf<LoopCore>,
    pub(super) sock: Slot,
    fd: Cell<RawFd>,
    /// Makes a protocol for each connection.
    pub(super) factory: Slot,
    /// Is given the socket instead, where there is more to do (TLS).
    pub(super) connected: Slot,
    pub(super) server: Slot,
    /// Copied for each connection.
    pub(super) context: Slot,
    backlog: Cell<i64>,
    pub(super) family: Cell<i64>,
    pub(super) protocol_number: Cell<i64>,
    /// The loop watches it for us, and nobody has stopped it since.
    active: Cell<bool>,
}

static LISTENER: Class<Listener> = Class::new(0);

impl Native for Listener {
    const NAME: &'static std::ffi::CStr = c"aioxide.Listener";
    const SUBCLASSABLE: bool = false;

    fn class() -> &'static Class<Self> {
        &LISTENER
    }
    fn empty() -> Self {
        Listener {
            fd: Cell::new(-1),
            ..Listener::default()
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        for slot in [
            &self.sock,
            &self.factory,
            &self.connected,
            &self.server,
            &self.context,
        ] {
            slot.visit(visit);
        }
    }
    fn clear(&self) {
        self.loop_.clear();
        for slot in [
            &self.sock,
            &self.factory,
            &self.connected,
            &self.server,
            &self.context,
        ] {
            slot.clear();
        }
    }
}

impl Listener {
    /// Whether this is its socket.
    pub(crate) fn listens_on(&self, sock: &Any) -> bool {
        self.sock.get().is_some_and(|own| own.is(sock))
    }

    /// The loop has stopped watching it.
    pub(crate) fn retire(&self) {
        self.active.set(false);
    }
}

/// Accepts what is there. For the loop.
pub(crate) fn accept(this: &Inst<Listener>) -> Res<()> {
    this.accept_all().or_else(|raised| report(this, raised))
}

/// Tells the loop's exception handler, unless the error is one that must leave the loop.
#[cold]
pub(super) fn report(this: &Inst<Listener>, raised: Raised) -> Res<()> {
    if raised.is_exit() {
        return Err(raised);
    }
    let exception = raised.take();
    match this.loop_.get() {
        Some(core) => handle(this, &core)?.report(Raised::raise(exception)),
        None => Ok(()),
    }
}

/// The handle that asyncio would have in its queue.
fn handle(this: &Inst<Listener>, core: &Inst<LoopCore>) -> Res<Own<Handle>> {
    let method = this.as_any().getattr(&names()._accept_ready)?;
    let ctx = this.context.get().map_or_else(context::copy_current, Ok)?;
    Handle::create(method, &[], core.as_any().own(), ctx)
}

/// For a report of a slow callback.
pub(crate) fn describe_accept(this: &Inst<Listener>) -> Res<Object> {
    match this.loop_.get() {
        Some(core) => Ok(handle(this, &core)?.into_object()),
        None => Ok(this.as_any().own()),
    }
}

impl Inst<Listener> {
    fn accept_all(&self) -> Res<()> {
        if !self.is_open()? {
            return Ok(());
        }
        for _ in 0..=self.backlog.get() {
            // What logs or audits a connection may have closed the server.
            if !self.active.get() {
                return Ok(());
            }
            match sys::accept_from(self.fd.get()) {
                Ok((fd, address)) => self.connection(fd, address)?,
                // Gone before it was accepted; the next one may be there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if is_not_ready(&error) => return Ok(()),
                Err(error) if sys::is_out_of_resources(&error) => return self.pause(&error),
                Err(error) => return Err(Raised::os(&error)),
            }
        }
        Ok(())
    }

    fn is_open(&self) -> Res<bool> {
        match self.sock.get() {
            Some(sock) => {
                Ok(sock.call_method0(&names().fileno)?.to_i64()? == i64::from(self.fd.get()))
            }
            None => Ok(false),
        }
    }

    /// No descriptors or no memory: the kernel would report the socket again and again, so look
    /// away for a second.
    #[cold]
    fn pause(&self, error: &io::Error) -> Res<()> {
        let (Some(core), Some(sock)) = (self.loop_.get(), self.sock.get()) else {
            return Ok(());
        };
        let names = names();
        let exception = Raised::os(error).take();
        if let Some(watcher) = core.unwatch(self.fd.get(), Interest::READ) {
            watcher.retire()?;
        }
        let start = self.as_any().getattr(&names.start)?;
        core.as_any()
            .call_method2(&names.call_later, &imports().accept_retry_delay, &start)?;
        let report = value::dict()?;
        report.dict_set(
            &names.message,
            &*value::text("socket.accept() out of system resource")?,
        )?;
        report.dict_set(&names.exception, &exception)?;
        report.dict_set(&names.socket, &*imports().transport_socket.call1(&sock)?)?;
        core.as_any()
            .call_method1(&names.call_exception_handler, &report)?;
        Ok(())
    }
}

const INIT: Signature<7> = Signature {
    function: "Listener",
    parameters: [
        c"loop",
        c"sock",
        c"protocol_factory",
        c"server",
        c"backlog",
        c"connected",
        c"context",
    ],
    positional: 7,
    required: 5,
};

fn init(this: &Inst<Listener>, args: Args<'_>) -> Res<()> {
    let [
        Some(loop_),
        Some(sock),
        Some(factory),
        Some(server),
        Some(backlog),
        connected,
        ctx,
    ] = args.bind(&INIT)?
    else {
        return Err(Raised::type_error("Listener() needs five arguments"));
    };
    let Some(core) = loop_.downcast::<LoopCore>() else {
        return Err(Raised::type_error("Listener() needs a loop of aioxide"));
    };
    this.fd.set(descriptor(sock)?);
    this.family.set(sock.getattr(&names().family)?.to_i64()?);
    this.protocol_number
        .set(sock.getattr(&names().proto)?.to_i64()?);
    this.backlog.set(backlog.to_i64()?);
    this.context.set(match ctx {
        Some(ctx) if !ctx.is_none() => ctx.own(),
        _ => context::copy_current()?,
    });
    this.sock.set(sock.own());
    this.factory.set(factory.own());
    for (slot, argument) in [(&this.server, Some(server)), (&this.connected, connected)] {
        drop(
            slot.replace(
                argument
                    .filter(|argument| !argument.is_none())
                    .map(Any::own),
            ),
        );
    }
    this.loop_.set(core.own());
    Ok(())
}

/// Also after a pause, when the socket may have been closed meanwhile.
fn start(this: &Inst<Listener>) -> Res<Object> {
    if let Some(core) = this.loop_.get()
        && this.is_open()?
    {
        let replaced = core.watch(this.fd.get(), Interest::READ, Watcher::Listener(this.own()))?;
        replaced.map_or(Ok(()), Watcher::retire)?;
        this.active.set(true);
    }
    Ok(value::none())
}

fn accept_ready(this: &Inst<Listener>) -> Res<Object> {
    this.accept_all()?;
    Ok(value::none())
}

pub(super) fn build() -> Res<()> {
    LISTENER.build(object_class(), |b: TypeBuilder<Listener>| {
        b.doc(c"Listener(loop, sock, protocol_factory, server, backlog, connected=None, context=None)\n--\n\nAccepts the connections of a listening socket.")
            .init(init)
            .method0(c"start", start, c"start($self, /)\n--\n\nLet the loop watch for connections.")
            .method0(c"_accept_ready", accept_ready, c"_accept_ready($self, /)\n--\n\nAccept what is there.")
    })?;
    Ok(())
}
