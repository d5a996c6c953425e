//! TLS: between a transport of ours and a protocol, around OpenSSL as Python's `ssl` has it.
//!
//! asyncio's `SSLProtocol` is a protocol to the connection below and makes a transport for the protocol
//! above. The classes of `tls.py` derive from a core here and from asyncio's class. What runs once per
//! connection (handshake, shutdown, errors, time limits) stays asyncio's, and sees the cores' fields as
//! the attributes it knows. What runs per message is here:
//!
//! * `protocol`: what has come goes into OpenSSL and out of it to the protocol above; what that
//!   writes goes in and out to the transport below.
//! * `transport`: `write` and `is_closing` of the transport above.
//!
//! Rules:
//!
//! 1. **Whatever is not as usual is asyncio's**: a method that somebody has replaced ([`hooks`](crate::hooks)), an
//!    SSL object of another class, a connection that does not run. Then each method here calls the one it
//!    has overridden.
//! 2. **No memory is held while nothing comes**: what is received lies in the loop's buffer, where
//!    asyncio's protocol has a quarter of a mebibyte for each connection.
//! 3. **OpenSSL is asked only for what can be there.** A question in vain costs an exception, as much as
//!    all the rest of a small message.

mod protocol;
mod transport;

use crate::ffi::Res;
use crate::ffi::module::Module;

pub(crate) use protocol::SslProtocol;
pub(crate) use transport::flush_connection;

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    protocol::build()
}

/// What the module shows to the Python package.
pub(crate) fn export(module: &Module) -> Res<()> {
    use crate::ffi::Native;
    module.add("SSLProtocolCore", SslProtocol::class().as_any())?;
    transport::export(module)
}
