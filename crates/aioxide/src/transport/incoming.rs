//! From an accepted descriptor to a transport with its protocol.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use aioxide_driver::datagram::{HOST_TEXT, host_text};

use super::create::{Parts, create};
use super::listener::Listener;
use crate::event_loop::LoopCore;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Raised, Res, context, value};

/// `socket.SOCK_STREAM | socket.SOCK_NONBLOCK`: the second tells Python that the kernel knows.
const STREAM_NONBLOCKING: i64 = 1 | 0o4000;

/// A connection that was just accepted.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) fd: OwnedFd,
    pub(super) address: Option<SocketAddr>,
}

/// An address as Python's `socket` gives it.
fn address_tuple(address: &SocketAddr) -> Res<Object> {
    let mut text = [0; HOST_TEXT];
    let host = value::text(host_text(address.ip(), &mut text))?;
    let port = value::int(i64::from(address.port()))?;
    match address {
        SocketAddr::V4(_) => value::tuple(&[&host, &port]),
        SocketAddr::V6(v6) => value::tuple(&[
            &host,
            &port,
            &*value::int(i64::from(v6.flowinfo()))?,
            &*value::int(i64::from(v6.scope_id()))?,
        ]),
    }
}

impl Inst<Listener> {
    pub(super) fn connection(&self, incoming: Incoming) -> Res<()> {
        let (Some(core), Some(ctx)) = (self.loop_.get(), self.context.get()) else {
            return Ok(());
        };
        let extra = value::dict()?;
        if let Some(address) = &incoming.address {
            extra.dict_set(&names().peername, &*address_tuple(address)?)?;
        }
        let sock = self.socket(incoming.fd)?;
        if core.is_debug() {
            self.log(&extra, &sock)?;
        }
        let ctx = context::copy_of(&ctx)?;
        match self.connected.get() {
            Some(connected) => context::run(&ctx, || connected.call(&[&sock, &extra]))?.map(drop),
            None => self.serve(&core, &ctx, &sock, extra),
        }
    }

    /// A `socket.socket` with the listening one's family.
    fn socket(&self, fd: OwnedFd) -> Res<Object> {
        let sock = imports().socket_class.call(&[
            &*value::int(self.family.get())?,
            &*value::int(STREAM_NONBLOCKING)?,
            &*value::int(self.protocol_number.get())?,
            &*value::int(i64::from(fd.as_raw_fd()))?,
        ])?;
        // The socket closes it from now on.
        let _ = fd.into_raw_fd();
        Ok(sock)
    }

    fn serve(&self, core: &Inst<LoopCore>, ctx: &Object, sock: &Any, extra: Object) -> Res<()> {
        let mut protocol = None;
        let made = context::run(ctx, || {
            let Some(factory) = self.factory.get() else {
                return Ok(());
            };
            let made = protocol.insert(factory.call0()?);
            let server = self.server.get();
            create(Parts {
                core,
                sock,
                protocol: made,
                waiter: None,
                extra,
                server: server.as_deref(),
                context: ctx.clone(),
                accepted: Some(self.family.get()),
            })
            .map(drop)
        })
        .and_then(|made| made);
        match made {
            Ok(()) => Ok(()),
            Err(raised) => failed(core, sock, protocol.as_deref(), raised),
        }
    }

    #[cold]
    fn log(&self, extra: &Any, sock: &Any) -> Res<()> {
        let debug = imports().logger.getattr(&names().debug)?;
        debug.call(&[
            &*value::text("%r got a new connection from %r: %r")?,
            &*self.server.get_or_none(),
            &*extra
                .dict_get(&names().peername)?
                .unwrap_or_else(value::none),
            sock,
        ])?;
        Ok(())
    }
}

/// asyncio tells only in debug mode.
#[cold]
fn failed(core: &Inst<LoopCore>, sock: &Any, protocol: Option<&Any>, raised: Raised) -> Res<()> {
    let exit = raised.is_exit();
    let exception = raised.take();
    let names = names();
    sock.call_method0(&names.close)?;
    if exit {
        return Err(Raised::raise(exception));
    }
    if !core.is_debug() {
        return Ok(());
    }
    let report = value::dict()?;
    report.dict_set(
        &names.message,
        &*value::text("Error on transport creation for incoming connection")?,
    )?;
    report.dict_set(&names.exception, &exception)?;
    if let Some(protocol) = protocol {
        report.dict_set(&names.protocol, protocol)?;
    }
    core.as_any()
        .call_method1(&names.call_exception_handler, &report)?;
    Ok(())
}
