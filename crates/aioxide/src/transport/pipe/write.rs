//! The writing end.

use std::cell::Cell;
use std::io;

use aioxide_core::flow_control::FlowControl;
use aioxide_driver::sys::{self, FileKind};

use super::super::Event;
use super::super::closing;
use super::super::common::{Common, Transport};
use super::super::flow::{self, Outgoing, Sends};
use super::super::out_queue::Chunk;
use super::super::reader::is_not_ready;
use super::super::writer::SILENT_WRITES;
use super::{description, finalize_unclosed, methods, open, signature};
use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::buffer::{Buffer, bytes_slice, is_bytes_like};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Visit, value};

const WRITE_ERROR: &str = "Fatal write error on pipe transport";
const EPIPE: i32 = 32;

/// The state behind `aioxide.WritePipeTransport`.
#[derive(Debug, Default)]
pub(crate) struct WritePipeTransport {
    common: Common,
    out: Outgoing,
    /// asyncio's `_conn_lost`: a failed write, and then those to nobody.
    ignored: Cell<u32>,
}

static WRITE_PIPE_TRANSPORT: Class<WritePipeTransport> = Class::new(16);

impl Native for WritePipeTransport {
    const NAME: &'static std::ffi::CStr = c"aioxide.WritePipeTransport";
    const FINALIZER: bool = true;
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &WRITE_PIPE_TRANSPORT
    }
    fn empty() -> Self {
        WritePipeTransport::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.common.visit(visit);
        self.out.visit(visit);
    }
    fn clear(&self) {
        self.common.clear();
        self.out.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.common.file.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        finalize_unclosed(this);
    }
}

impl Transport for WritePipeTransport {
    fn common(&self) -> &Common {
        &self.common
    }
    fn entry(this: Own<Self>, event: Event) -> Entry {
        Entry::WritePipe(this, event)
    }
    fn watcher(this: Own<Self>) -> Watcher {
        Watcher::WritePipe(this)
    }
    fn on_ready(this: &Inst<Self>, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        match event {
            Event::Readable => this.closed_by_peer(core),
            _ => this.write_ready(core),
        }
    }
    fn drop_output(&self) {
        self.out.clear();
    }
    fn release(this: &Inst<Self>) -> Res<()> {
        this.release_common()
    }
}

impl Sends for WritePipeTransport {
    fn flow(&self) -> &Cell<FlowControl> {
        &self.out.flow
    }
    fn waiting(&self) -> usize {
        self.out.size()
    }
    fn waiting_list(&self) -> Res<Object> {
        self.out.list()
    }
}

impl Inst<WritePipeTransport> {
    /// Nothing is ever read from the writing end: it becomes readable when the other end is gone.
    fn closed_by_peer(&self, core: &Inst<LoopCore>) -> Res<()> {
        if core.is_debug() {
            self.log(&*value::text("info")?, "%r was closed by peer")?;
        }
        let waiting = !self.out.queue.borrow().is_empty();
        let exception = waiting.then(|| Raised::os(&io::Error::from_raw_os_error(EPIPE)).take());
        self.force_close(exception)
    }

    #[inline]
    fn write(&self, data: &Any) -> Res<()> {
        if let Some(slice) = bytes_slice(data) {
            return self.write_slice(data, slice);
        }
        if !is_bytes_like(data) {
            return Err(wrong_type(data)?);
        }
        match Buffer::readable(data) {
            Ok(buffer) => self.write_slice(data, buffer.as_slice()),
            Err(raised) if self.is_lost() => {
                raised.discard();
                self.write_to_nobody()
            }
            // A memoryview with gaps: writing it fails, and so does the pipe.
            Err(raised) => self.write_failed(raised),
        }
    }

    #[inline]
    fn is_lost(&self) -> bool {
        self.ignored.get() > 0 || self.common.closing.get()
    }

