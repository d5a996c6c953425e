//! The arguments of a lookup, as long as they are plain.
//!
//! Plain is what the standard library takes without a conversion that could run Python or fail:
//! `None`, and exactly `str`, `bytes` and `int`, without NUL and within their limits. Everything
//! else is `None` here, and the standard library's to refuse or to take.

use std::ffi::CString;
use std::net::SocketAddr;

use aioxide_core::names::{Hints, port_number};
use aioxide_driver::resolver::Query;

use crate::ffi::buffer::bytes_slice;
use crate::ffi::{Any, Raised, Res, value};

/// The arguments of `getaddrinfo`, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a> {
    pub(super) host: &'a Any,
    pub(super) port: &'a Any,
    pub(super) hints: Hints,
}

/// A C `int` out of an argument; `None` for everything that is not plainly one.
fn c_int(number: &Any) -> Option<i32> {
    if !number.is_int() {
        return None;
    }
    match number.to_i64() {
        Ok(number) => i32::try_from(number).ok(),
        Err(raised) => {
            raised.discard();
            None
        }
    }
}

impl<'a> Arguments<'a> {
    /// Of host, port, family, type, protocol and flags; the last four may be left out.
    #[inline]
    pub(super) fn read(arguments: [Option<&'a Any>; 6]) -> Option<Arguments<'a>> {
        let [host, port, family, kind, protocol, flags] = arguments;
        let number = |argument: Option<&Any>| argument.map_or(Some(0), c_int);
        Some(Arguments {
            host: host?,
            port: port?,
            hints: Hints {
                family: number(family)?,
                kind: number(kind)?,
                protocol: number(protocol)?,
                flags: number(flags)?,
            },
        })
    }

    /// The port, if it is a number from 0 to 65535 or `None`.
    #[inline]
    pub(super) fn port_number(&self) -> Option<u16> {
        if self.port.is_none() {
            return Some(0);
        }
        if let Some(text) = self.port.exact_text() {
            return port_number(text);
        }
        u16::try_from(exact_int(self.port)?).ok()
    }

    /// The question for the C library. Only encoding a host that is not ASCII can fail.
    pub(super) fn query(&self) -> Res<Option<Query>> {
        let Some(service) = self.service() else {
            return Ok(None);
        };
        let Some(host) = self.encoded_host()? else {
            return Ok(None);
        };
        let hints = self.hints;
        Ok(Some(Query {
            host,
            service,
            family: hints.family,
            kind: hints.kind,
            protocol: hints.protocol,
            flags: hints.flags,
        }))
    }

    /// `None` if it is not plain, or a service that may be none.
    #[allow(clippy::option_option, reason = "the argument may be None")]
    fn service(&self) -> Option<Option<CString>> {
        if self.port.is_none() {
            return Some(None);
        }
        if let Some(text) = self.port.exact_text() {
            return CString::new(text).ok().map(Some);
        }
        if let Some(octets) = exact_bytes(self.port) {
            return CString::new(octets).ok().map(Some);
        }
        let number = exact_int(self.port)?;
        CString::new(number.to_string()).ok().map(Some)
    }

    /// As `service`.
    #[allow(clippy::option_option, reason = "the argument may be None")]
    fn encoded_host(&self) -> Res<Option<Option<CString>>> {
        if self.host.is_none() {
            return Ok(Some(None));
        }
        if let Some(octets) = exact_bytes(self.host) {
            return Ok(CString::new(octets).ok().map(Some));
        }
        let Some(text) = self.host.exact_text() else {
            return Ok(None);
        };
        if text.is_ascii() {
            if !has_good_labels(text) {
                return Ok(None);
            }
            return Ok(CString::new(text).ok().map(Some));
        }
        let encode = value::text("encode")?;
        let encoded = self.host.call_method1(&encode, &*value::text("idna")?)?;
        Ok(exact_bytes(&encoded)
            .and_then(|octets| CString::new(octets).ok())
            .map(Some))
    }
}

/// What the codec `idna` demands of an ASCII name.
fn has_good_labels(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    labels.next().is_none_or(|last| last.len() < 64)
        && labels.all(|label| (1..64).contains(&label.len()))
}

fn exact_int(number: &Any) -> Option<i64> {
    if !number.is_exact_int() {
        return None;
    }
    number.to_i64().map_err(Raised::discard).ok()
}

fn exact_bytes(object: &Any) -> Option<&[u8]> {
    object.is_exact_bytes().then(|| bytes_slice(object))?
}

/// The address that `getnameinfo` is asked about, if it is a plain one.
pub(super) fn socket_address(address: &Any) -> Option<SocketAddr> {
    if !address.is_exact_tuple() {
        return None;
    }
    let items = address.tuple_items();
    let (host, port, rest) = match items {
        [host, port] => (*host, *port, None),
        [host, port, flow, scope] => (*host, *port, Some((*flow, *scope))),
        _ => return None,
    };
    let host = host.exact_text().filter(|host| host.is_ascii())?;
    let port = u16::try_from(exact_int(port)?).ok()?;
    let query = Query {
        host: Some(CString::new(host).ok()?),
        service: None,
        kind: 2,
        ..Query::default()
    };
    let found = query.look_up_numeric()?;
    let [found] = found.as_slice() else {
        return None;
    };
    match (found.address, rest) {
        (SocketAddr::V4(mut found), None) => {
            found.set_port(port);
            Some(found.into())
        }
        (SocketAddr::V6(mut found), rest) => {
            let (flow, scope) = match rest {
                Some((flow, scope)) => (exact_int(flow)?, exact_int(scope)?),
                None => (0, 0),
            };
            found.set_port(port);
            found.set_flowinfo(u32::try_from(flow).ok().filter(|&flow| flow <= 0xf_ffff)?);
            found.set_scope_id(u32::try_from(scope).ok()?);
            Some(found.into())
        }
        (SocketAddr::V4(_), Some(_)) => None,
    }
}

/// The flags of a `getnameinfo`, if they are plain.
pub(super) fn flags(flags: Option<&Any>) -> Option<i32> {
    flags.map_or(Some(0), c_int)
}

/// Tells the audit hooks what the standard library would tell them.
pub(super) fn audit(arguments: &Arguments<'_>) -> Res<()> {
    let hints = arguments.hints;
    let numbers = [hints.family, hints.kind, hints.protocol];
    crate::ffi::audit::getaddrinfo(arguments.host, arguments.port, numbers)
}

/// As [`audit`], for `getnameinfo`.
pub(super) fn audit_name(address: &Any) -> Res<()> {
    crate::ffi::audit::getnameinfo(address)
}
