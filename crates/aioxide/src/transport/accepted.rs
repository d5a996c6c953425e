//! An accepted connection whose socket nobody has asked for yet.
//!
//! Python's socket, asyncio's wrapper of it, both addresses and the dict of them are three
//! quarters of an idle connection's memory, and most of the cost of accepting it. A protocol
//! seldom looks at any of it. So an accepted socket stays a bare descriptor, which we close
//! ourselves, until Python asks for the socket; and the dict behind `get_extra_info` is filled when
//! it is read. What would not be known after closing is noted at the last moment.

use std::cell::Cell;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use aioxide_driver::datagram::{HOST_TEXT, host_text};
use aioxide_driver::sys;

use super::StreamTransport;
use super::create::address;
use crate::event_loop::descriptor;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Res, value};

/// `socket.SOCK_STREAM | socket.SOCK_NONBLOCK`: the second tells Python that the kernel knows.
const STREAM_NONBLOCKING: i64 = 1 | 0o4000;

pub(super) const AF_UNIX: i64 = 1;
const AF_INET: u16 = 2;

/// What the kernel told when it was accepted.
#[derive(Default)]
pub(super) struct Accepted {
    /// The descriptor, as long as it is ours alone.
    fd: Cell<Option<OwnedFd>>,
    /// `extra` lacks the two addresses.
    lacks_addresses: Cell<bool>,
    /// `extra` lacks the socket.
    lacks_socket: Cell<bool>,
    family: Cell<u16>,
    protocol: Cell<u16>,
    /// The peer, of IPv4. One of IPv6 is in `extra` from the start.
    peer: Cell<Option<SocketAddrV4>>,
    /// Our own address, once the descriptor is closed.
    local: Cell<Option<SocketAddrV4>>,
}

/// The family and the protocol of a listening socket, which those of its connections are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketKind {
    pub(super) family: i64,
    pub(super) protocol: i64,
}

impl SocketKind {
    /// A `socket.socket` of this kind for a descriptor, which it closes from now on.
    pub(super) fn socket(self, fd: OwnedFd) -> Res<Object> {
        let number = value::int(i64::from(fd.as_raw_fd()))?;
        let sock = self.make(&number)?;
        let _ = fd.into_raw_fd();
        Ok(sock)
    }

    fn make(self, fileno: &Any) -> Res<Object> {
        imports().socket_class.call(&[
            &*value::int(self.family)?,
            &*value::int(STREAM_NONBLOCKING)?,
            &*value::int(self.protocol)?,
            fileno,
        ])
    }
}

/// An address as Python's `socket` gives it.
pub(super) fn address_tuple(address: &SocketAddr) -> Res<Object> {
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

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("bare", &self.is_bare())
            .finish_non_exhaustive()
    }
}

impl Accepted {
    /// Whether the descriptor is open and ours alone.
    #[inline]
    pub(super) fn is_bare(&self) -> bool {
        let fd = self.fd.take();
        let bare = fd.is_some();
        self.fd.set(fd);
        bare
    }

    pub(super) fn kind(&self) -> SocketKind {
        SocketKind {
            family: self.family.get().into(),
            protocol: self.protocol.get().into(),
        }
    }
}

impl Inst<StreamTransport> {
    /// Takes over what was accepted. Of a kind that has no such numbers it is `Err`, with the
    /// descriptor: then everything is made at once.
    pub(super) fn accept(
        &self,
        fd: OwnedFd,
        kind: SocketKind,
        peer: Option<&SocketAddr>,
    ) -> Res<Result<(), OwnedFd>> {
        let (Ok(family), Ok(protocol)) = (kind.family.try_into(), kind.protocol.try_into()) else {
            return Ok(Err(fd));
        };
        let accepted = &self.accepted;
        match peer {
            None => {}
            Some(SocketAddr::V4(peer)) => accepted.peer.set(Some(*peer)),
            Some(peer @ SocketAddr::V6(_)) => {
                let extra = value::dict()?;
                extra.dict_set(&names().peername, &*address_tuple(peer)?)?;
                self.common.extra.set(extra);
            }
        }
        accepted.family.set(family);
        accepted.protocol.set(protocol);
        accepted.lacks_addresses.set(true);
        accepted.lacks_socket.set(true);
        self.common.fd.set(fd.as_raw_fd());
        accepted.fd.set(Some(fd));
        Ok(Ok(()))
    }

    /// Takes over a connected socket of Python's, without making what `get_extra_info` gives before
    /// somebody asks. `None` if it is of a kind for which everything is made at once, else its family.
    pub(super) fn take_connected(&self, sock: &Any, extra: &Any) -> Res<Option<i64>> {
        if !sock.type_is(&imports().socket_class) || extra.is_truthy()? {
            return Ok(None);
        }
        let fd = descriptor(sock)?;
        let (Ok(Some(SocketAddr::V4(local))), Ok(Some(SocketAddr::V4(peer)))) =
            (sys::local_address(fd), sys::peer_address(fd))
        else {
            return Ok(None);
        };
        let Ok(protocol) = sock.getattr(&names().proto)?.to_i64()?.try_into() else {
            return Ok(None);
        };
        let accepted = &self.accepted;
        accepted.family.set(AF_INET);
        accepted.protocol.set(protocol);
        accepted.local.set(Some(local));
        accepted.peer.set(Some(peer));
        accepted.lacks_addresses.set(true);
        accepted.lacks_socket.set(true);
        self.common.fd.set(fd);
        self.common.file.set(sock.own());
        Ok(Some(AF_INET.into()))
    }

