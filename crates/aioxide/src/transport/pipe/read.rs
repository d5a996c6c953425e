//! The reading end.

use aioxide_driver::sys::{self, FileKind};

use super::super::Event;
use super::super::common::{Common, Transport};
use super::super::reader::{self, is_not_ready};
use super::{description, finalize_unclosed, methods, open, signature};
use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::module::{import, names};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Visit, value};
use crate::tuning;

/// asyncio's `max_size`: so much is read for one event, then others have their turn.
const MAX_READ: usize = 256 * 1024;
const EIO: i64 = 5;
const READ_ERROR: &str = "Fatal read error on pipe transport";

/// The state behind `aioxide.ReadPipeTransport`.
#[derive(Debug, Default)]
pub(crate) struct ReadPipeTransport {
    common: Common,
}

static READ_PIPE_TRANSPORT: Class<ReadPipeTransport> = Class::new(16);

impl Native for ReadPipeTransport {
    const NAME: &'static std::ffi::CStr = c"aioxide.ReadPipeTransport";
    const FINALIZER: bool = true;
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &READ_PIPE_TRANSPORT
    }
    fn empty() -> Self {
        ReadPipeTransport::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.common.visit(visit);
    }
    fn clear(&self) {
        self.common.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.common.file.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        finalize_unclosed(this);
    }
}

impl Transport for ReadPipeTransport {
    fn common(&self) -> &Common {
        &self.common
    }
    fn entry(this: Own<Self>, event: Event) -> Entry {
        Entry::ReadPipe(this, event)
    }
    fn watcher(this: Own<Self>) -> Watcher {
        Watcher::ReadPipe(this)
    }
    fn on_ready(this: &Inst<Self>, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        match event {
            Event::Readable => this.read_ready(core),
            _ => Ok(()),
        }
    }
    /// `EIO` is how a terminal says that its other end is gone.
    fn is_expected(exception: &Any) -> bool {
        if !exception.is_subtype_of(Kind::Os.as_any()) {
            return false;
        }
        exception
            .getattr(&names().errno)
            .and_then(|errno| errno.to_i64())
            .map_err(Raised::discard)
            == Ok(EIO)
    }
    fn release(this: &Inst<Self>) -> Res<()> {
        this.release_common()
    }
}

impl Inst<ReadPipeTransport> {
    /// Reads as long as there is more than one call takes, up to `MAX_READ`.
    fn read_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        let mut total = 0;
        // The protocol may pause, close or hand over to another protocol.
        while self.common.reading.get()
            && let Some(protocol) = self.common.protocol.get()
        {
            let room = tuning::RECEIVE.min(MAX_READ - total);
            let read = {
                let mut scratch = core.scratch();
                match sys::read(self.common.fd.get(), &mut scratch[..room]) {
                    Ok(count) => Ok((value::bytes(&scratch[..count])?, count)),
                    Err(error) => Err(error),
                }
            };
            let count = match read {
                Ok((_, 0)) => return self.read_eof(core, &protocol),
                Ok((data, count)) => {
                    protocol.call_method1(&names().data_received, &data)?;
                    count
                }
                Err(error) if is_not_ready(&error) => return Ok(()),
                Err(error) => return self.fatal_error(Raised::os(&error).take(), READ_ERROR),
            };
            total += count;
            if count < room || total >= MAX_READ {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read_eof(&self, core: &Inst<LoopCore>, protocol: &Any) -> Res<()> {
        if core.is_debug() {
            self.log(&*value::text("info")?, "%r was closed by peer")?;
        }
        self.common.closing.set(true);
        self.stop_reading(core);
        let eof_received = protocol.getattr(&names().eof_received)?;
        self.call_soon(core, &eof_received, &[])?;
        self.force_close(None)
    }
}

fn close(this: &Inst<ReadPipeTransport>) -> Res<Object> {
    if !this.common.closing.get() {
        this.force_close(None)?;
    }
    Ok(value::none())
}

fn repr(this: &Inst<ReadPipeTransport>) -> Res<Object> {
    let info = description(this, this.common.reading.get())?;
    value::text(&format!("<{}>", info.join(" ")))
}

const INIT: Signature<6> = signature("ReadPipeTransport");

fn init(this: &Inst<ReadPipeTransport>, args: Args<'_>) -> Res<()> {
    let refusal = "Pipe transport is for pipes/sockets only.";
    open(this, &args, &INIT, refusal, |_: FileKind| true)
}

pub(super) fn build() -> Res<()> {
    let base = import("asyncio.transports")?.getattr(&*value::text("ReadTransport")?)?;
    let class = READ_PIPE_TRANSPORT.build(&base, |b| {
        let b = b
            .doc(c"ReadPipeTransport(loop, pipe, protocol, waiter=None, extra=None, context=None)\n--\n\nThe reading end of a pipe with its protocol. The loop makes them.")
            .init(init)
            .repr(repr)
            .method0(c"close", close, c"close($self, /)\n--\n\nRead nothing more, then call connection_lost(None).");
        reader::pausing(methods(b))
    })?;
    class.setattr(&*value::text("max_size")?, &*value::uint(MAX_READ as u64)?)
}
