//! `asyncio.TransportSocket`, natively: the descriptor of a transport and no more until somebody needs
//! Python's socket.
//!
//! Every real server asks for it, to set `TCP_NODELAY`, and drops it again. asyncio's wrapper and the
//! `socket.socket` below it are two thirds of an idle connection's memory. So the wrapper is made when
//! it is asked for, and the transport and the wrapper know each other without keeping each other
//! alive: as long as a program holds the wrapper, it gets the same one.
//!
//! Holding it exposes nothing. `fileno()` and `_sock` do (and everything of asyncio's class that
//! goes through `_sock`: `dup()`, `shutdown()`): they flush, and from then on the transport is not corked.
//! Addresses, options, family, type and `repr` neither flush nor expose.

use std::ffi::CStr;
use std::net::SocketAddr;

use aioxide_driver::sys;

use super::StreamTransport;
use super::accepted::{AF_UNIX, SocketKind, address_tuple, closed_socket};
use crate::ffi::error::Kind;
use crate::ffi::method::{TypeBuilder, no_delete};
use crate::ffi::module::{import, imports, names};
use crate::ffi::weak_link::{KnownBy, Knows, Link, forget, tie, untie};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit, value};

const SOCK_STREAM: i64 = 1;
const SOL_SOCKET: i64 = 1;
const SO_KEEPALIVE: i64 = 9;
const IPPROTO_TCP: i64 = 6;
const TCP_NODELAY: i64 = 1;

/// The state behind `TransportSocket`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct TransportSocket {
    /// Python's socket, once a program has it from here or the transport has let it go; it lies over
    /// the slot `_sock` of asyncio's class.
    sock: Slot,
    transport: Link<StreamTransport>,
    kind: SocketKind,
}

/// As many dead ones are kept: a server asks for one per connection, and drops it.
static TRANSPORT_SOCKET: Class<TransportSocket> = Class::new(64);

impl Native for TransportSocket {
    const NAME: &'static CStr = c"aioxide.TransportSocket";
    const OVERLAY: usize = 1;

    fn class() -> &'static Class<Self> {
        &TRANSPORT_SOCKET
    }
    fn empty() -> Self {
        TransportSocket::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.sock.visit(visit);
    }
    fn clear(&self) {
        self.sock.clear();
    }
    fn on_dealloc(this: &Inst<Self>) {
        untie(&**this);
    }
}

impl Knows<StreamTransport> for TransportSocket {
    fn link(&self) -> &Link<StreamTransport> {
        &self.transport
    }
}

impl KnownBy<TransportSocket> for StreamTransport {
    fn known_by(&self) -> &Link<TransportSocket> {
        &self.wrapper
    }
}

impl Inst<StreamTransport> {
    /// What `get_extra_info("socket")` gives.
    pub(super) fn transport_socket(&self) -> Res<Object> {
        if let Some(wrapper) = self.wrapper.get() {
            return Ok(wrapper.into_object());
        }
        let kind = self.accepted.kind();
        let wrapper = TRANSPORT_SOCKET.create(TransportSocket {
            kind,
            ..TransportSocket::default()
        })?;
        if self.is_open() {
            tie(&*wrapper, self);
        }
        Ok(wrapper.into_object())
    }

    /// The transport is about to let go of its socket: the wrapper keeps it, if there is one, and
    /// stays what `get_extra_info("socket")` gives.
    pub(super) fn leave_socket(&self) -> Res<()> {
        let Some(wrapper) = self.wrapper.get() else {
            return Ok(());
        };
        if let Some(sock) = self.common.file.get() {
            wrapper.sock.set(sock);
        }
        let kept = self.keep_socket();
        forget(&**self);
        kept
    }
}

/// What gives an attribute of the socket.
type Look = fn(&Inst<TransportSocket>) -> Res<Object>;

/// Who answers.
enum Answers {
    /// The transport, which has the descriptor and no socket of Python's.
    Bare(Own<StreamTransport>),
    /// Python's socket.
    Socket(Object),
}

impl Inst<TransportSocket> {
    fn answers(&self) -> Res<Answers> {
        if let Some(sock) = self.sock.get() {
            return Ok(Answers::Socket(sock));
        }
        let Some(transport) = self.transport.get() else {
            return self.closed().map(Answers::Socket);
        };
        match transport.common.file.get() {
            Some(sock) => Ok(Answers::Socket(sock)),
            None if transport.is_open() => Ok(Answers::Bare(transport)),
            None => self.closed().map(Answers::Socket),
        }
    }