    /// Whether the socket is open, in Python's hands or in ours.
    pub(super) fn is_open(&self) -> bool {
        self.common.file.is_some() || self.accepted.is_bare()
    }

    /// Python's socket, made now if nobody has asked before; `None` once it is closed.
    pub(super) fn python_socket(&self) -> Res<Option<Object>> {
        if let Some(fd) = self.accepted.fd.take() {
            // Once a program has the socket, it may close it.
            if self.accepted.lacks_addresses.get() {
                self.note_local_address(&fd)?;
            }
            self.common.file.set(self.accepted.kind().socket(fd)?);
            if self.accepted.kind().family == AF_UNIX {
                self.complete_addresses()?;
            }
        }
        Ok(self.common.file.get())
    }

    /// `extra` has everything but the wrapper of this socket.
    pub(super) fn owe_socket(&self, sock: &Any) -> Res<bool> {
        let family = sock.getattr(&names().family)?.to_i64()?.try_into();
        let protocol = sock.getattr(&names().proto)?.to_i64()?.try_into();
        let (Ok(family), Ok(protocol)) = (family, protocol) else {
            return Ok(false);
        };
        self.accepted.family.set(family);
        self.accepted.protocol.set(protocol);
        self.accepted.lacks_socket.set(true);
        Ok(true)
    }

    /// What `get_extra_info("socket")` gives, unless it is in `extra`.
    pub(super) fn extra_socket(&self) -> Res<Option<Object>> {
        if !self.accepted.lacks_socket.get() {
            return Ok(None);
        }
        if self.is_open() {
            return self.transport_socket().map(Some);
        }
        // For the same answer to the next one who asks.
        self.keep_socket()?;
        Ok(None)
    }

    /// Puts the socket into `extra`.
    pub(super) fn keep_socket(&self) -> Res<()> {
        if self.accepted.lacks_socket.get() {
            let extra = self.common.extra.get().map_or_else(value::dict, Ok)?;
            extra.dict_set(&names().socket, &*self.transport_socket()?)?;
            self.accepted.lacks_socket.set(false);
            self.common.extra.set(extra);
        }
        Ok(())
    }

    /// Puts into `extra` what asyncio has there from the start.
    pub(super) fn complete_extra(&self) -> Res<()> {
        self.complete_addresses()?;
        self.keep_socket()
    }

    /// Puts the two addresses into `extra`.
    pub(super) fn complete_addresses(&self) -> Res<()> {
        let accepted = &self.accepted;
        if !accepted.lacks_addresses.get() {
            return Ok(());
        }
        let names = names();
        let extra = self.common.extra.get().map_or_else(value::dict, Ok)?;
        if accepted.kind().family == AF_UNIX {
            // Paths, abstract names and none at all: Python knows how to show them.
            if let Some(sock) = self.python_socket()? {
                extra.dict_set(&names.sockname, &*address(&sock, &names.getsockname)?)?;
                extra.dict_set(&names.peername, &*address(&sock, &names.getpeername)?)?;
            }
            accepted.lacks_addresses.set(false);
            self.common.extra.set(extra);
            return Ok(());
        }
        let sockname = match accepted.local.get() {
            Some(local) => Some(local.into()),
            // Once it is closed, the number may be another socket's.
            None if self.is_open() => sys::local_address(self.common.fd.get()).ok().flatten(),
            None => None,
        };
        if extra.dict_get(&names.sockname)?.is_none() {
            let sockname =
                sockname.map_or_else(|| Ok(value::none()), |name| address_tuple(&name))?;
            extra.dict_set(&names.sockname, &sockname)?;
        }
        if let Some(peer) = accepted.peer.get() {
            extra.dict_set(&names.peername, &*address_tuple(&peer.into())?)?;
        }
        accepted.lacks_addresses.set(false);
        self.common.extra.set(extra);
        Ok(())
    }

    /// Closes a descriptor that is ours alone. Whether it was.
    pub(super) fn close_bare(&self) -> Res<bool> {
        if self.accepted.kind().family == AF_UNIX && self.accepted.is_bare() {
            // Notes the addresses, for which Python's socket is made: that one is to be closed.
            self.python_socket()?;
        }
        let Some(fd) = self.accepted.fd.take() else {
            return Ok(false);
        };
        if self.accepted.lacks_addresses.get() {
            self.note_local_address(&fd)?;
        }
        drop(fd);
        Ok(true)
    }

    fn note_local_address(&self, fd: &OwnedFd) -> Res<()> {
        match sys::local_address(fd.as_raw_fd()) {
            Ok(Some(SocketAddr::V4(local))) => self.accepted.local.set(Some(local)),
            Ok(Some(local @ SocketAddr::V6(_))) => {
                let extra = self.common.extra.get().map_or_else(value::dict, Ok)?;
                extra.dict_set(&names().sockname, &*address_tuple(&local)?)?;
                self.common.extra.set(extra);
            }
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }
}

/// What is left of a socket that was closed before anybody asked for it.
pub(super) fn closed_socket(kind: SocketKind) -> Res<Object> {
    let sock = kind.make(value::none_ref())?;
    sock.call_method0(&names().close)?;
    Ok(sock)
}
