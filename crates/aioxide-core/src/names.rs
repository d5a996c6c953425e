//! Hosts that are addresses and ports that are numbers: answered without asking anybody.
//!
//! [`numeric`] knows what `getaddrinfo` answers to the questions that nearly everybody asks, and says
//! `None` to all others: scopes, canonical names, `127.1`, protocols that do not fit the type. The
//! caller asks the C library then. So this has to be right, and never has to be complete; a
//! differential test holds it against the C library's own answers.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// `AF_UNSPEC` and the two families of the Internet, as Linux numbers them.
pub const AF_UNSPEC: i32 = 0;
/// IPv4.
pub const AF_INET: i32 = 2;
/// IPv6.
pub const AF_INET6: i32 = 10;

const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;

/// `AI_PASSIVE`, `AI_NUMERICHOST` and `AI_NUMERICSERV`: they say nothing about a numeric host and a
/// numeric port.
const HARMLESS: i32 = 0x1 | 0x4 | 0x400;

/// What was asked of `getaddrinfo`, beside host and port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// An address family, or `AF_UNSPEC`.
    pub family: i32,
    /// A socket type, or 0 for all.
    pub kind: i32,
    /// A protocol, or 0 for the type's own.
    pub protocol: i32,
    /// `AI_PASSIVE` and the others.
    pub flags: i32,
}

/// The answer: one address for one or more pairs of type and protocol, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numeric {
    /// The host.
    pub address: IpAddr,
    /// Socket types, each with its protocol.
    pub kinds: &'static [(i32, i32)],
}

impl Numeric {
    /// The address family.
    pub fn family(&self) -> i32 {
        match self.address {
            IpAddr::V4(_) => AF_INET,
            IpAddr::V6(_) => AF_INET6,
        }
    }
}

/// The answer to a question about a host that is an address, if it is beyond doubt.
#[inline]
pub fn numeric(host: &str, hints: Hints) -> Option<Numeric> {
    if !cfg!(target_os = "linux") || hints.flags & !HARMLESS != 0 {
        return None;
    }
    let kinds = kinds(hints.kind, hints.protocol)?;
    let address = IpAddr::from_str(host).ok()?;
    let answer = Numeric { address, kinds };
    if hints.family != AF_UNSPEC && hints.family != answer.family() {
        return None;
    }
    match address {
        IpAddr::V6(address) if !is_plain(address) => None,
        _ => Some(answer),
    }
}

/// The types and protocols of an answer.
fn kinds(kind: i32, protocol: i32) -> Option<&'static [(i32, i32)]> {
    match (kind, protocol) {
        (SOCK_STREAM, 0 | IPPROTO_TCP) => Some(&[(SOCK_STREAM, IPPROTO_TCP)]),
        (SOCK_DGRAM, 0 | IPPROTO_UDP) => Some(&[(SOCK_DGRAM, IPPROTO_UDP)]),
        // Other C libraries leave raw sockets out.
        (0, 0) if cfg!(target_env = "gnu") => Some(&[
            (SOCK_STREAM, IPPROTO_TCP),
            (SOCK_DGRAM, IPPROTO_UDP),
            (SOCK_RAW, 0),
        ]),
        _ => None,
    }
}

/// Whether everybody writes the address in the same way: with an IPv4 address at its end (`::ffff:1.2.3.4`,
/// `::1.2.3.4`) C libraries and Rust differ.
fn is_plain(address: Ipv6Addr) -> bool {
    address.segments()[..5].iter().any(|&part| part != 0)
        || address.is_loopback()
        || address.is_unspecified()
}

/// The number of a port that is given as text: digits, up to 65535.
#[inline]
pub fn port_number(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