    /// Writes `slice`, which is the memory of `data`, or queues what the pipe does not take.
    #[inline]
    fn write_slice(&self, data: &Any, slice: &[u8]) -> Res<()> {
        if slice.is_empty() {
            return Ok(());
        }
        if self.is_lost() {
            return self.write_to_nobody();
        }
        let mut written = 0;
        let mut room = Vec::new();
        if self.out.queue.borrow().is_empty() {
            room = Chunk::room(data, slice)?;
            match sys::write(self.common.fd.get(), slice) {
                Ok(count) if count == slice.len() => return Ok(()),
                Ok(count) => written = count,
                Err(error) if is_not_ready(&error) => {}
                Err(error) => return self.write_failed(Raised::os(&error)),
            }
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        let chunk = match Chunk::try_of(data, slice, written, room) {
            Ok(chunk) => chunk,
            Err(raised) if written > 0 => return self.write_failed(raised),
            Err(raised) => return Err(raised),
        };
        self.out.queue.borrow_mut().reserve(1)?;
        self.start_writing(&core)?;
        self.out.queue.borrow_mut().push(chunk);
        self.queue_has_grown()
    }

    fn writelines(&self, chunks: &Any) -> Res<()> {
        let items = value::list_of(chunks)?.try_list_items()?;
        // All or nothing: what is not bytes-like is found before anything is queued.
        let mut made = Vec::new();
        made.try_reserve_exact(items.len())?;
        for item in &items {
            made.push(Chunk::try_all(item)?);
        }
        let waiting = self.out.queue.borrow().size();
        if made.iter().all(Chunk::is_empty) {
            return Ok(());
        }
        if self.is_lost() {
            return self.write_to_nobody();
        }
        {
            let mut queue = self.out.queue.borrow_mut();
            queue.reserve(made.len())?;
            for chunk in made {
                queue.push(chunk);
            }
        }
        if waiting == 0 {
            let written = self.out.queue.borrow().write(self.common.fd.get());
            match written {
                Ok(written) => self.out.drop_sent(written),
                Err(error) if is_not_ready(&error) => {}
                Err(error) => {
                    self.out.clear();
                    return self.write_failed(Raised::os(&error));
                }
            }
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        if !self.out.queue.borrow().is_empty() {
            self.start_writing(&core)?;
            self.queue_has_grown()?;
        }
        Ok(())
    }

    /// The pipe is closed: asyncio counts, and from the fifth on complains.
    #[cold]
    fn write_to_nobody(&self) -> Res<()> {
        if self.ignored.get() >= SILENT_WRITES {
            let message =
                value::text("pipe closed by peer or os.write(pipe, data) raised exception.")?;
            imports().logger.call_method1(&names().warning, &message)?;
        }
        self.ignored.set(self.ignored.get().saturating_add(1));
        Ok(())
    }

    #[cold]
    fn write_failed(&self, raised: Raised) -> Res<()> {
        let exception = raised.take();
        self.ignored.set(self.ignored.get().saturating_add(1));
        self.fatal_error(exception, WRITE_ERROR)
    }

    /// Writes what waits, as far as the pipe takes it in one call.
    fn write_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        let written = self.out.queue.borrow().write(self.common.fd.get());
        match written {
            Ok(written) => self.out.drop_sent(written),
            Err(error) if is_not_ready(&error) => return Ok(()),
            Err(error) => {
                self.out.clear();
                return self.write_failed(Raised::os(&error));
            }
        }
        // May write more, or close.
        self.queue_has_shrunk()?;
        let drained = self.out.queue.borrow().is_empty();
        if !drained {
            return Ok(());
        }
        self.stop_writing(core);
        if self.common.closing.get() && self.common.conn_lost.get() == 0 {
            self.common.conn_lost.set(1);
            self.stop_reading(core);
            return self.call_connection_lost(None);
        }
        Ok(())
    }

    /// Closing the pipe is the only way to tell its reader of the end.
    fn close(&self) -> Res<()> {
        if self.common.closing.get() || self.common.file.is_none() {
            return Ok(());
        }
        let drained = self.out.queue.borrow().is_empty();
        if drained {
            return self.force_close(None);
        }
        // Still watched for its other end going away.
        self.common.closing.set(true);
        Ok(())
    }
}

/// asyncio asserts.
#[cold]
fn wrong_type(data: &Any) -> Res<Raised> {
    Ok(Raised::new(Kind::Assertion, &data.repr()?.text_lossy()))
}

fn write(this: &Inst<WritePipeTransport>, args: Args<'_>) -> Res<Object> {
    this.write(args.one("write", c"data")?)?;
    Ok(value::none())
}

fn writelines(this: &Inst<WritePipeTransport>, args: Args<'_>) -> Res<Object> {
    this.writelines(args.one("writelines", c"list_of_data")?)?;
    Ok(value::none())
}

fn can_write_eof(_this: &Inst<WritePipeTransport>) -> Res<Object> {
    Ok(value::bool(true))
}

fn close(this: &Inst<WritePipeTransport>) -> Res<Object> {
    this.close()?;
    Ok(value::none())
}

fn repr(this: &Inst<WritePipeTransport>) -> Res<Object> {
    let mut info = description(this, this.common.writing.get())?;
    if let Some(state @ ("polling" | "idle")) = info.last().map(String::as_str) {
        let _ = state;
        let size = this.out.queue.borrow().size();
        info.push(format!("bufsize={size}"));
    }
    value::text(&format!("<{}>", info.join(" ")))
}

const INIT: Signature<6> = signature("WritePipeTransport");

fn init(this: &Inst<WritePipeTransport>, args: Args<'_>) -> Res<()> {
    let refusal = "Pipe transport is only for pipes, sockets and character devices";
    open(this, &args, &INIT, refusal, |kind| {
        kind != FileKind::CharacterDevice
    })
}

pub(super) fn build() -> Res<()> {
    WRITE_PIPE_TRANSPORT.build(&imports().stream_transport_base, |b| {
        let b = b
            .doc(c"WritePipeTransport(loop, pipe, protocol, waiter=None, extra=None, context=None)\n--\n\nThe writing end of a pipe with its protocol. The loop makes them.")
            .init(init)
            .repr(repr)
            .method(c"write", write, c"write($self, /, data)\n--\n\nWrite data, now or later. Never blocks.")
            .method(c"writelines", writelines, c"writelines($self, /, list_of_data)\n--\n\nWrite several pieces of data, in order.")
            .method0(c"write_eof", close, c"write_eof($self, /)\n--\n\nClose the pipe once everything is written; its reader reads the end of the stream.")
            .method0(c"can_write_eof", can_write_eof, c"can_write_eof($self, /)\n--\n\nTrue: write_eof() is supported.")
            .method0(c"close", close, c"close($self, /)\n--\n\nWrite what waits, then call connection_lost(None).")
            .method0(c"abort", closing::abort, c"abort($self, /)\n--\n\nClose without writing what waits.");
        flow::methods(methods(b))
    })?;
    Ok(())
}
