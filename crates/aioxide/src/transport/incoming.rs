//! From an accepted descriptor to a transport with its protocol.

//!
//! asyncio makes a task for each accepted connection: its first step, in the next iteration, calls
//! the protocol factory and makes the transport. Here an [`Incoming`] stands in the ready queue in
//! place of that task.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::accepted::{AF_UNIX, SocketKind, address_tuple};
use super::create::{Parts, Socket, create};
use super::listener::{Listener, report};
use crate::event_loop::{Entry, LoopCore};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, Visit, context, value};

/// A connection that was accepted and has no protocol yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    listener: Own<Listener>,
    /// A copy of the listener's, for this connection.
    context: Object,
    socket: Accepted,
}

#[derive(Debug)]
enum Accepted {
    /// Python has no socket of it yet.
    Bare(OwnedFd, Option<SocketAddr>),
    /// Python's socket, and the transport's `extra`.
    Socket(Object, Object),
}

impl Incoming {
    /// The iteration after the one that accepted it: makes protocol and transport. For the loop.
    ///
    /// An error is what must leave the loop; others go to the exception handler.
    pub(crate) fn serve(self) -> Res<()> {
        let listener = self.listener.clone();
        listener
            .serve(self)
            .or_else(|raised| report(&listener, raised))
    }

    pub(crate) fn listener(&self) -> &Inst<Listener> {
        &self.listener
    }

    pub(crate) fn traverse(&self, visit: &mut Visit) {
        visit.native(&self.listener);
        visit.object(&self.context);
        if let Accepted::Socket(sock, extra) = &self.socket {
            visit.object(sock);
            visit.object(extra);
        }
    }
}

impl Inst<Listener> {
    pub(super) fn connection(&self, fd: OwnedFd, address: Option<SocketAddr>) -> Res<()> {
        let (Some(core), Some(ctx)) = (self.loop_.get(), self.context.get()) else {
            return Ok(());
        };
        let context = context::copy_of(&ctx)?;
        let socket = match address {
            peer if self.connected.is_none()
                && !core.is_debug()
                && (peer.is_some() || self.kind().family == AF_UNIX) =>
            {
                Accepted::Bare(fd, peer)
            }
            address => {
                let (sock, extra) = self.python_socket(&core, fd, address)?;
                if let Some(connected) = self.connected.get() {
                    let begun = context::run(&context, || connected.call(&[&sock, &extra]))?;
                    return begun.map(drop);
                }
                Accepted::Socket(sock, extra)
            }
        };
        core.push(Entry::Incoming(Box::new(Incoming {
            listener: self.own(),
            context,
            socket,
        })));
        Ok(())
    }

    /// The socket and the `extra` that asyncio makes of what was accepted.
    fn python_socket(
        &self,
        core: &Inst<LoopCore>,
        fd: OwnedFd,
        address: Option<SocketAddr>,
    ) -> Res<(Object, Object)> {
        let extra = value::dict()?;
        if let Some(address) = address {
            extra.dict_set(&names().peername, &*address_tuple(&address)?)?;
        }
        let sock = self.kind().socket(fd)?;
        if core.is_debug() {
            self.log(&extra, &sock)?;
        }
        Ok((sock, extra))
    }

    fn kind(&self) -> SocketKind {
        SocketKind {
            family: self.family.get(),
            protocol: self.protocol_number.get(),
        }
    }

    fn serve(&self, incoming: Incoming) -> Res<()> {
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        let core = &core;
        let ctx = &incoming.context;
        let mut sock = None;
        let socket = match incoming.socket {
            Accepted::Bare(fd, peer) => Socket::Bare(fd, self.kind(), peer),
            Accepted::Socket(given, extra) => {
                Socket::Accepted(sock.insert(given), self.family.get(), extra)
            }
        };
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
