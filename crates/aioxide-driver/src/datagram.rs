//! Datagrams: received with their sender's address, sent to an address.
//!
//! The rules are those of [`sys`](crate::sys): each function is one system call, nothing blocks, nothing
//! is retried. An [`Address`] is the kernel's own bytes, so that answering a sender converts
//! nothing; [`host_text`] and the functions of [`Address`] say what Python's `socket` would make of them.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

use rustix::net::{self, RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix};

use crate::raw_fd::with_fd;

/// No `SIGPIPE`, and no blocking.
const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The most bytes that the text of an IP address has: eight groups of four, with colons.
pub const HOST_TEXT: usize = 39;

/// Whose datagram it is, or who gets one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(SocketAddrAny);

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalName {
    /// A path of the file system, without the terminator.
    Path(Vec<u8>),
    /// A name outside of the file system, with the zero byte that it begins with.
    Abstract(Vec<u8>),
}

impl Address {
    /// The address, if it belongs to one of the Internet families.
    #[inline]
    pub fn internet(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(self.0.clone()).ok()
    }

    /// The name, if it is that of a Unix socket.
    pub fn local(&self) -> Option<LocalName> {
        let unix = SocketAddrUnix::try_from(self.0.clone()).ok()?;
        if let Some(name) = unix.abstract_name() {
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            return Some(LocalName::Abstract(bytes));
        }
        unix.path_bytes().map(|path| LocalName::Path(path.into()))
    }
}

impl From<SocketAddr> for Address {
    #[inline]
    fn from(address: SocketAddr) -> Address {
        Address(address.into())
    }
}

/// Receives one datagram; what does not fit into `buffer` is lost. A Unix socket without a name has
/// no address.
#[inline]
pub fn recv_from(fd: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<Address>)> {
    let (count, _, sender) = with_fd(fd, |fd| net::recvfrom(fd, buffer, RecvFlags::DONTWAIT))?;
    Ok((count, sender.map(Address)))
}

/// Sends one datagram.
#[inline]
pub fn send_to(fd: RawFd, data: &[u8], receiver: &Address) -> io::Result<usize> {
    with_fd(fd, |fd| net::sendto(fd, data, SEND, &receiver.0))
}

/// The text of an IP address as `inet_ntop` writes it, and therefore Python.
///
/// Rust writes the same, but for IPv6 addresses whose first 96 bits alone are zero: the C library
/// takes the rest for an IPv4 address.
#[inline]
pub fn host_text(host: IpAddr, buffer: &mut [u8; HOST_TEXT]) -> &str {
    let length = match host {
        IpAddr::V4(host) => write_v4(host, buffer),
        IpAddr::V6(host) => write_v6(host, buffer),
    };
    // Digits, letters, dots and colons only.
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

fn write_v4(host: Ipv4Addr, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    let mut put = |byte: u8| {
        buffer[length] = byte;
        length += 1;
    };
    for (index, octet) in host.octets().into_iter().enumerate() {
        if index > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    length
}

fn write_v6(host: Ipv6Addr, buffer: &mut [u8]) -> usize {
    let octets = host.octets();
    let (zeros, rest) = octets.split_at(12);
    if zeros.iter().all(|octet| *octet == 0)
        && let &[a, b, c, d] = rest
        && (a, b) != (0, 0)
    {
        buffer[..2].copy_from_slice(b"::");
        return 2 + write_v4(Ipv4Addr::new(a, b, c, d), &mut buffer[2..]);
    }
    let mut left = &mut *buffer;
    let room = left.len();
    // The longest text fits.
    let _ = write!(left, "{host}");
    room - left.len()
}
