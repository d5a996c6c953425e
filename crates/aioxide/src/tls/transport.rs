//! Methods of the transport that a protocol under TLS gets.
//!
//! asyncio's class has `__slots__` in its bases, so that no core fits beside it: the methods are
//! functions, and find what they need as attributes of the transport.

use super::protocol::SslProtocol;
use crate::ffi::buffer::bytes_slice;
use crate::ffi::call::Signature;
use crate::ffi::function;
use crate::ffi::method::flag;
use crate::ffi::module::{Module, imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};
use crate::transport::StreamTransport;

const WRITE: Signature<2> = Signature {
    function: "write",
    parameters: [c"self", c"data"],
    positional: 2,
    required: 2,
};
const IS_CLOSING: Signature<1> = Signature {
    function: "is_closing",
    parameters: [c"self"],
    positional: 1,
    required: 1,
};

fn without_self() -> Raised {
    Raised::type_error("a method of a transport was called without one")
}

fn write(args: Args<'_>) -> Res<Object> {
    let (transport, data) = match (args.positional, args.names.is_empty()) {
        (&[transport, data], true) => (transport, data),
        _ => match args.bind(&WRITE)? {
            [Some(transport), Some(data)] => (transport, data),
            _ => return Err(without_self()),
        },
    };
    if data.is_exact_bytes()
        && let Some(slice) = bytes_slice(data)
        && let Some(protocol) = transport.getattr_opt(&names()._ssl_protocol)?
        && let Some(native) = protocol.downcast::<SslProtocol>()
    {
        if !slice.is_empty() {
            native.write(data, slice)?;
        }
        return Ok(value::none());
    }
    let method = imports().ssl_transport.getattr(&names().write)?;
    method.call(&[transport, data])
}

fn is_closing(args: Args<'_>) -> Res<Object> {
    let [Some(transport)] = args.bind(&IS_CLOSING)? else {
        return Err(without_self());
    };
    // asyncio's own `StreamWriter.drain()` asks nothing else of the transport.
    flush_connection(transport)?;
    let closed = transport.getattr(&names()._closed)?.is_truthy()?;
    // From 3.12.8, 3.13.1 and 3.14 on, the connection below is asked too.
    if closed || !imports().ssl_closes_with_transport {
        return flag(closed);
    }
    let protocol = transport.getattr(&names()._ssl_protocol)?;
    match protocol.downcast::<SslProtocol>() {
        Some(native) => flag(native.is_transport_closing()?),
        None => protocol.call_method0(&names()._is_transport_closing),
    }
}

/// The connection below a transport that is under TLS, below all of it where TLS runs over TLS; the
/// transport itself if it is not.
fn connection_of(transport: &Any) -> Res<Option<Object>> {
    let mut below = transport.own();
    while below.is_subtype_of(&imports().ssl_transport)
        && let Some(protocol) = below.getattr_opt(&names()._ssl_protocol)?
    {
        let native = protocol.downcast::<SslProtocol>();
        match native.and_then(Inst::<SslProtocol>::below) {
            Some(next) => below = next,
            None => return Ok(None),
        }
    }
    Ok(Some(below))
}

/// Flushes the connection below a transport, or the transport itself if it is not under TLS.
pub(crate) fn flush_connection(transport: &Any) -> Res<()> {
    if let Some(native) = transport.downcast::<StreamTransport>() {
        return native.uncork();
    }
    match connection_of(transport)? {
        Some(below) => below
            .downcast::<StreamTransport>()
            .map_or(Ok(()), Inst::<StreamTransport>::uncork),
        None => Ok(()),
    }
}

pub(super) fn export(module: &Module) -> Res<()> {
    let write = function::create(
        "write",
        write,
        "Encrypt and send data, now or later. Never blocks.",
    )?;
    module.add("_write_tls", &write)?;
    let is_closing = function::create(
        "is_closing",
        is_closing,
        "Whether the transport closes or is closed.",
    )?;
    module.add("_is_tls_closing", &is_closing)
}