    /// Python's socket, made if there is none yet. Not to be given to a program: see `expose`.
    fn python_socket(&self) -> Res<Object> {
        match self.answers()? {
            Answers::Socket(sock) => Ok(sock),
            Answers::Bare(transport) => match transport.python_socket()? {
                Some(sock) => Ok(sock),
                None => self.closed(),
            },
        }
    }

    /// What is left of a socket that was closed before anybody asked for it.
    fn closed(&self) -> Res<Object> {
        let sock = closed_socket(self.kind)?;
        self.sock.set(sock.clone());
        Ok(sock)
    }

    /// A program gets the descriptor: flushes, and the transport is corked no more.
    fn expose(&self) -> Res<()> {
        match self.transport.get() {
            Some(transport) => transport.expose(),
            None => Ok(()),
        }
    }

    /// A number of this socket as an attribute of Python's socket is.
    fn number(
        &self,
        name: &Any,
        enumeration: &Any,
        number: impl Fn(SocketKind) -> i64,
    ) -> Res<Object> {
        match self.answers()? {
            Answers::Socket(sock) => sock.getattr(name),
            Answers::Bare(_) => enumeration.call1(&*value::int(number(self.kind))?),
        }
    }

    fn family(&self) -> Res<Object> {
        let imports = imports();
        self.number(&names().family, &imports.address_family, |kind| kind.family)
    }

    fn socket_type(&self) -> Res<Object> {
        let name = value::text("type")?;
        self.number(&name, &imports().socket_type, |_| SOCK_STREAM)
    }

    fn proto(&self) -> Res<Object> {
        match self.answers()? {
            Answers::Socket(sock) => sock.getattr(&names().proto),
            Answers::Bare(_) => value::int(self.kind.protocol),
        }
    }

    fn address(
        &self,
        method: &Any,
        look: fn(i32) -> std::io::Result<Option<SocketAddr>>,
    ) -> Res<Object> {
        if let Answers::Bare(transport) = self.answers()?
            && self.kind.family != AF_UNIX
        {
            return match look(transport.common.fd.get()) {
                Ok(Some(address)) => address_tuple(&address),
                Ok(None) => self.python_socket()?.call_method0(method),
                Err(error) => Err(Raised::os(&error)),
            };
        }
        self.python_socket()?.call_method0(method)
    }

    /// asyncio's own method, which uses `_sock`.
    #[cold]
    fn inherited(&self, name: &str, args: Args<'_>) -> Res<Object> {
        let method = imports().transport_socket.getattr(&*value::text(name)?)?;
        let mut all: Vec<&Any> = vec![self.as_any()];
        all.extend(args.positional);
        all.extend(args.keywords);
        method.call_names(&all, &*value::tuple(args.names)?)
    }
}

/// `(level, option)`, if it is one that we read and set ourselves.
#[derive(Clone, Copy)]
enum Known {
    NoDelay,
    KeepAlive,
}

fn known(level: &Any, option: &Any) -> Option<Known> {
    match (level.exact_int(), option.exact_int()) {
        (Some(IPPROTO_TCP), Some(TCP_NODELAY)) => Some(Known::NoDelay),
        (Some(SOL_SOCKET), Some(SO_KEEPALIVE)) => Some(Known::KeepAlive),
        _ => None,
    }
}

/// An int, a bool included.
fn small_int(value: &Any) -> Option<i64> {
    if !value.is_int() {
        return None;
    }
    value.to_i64().map_err(Raised::discard).ok()
}

fn getsockopt(this: &Inst<TransportSocket>, args: Args<'_>) -> Res<Object> {
    if !args.names.is_empty() {
        return this.inherited("getsockopt", args);
    }
    if let &[level, option] = args.positional
        && let Some(known) = known(level, option)
        && let Answers::Bare(transport) = this.answers()?
    {
        let fd = transport.common.fd.get();
        let is_set = match known {
            Known::NoDelay => sys::nodelay(fd),
            Known::KeepAlive => sys::keepalive(fd),
        };
        return is_set.map_or_else(
            |error| Err(Raised::os(&error)),
            |is_set| value::int(i64::from(is_set)),
        );
    }
    this.python_socket()?
        .getattr(&*value::text("getsockopt")?)?
        .call(args.positional)
}

