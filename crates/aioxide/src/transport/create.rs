//! A new transport: what asyncio's constructor does, in its order.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use aioxide_driver::sys;

use super::accepted::SocketKind;
use super::common::given;
use super::{STREAM_TRANSPORT, StreamTransport};
use crate::event_loop::{LoopCore, descriptor};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Native, Object, Own, Raised, Res, context, value};

const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;

/// What a transport is made from.
pub(super) struct Parts<'a> {
    pub(super) core: &'a Inst<LoopCore>,
    pub(super) socket: Socket<'a>,
    pub(super) protocol: &'a Any,
    pub(super) waiter: Option<&'a Any>,
    pub(super) server: Option<&'a Any>,
    pub(super) context: Object,
}

/// Where the connection comes from. A dict becomes the transport's `extra`.
pub(super) enum Socket<'a> {
    /// It was given to us, so that others may have it too.
    Given(&'a Any, Object),
    /// We have accepted it, of this family.
    Accepted(&'a Any, i64, Object),
    /// The same, and nobody has asked for Python's socket. One of a Unix socket has no address here.
    Bare(OwnedFd, SocketKind, Option<SocketAddr>),
}

/// The answer of `sock.getsockname()` or `getpeername()`; `None` if it has none.
pub(super) fn address(sock: &Any, method: &Any) -> Res<Object> {
    match sock.call_method0(method) {
        Ok(address) => Ok(address),
        Err(raised) if raised.matches(Kind::Os.as_any()) => {
            raised.discard();
            Ok(value::none())
        }
        Err(raised) => Err(raised),
    }
}

/// Whether small segments should not wait for more: every stream of the Internet families.
fn is_internet(family: i64) -> bool {
    family == AF_INET || family == AF_INET6
}

/// What is no socket (a test's stand-in) has no family that we know.
fn family_of(sock: &Any) -> Res<Option<i64>> {
    if !sock.is_subtype_of(&imports().socket_class) {
        return Ok(None);
    }
    sock.getattr(&names().family)?.to_i64().map(Some)
}

pub(super) fn create(parts: Parts<'_>) -> Res<Own<StreamTransport>> {
    let transport = STREAM_TRANSPORT.create(StreamTransport::empty())?;
    if let Err(raised) = transport.fill(parts) {
        // The caller still has the socket.
        let exception = raised.take();
        transport.abandon();
        return Err(Raised::raise(exception));
    }
    Ok(transport)
}

impl Inst<StreamTransport> {
    fn fill(&self, parts: Parts<'_>) -> Res<()> {
        let Parts {
            core,
            socket,
            protocol,
            waiter,
            server,
            context,
        } = parts;
        self.common.context.set(context);
        self.common.loop_.set(core.own());
        let family = match socket {
            Socket::Given(sock, extra) => {
                self.foreign.set(true);
                if let Some(family) = self.take_connected(sock, &extra)? {
                    family
                } else {
                    self.take_socket(sock, extra)?;
                    let family = family_of(sock)?;
                    family.unwrap_or_default()
                }
            }
            Socket::Accepted(sock, family, extra) => {
                self.take_socket(sock, extra)?;
                family
            }
            Socket::Bare(fd, kind, peer) => {
                if let Err(fd) = self.accept(fd, kind, peer.as_ref())? {
                    let extra = value::dict()?;
                    self.take_socket(&*kind.socket(fd)?, extra)?;
                }
                kind.family
            }
        };
        self.set_protocol(protocol)?;
        if let Some(server) = server {
            if self.foreign.get() {
                self.tell_server(server, &names()._attach)?;
            } else {
                self.attach(server)?;
            }
            self.server.set(server.own());
        }
        self.claim(core);
        if is_internet(family) {
            // A connection that was reset meanwhile refuses; its first read tells.
            let _ = sys::set_nodelay(self.common.fd.get());
        }
        self.begin(core, protocol, waiter)
    }

    /// Python's socket, with the addresses that it has now.
    fn take_socket(&self, sock: &Any, extra: Object) -> Res<()> {
        let names = names();
        let fd = descriptor(sock)?;
        if !(sock.type_is(&imports().socket_class) && self.owe_socket(sock)?) {
            // A derived class may have ideas of its own: it is wrapped by asyncio's, which exposes it.
            self.exposed.set(true);
            extra.dict_set(&names.socket, &*imports().transport_socket.call1(sock)?)?;
        }
        extra.dict_set(&names.sockname, &*address(sock, &names.getsockname)?)?;
        if extra.dict_get(&names.peername)?.is_none() {
            extra.dict_set(&names.peername, &*address(sock, &names.getpeername)?)?;
        }
        self.common.extra.set(extra);
        self.common.fd.set(fd);
        self.common.file.set(sock.own());
        Ok(())
    }

    /// `Server._attach` or `_detach`, as the running Python calls them.
    pub(super) fn tell_server(&self, server: &Any, method: &Any) -> Res<()> {
        let answer = if imports().server_knows_transports {
            server.call_method1(method, self.as_any())
        } else {
            server.call_method0(method)
        };
        answer.map(drop)
    }
}

const INIT: Signature<7> = Signature {
    function: "StreamTransport",
    parameters: [
        c"loop",
        c"sock",
        c"protocol",
        c"waiter",
        c"extra",
        c"server",
        c"context",
    ],
    positional: 7,
    required: 3,
};

fn init(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<()> {
    let [loop_, sock, protocol, waiter, extra, server, ctx] = args.bind(&INIT)?;
    let (Some(loop_), Some(sock), Some(protocol)) = (loop_, sock, protocol) else {
        return Err(Raised::type_error(
            "StreamTransport() needs a loop, a socket and a protocol",
        ));
    };
    let Some(core) = loop_.downcast::<LoopCore>() else {
        return Err(Raised::type_error(
            "StreamTransport() needs a loop of aioxide",
        ));
    };
    if this.common.fd.get() >= 0 {
        return Err(Raised::runtime("the transport has its socket already"));
    }
    this.fill(Parts {
        core,
        socket: Socket::Given(
            sock,
            given(extra).map_or_else(value::dict, |extra| Ok(extra.own()))?,
        ),
        protocol,
        waiter,
        server: given(server),
        context: given(ctx).map_or_else(context::copy_current, |ctx| Ok(ctx.own()))?,
    })
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    b.init(init)
}
