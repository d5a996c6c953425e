//! From an accepted descriptor to a transport with its protocol.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::accepted::{AF_UNIX, SocketKind, address_tuple};
use super::create::{Parts, Socket, create};
use super::listener::Listener;
use crate::event_loop::LoopCore;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Raised, Res, context, value};

/// A connection that was just accepted.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) fd: OwnedFd,
    pub(super) address: Option<SocketAddr>,
}

impl Inst<Listener> {
    pub(super) fn connection(&self, incoming: Incoming) -> Res<()> {
        let (Some(core), Some(ctx)) = (self.loop_.get(), self.context.get()) else {
            return Ok(());
        };
        let ctx = context::copy_of(&ctx)?;
        let Incoming { fd, address } = incoming;
        match address {
            peer if self.connected.is_none()
                && !core.is_debug()
                && (peer.is_some() || self.kind().family == AF_UNIX) =>
            {
                self.serve(&core, &ctx, Socket::Bare(fd, self.kind(), peer))
            }
            address => self.connection_of_socket(&core, &ctx, fd, address),
        }
    }

    /// With everything that asyncio makes of what was accepted.
    fn connection_of_socket(
        &self,
        core: &Inst<LoopCore>,
        ctx: &Object,
        fd: OwnedFd,
        address: Option<SocketAddr>,
    ) -> Res<()> {
        let extra = value::dict()?;
        if let Some(address) = address {
            extra.dict_set(&names().peername, &*address_tuple(&address)?)?;
        }
        let sock = self.kind().socket(fd)?;
        if core.is_debug() {
            self.log(&extra, &sock)?;
        }
        match self.connected.get() {
            Some(connected) => context::run(ctx, || connected.call(&[&sock, &extra]))?.map(drop),
            None => self.serve(core, ctx, Socket::Accepted(&sock, self.family.get(), extra)),
        }
    }

    fn kind(&self) -> SocketKind {
        SocketKind {
            family: self.family.get(),
            protocol: self.protocol_number.get(),
        }
    }

    fn serve(&self, core: &Inst<LoopCore>, ctx: &Object, socket: Socket<'_>) -> Res<()> {
        let sock = socket.python();
        let mut protocol = None;
        let made = context::run(ctx, || {
            let Some(factory) = self.factory.get() else {
                return Ok(());
            };
            let made = protocol.insert(factory.call0()?);
            let server = self.server.get();
            create(Parts {
                core,
                socket,
                protocol: made,
                waiter: None,
                server: server.as_deref(),
                context: ctx.clone(),
            })
            .map(drop)
        })
        .and_then(|made| made);
        match made {
            Ok(()) => Ok(()),
            Err(raised) => failed(core, sock.as_deref(), protocol.as_deref(), raised),
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
fn failed(
    core: &Inst<LoopCore>,
    sock: Option<&Any>,
    protocol: Option<&Any>,
    raised: Raised,
) -> Res<()> {
    let exit = raised.is_exit();
    let exception = raised.take();
    let names = names();
    if let Some(sock) = sock {
        sock.call_method0(&names.close)?;
    }
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