fn setsockopt(this: &Inst<TransportSocket>, args: Args<'_>) -> Res<Object> {
    if !args.names.is_empty() {
        return this.inherited("setsockopt", args);
    }
    if let &[level, option, on] = args.positional
        && let Some(known) = known(level, option)
        && let Some(on @ (0 | 1)) = small_int(on)
        && let Answers::Bare(transport) = this.answers()?
    {
        let fd = transport.common.fd.get();
        let done = match known {
            Known::NoDelay => sys::set_nodelay_to(fd, on == 1),
            Known::KeepAlive => sys::set_keepalive(fd, on == 1),
        };
        return done.map_or_else(|error| Err(Raised::os(&error)), |()| Ok(value::none()));
    }
    this.python_socket()?
        .getattr(&*value::text("setsockopt")?)?
        .call(args.positional)?;
    Ok(value::none())
}

fn fileno(this: &Inst<TransportSocket>) -> Res<Object> {
    this.expose()?;
    match this.answers()? {
        Answers::Socket(sock) => sock.call_method0(&names().fileno),
        Answers::Bare(transport) => value::int(i64::from(transport.common.fd.get())),
    }
}

fn get_sock(this: &Inst<TransportSocket>) -> Res<Object> {
    this.expose()?;
    let sock = this.python_socket()?;
    this.sock.set(sock.clone());
    Ok(sock)
}

fn set_sock(this: &Inst<TransportSocket>, sock: Option<&Any>) -> Res<()> {
    this.sock.set(no_delete(sock)?.own());
    Ok(())
}

fn getsockname(this: &Inst<TransportSocket>) -> Res<Object> {
    this.address(&names().getsockname, sys::local_address)
}

fn getpeername(this: &Inst<TransportSocket>) -> Res<Object> {
    this.address(&names().getpeername, sys::peer_address)
}

fn family(this: &Inst<TransportSocket>) -> Res<Object> {
    this.family()
}

fn socket_type(this: &Inst<TransportSocket>) -> Res<Object> {
    this.socket_type()
}

fn proto(this: &Inst<TransportSocket>) -> Res<Object> {
    this.proto()
}

fn repr(this: &Inst<TransportSocket>) -> Res<Object> {
    let text = |object: &Any| object.str().map(|text| text.text_lossy());
    let fd = match this.answers()? {
        Answers::Socket(sock) => text(&*sock.call_method0(&names().fileno)?)?,
        Answers::Bare(transport) => transport.common.fd.get().to_string(),
    };
    let mut shown = vec![
        format!("<asyncio.TransportSocket fd={fd}"),
        format!("family={}", text(&*this.family()?)?),
        format!("type={}", text(&*this.socket_type()?)?),
        format!("proto={}", text(&*this.proto()?)?),
    ];
    if fd != "-1" {
        let addresses: [(&str, Look); 2] = [("laddr", getsockname), ("raddr", getpeername)];
        for (name, address) in addresses {
            match address(this) {
                Ok(address) if address.is_truthy()? => {
                    shown.push(format!("{name}={}", text(&address)?));
                }
                Ok(_) => {}
                Err(raised) if raised.matches(Kind::Os.as_any()) => raised.discard(),
                Err(raised) => return Err(raised),
            }
        }
    }
    value::text(&format!("{}>", shown.join(", ")))
}

fn init(this: &Inst<TransportSocket>, args: Args<'_>) -> Res<()> {
    this.sock
        .set(args.one("TransportSocket.__init__", c"sock")?.own());
    Ok(())
}

pub(super) fn build() -> Res<()> {
    // What the enumerations are read from.
    import("socket")?;
    TRANSPORT_SOCKET.build(&imports().transport_socket, |b: TypeBuilder<TransportSocket>| {
        b.doc(c"TransportSocket(sock)\n--\n\nThe socket of a transport, without what would disturb the transport.")
            .init(init)
            .repr(repr)
            .attribute(c"_sock", get_sock, set_sock, c"Python's socket.")
            .getter(c"family", family, c"The address family.")
            .getter(c"type", socket_type, c"The socket type.")
            .getter(c"proto", proto, c"The protocol number.")
            .method0(c"fileno", fileno, c"fileno($self, /)\n--\n\nReturn the file descriptor, or -1 once the connection is closed.")
            .method0(c"getsockname", getsockname, c"getsockname($self, /)\n--\n\nReturn the local address.")
            .method0(c"getpeername", getpeername, c"getpeername($self, /)\n--\n\nReturn the address of the peer.")
            .method(c"getsockopt", getsockopt, c"getsockopt($self, /, *args, **kwargs)\n--\n\nReturn the value of a socket option, as socket.getsockopt() does.")
            .method(c"setsockopt", setsockopt, c"setsockopt($self, /, *args, **kwargs)\n--\n\nSet a socket option, as socket.setsockopt() does.")
    })?;
    Ok(())
}
