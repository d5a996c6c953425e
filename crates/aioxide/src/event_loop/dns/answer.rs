//! Python's values for what a lookup has found.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use aioxide_core::names::Numeric;
use aioxide_driver::resolver::{Found, LookupError};

use super::question::Arguments;
use super::stock;
use crate::ffi::{Any, Object, Raised, Res, value};

/// The list for a host that is an address.
#[inline]
pub(super) fn numeric(answer: &Numeric, arguments: &Arguments<'_>, port: u16) -> Res<Object> {
    let port = if arguments.port.is_exact_int() {
        arguments.port.own()
    } else {
        value::int(port.into())?
    };
    let (family, address) = match answer.address {
        // A dotted quad is written in one way only.
        IpAddr::V4(_) => (
            stock::family(false),
            value::tuple(&[arguments.host, &port])?,
        ),
        IpAddr::V6(ip) => (
            stock::family(true),
            v6_address(&*v6_text(ip)?, &port, 0, 0)?,
        ),
    };
    let name = value::text("")?;
    let mut list = Vec::with_capacity(answer.kinds.len());
    for &(kind, protocol) in answer.kinds {
        let (kind, protocol) = (stock::kind(kind)?, value::int(protocol.into())?);
        list.push(value::tuple(&[family, &kind, &protocol, &name, &address])?);
    }
    value::list(&list)
}

fn v6_address(host: &Any, port: &Any, flow: u32, scope: u32) -> Res<Object> {
    let (flow, scope) = (value::int(flow.into())?, value::int(scope.into())?);
    value::tuple(&[host, port, &flow, &scope])
}

fn v6_text(ip: Ipv6Addr) -> Res<Object> {
    let mut buffer = [0_u8; 48];
    let mut rest = &mut buffer[..];
    let written = write!(rest, "{ip}");
    let left = rest.len();
    match (written, std::str::from_utf8(&buffer[..48 - left])) {
        (Ok(()), Ok(text)) => value::text(text),
        _ => value::text(&ip.to_string()),
    }
}

/// An address as the C library writes it, which is not always as Rust does.
fn ip_text(ip: IpAddr) -> Res<Object> {
    match ip {
        IpAddr::V4(ip) => value::text(&ip.to_string()),
        IpAddr::V6(ip) => value::text(&aioxide_driver::resolver::ipv6_text(&ip)),
    }
}

/// The list for what the C library has found.
pub(super) fn addresses(found: &[Found]) -> Res<Object> {
    let mut list = Vec::with_capacity(found.len());
    for entry in found {
        let host = ip_text(entry.address.ip())?;
        let port = value::int(entry.address.port().into())?;
        let (family, address) = match entry.address {
            SocketAddr::V4(_) => (stock::family(false), value::tuple(&[&host, &port])?),
            SocketAddr::V6(v6) => (
                stock::family(true),
                v6_address(&host, &port, v6.flowinfo(), v6.scope_id())?,
            ),
        };
        let kind = stock::kind(entry.kind)?;
        let protocol = value::int(entry.protocol.into())?;
        let name = value::utf8(&entry.canonical_name)?;
        list.push(value::tuple(&[family, &kind, &protocol, &name, &address])?);
    }
    value::list(&list)
}

/// The pair of host and service.
pub(super) fn name(host: &[u8], service: &[u8]) -> Res<Object> {
    value::tuple(&[&*value::file_system_text(host)?, &*value::utf8(service)?])
}

/// The standard library's exception.
pub(super) fn failure(error: &LookupError) -> Res<Object> {
    match error {
        LookupError::Name(code) => stock::gaierror(*code, &LookupError::text(*code)),
        LookupError::System(error) => Ok(Raised::os(error).take()),
    }
}
