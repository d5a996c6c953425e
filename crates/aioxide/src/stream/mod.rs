//! Streams: `StreamReader`, `StreamWriter`, `StreamReaderProtocol`.
//!
//! The classes that Python sees are made in `streams.py`, each of a native core here and asyncio's
//! class of the same name, which says what it is but runs no code.
//!
//! * `reader` is the core of a StreamReader: what came, who waits for it; `surface` is its Python
//!   side, `storage` where the bytes are.
//! * `read` is what `read`, `readexactly`, `readline`, `readuntil` and `async for` give back.
//! * `protocol` is the core of a StreamReaderProtocol, between a transport and a reader.
//! * `writer` is the core of a StreamWriter, `drain` what its `drain` and `wait_closed` give back.
//!
//! # Who may touch what
//!
//! | what came | where it goes |
//! |---|---|
//! | a reader waits, nothing is stored, the new bytes are enough | into a `bytes` of the right size, which lies in the waiting [`read::ReadOp`] until its task runs |
//! | anything else | the reader's storage; whoever waits is woken and looks there |
//!
//! A read that is cancelled or closed after bytes were laid into it puts them back: nothing is lost.
//! The transport of ours hands its receive memory to the protocol of ours as a slice
//! (`StreamReader::take_in`), so that in the first case the bytes are copied once.
//!
//! A class derived from ours may override anything, and instrumentation may patch it: then everything
//! goes through Python's methods, as with asyncio's classes. [`hooks`](crate::hooks) notices.

mod drain;
mod protocol;
mod read;
mod reader;
mod storage;
mod surface;
mod writer;

use crate::ffi::Res;
use crate::ffi::module::Module;

pub(crate) use drain::DrainOp;
pub(crate) use protocol::StreamProtocol;
pub(crate) use read::ReadOp;
pub(crate) use reader::StreamReader;
pub(crate) use writer::StreamWriter;

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    surface::build()?;
    read::build()?;
    protocol::build()?;
    drain::build()?;
    writer::build()
}

/// What the module shows to the Python package.
pub(crate) fn export(module: &Module) -> Res<()> {
    use crate::ffi::Native;
    module.add("StreamReaderCore", StreamReader::class().as_any())?;
    module.add("StreamReaderProtocolCore", StreamProtocol::class().as_any())?;
    module.add("StreamWriterCore", StreamWriter::class().as_any())
}
