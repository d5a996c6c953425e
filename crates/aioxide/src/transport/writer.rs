//! Sending: at once if nothing waits, else behind what waits.

use std::io;

use aioxide_driver::sys;

use super::StreamTransport;
use super::out_queue::Chunk;
use super::reader::is_not_ready;
use crate::event_loop::LoopCore;
use crate::ffi::buffer::{Buffer, bytes_slice, is_bytes_like};
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};

/// asyncio's `LOG_THRESHOLD_FOR_CONNLOST_WRITES`.
pub(super) const SILENT_WRITES: u32 = 5;
pub(super) const WRITE_ERROR: &str = "Fatal write error on socket transport";

impl Inst<StreamTransport> {
    #[inline]
    pub(crate) fn write(&self, data: &Any) -> Res<()> {
        if let Some(slice) = bytes_slice(data) {
            self.check_writable("write")?;
            return self.write_slice(data, slice);
        }
        self.write_buffer(data)
    }

    /// What is no `bytes`.
    fn write_buffer(&self, data: &Any) -> Res<()> {
        if !is_bytes_like(data) {
            return Err(wrong_type(data)?);
        }
        self.check_writable("write")?;
        match Buffer::readable(data) {
            Ok(buffer) => self.write_slice(data, buffer.as_slice()),
            // A memoryview with gaps: sending it fails, and so does the connection.
            Err(raised) if self.common.conn_lost.get() == 0 => {
                self.fatal_error(raised.take(), WRITE_ERROR)
            }
            Err(raised) => {
                raised.discard();
                self.write_to_nobody()
            }
        }
    }

    #[inline]
    fn check_writable(&self, method: &str) -> Res<()> {
        if self.eof.get() {
            return Err(Raised::runtime(&format!(
                "Cannot call {method}() after write_eof()"
            )));
        }
        if self.empty_waiter.is_some() {
            return Err(Raised::runtime(&format!(
                "unable to {method}; sendfile is in progress"
            )));
        }
        Ok(())
    }

    /// Sends `slice`, which is the memory of `data`, or queues what the socket does not take.
    #[inline]
    fn write_slice(&self, data: &Any, slice: &[u8]) -> Res<()> {
        if slice.is_empty() {
            return Ok(());
        }
        if self.common.conn_lost.get() > 0 {
            return self.write_to_nobody();
        }
        let mut sent = 0;
        let mut room = Vec::new();
        if self.corked.get() || self.out.queue.borrow().is_empty() {
            if let Some(done) = self.cork(data, slice) {
                return done;
            }
            if let Err(raised) = self.check_descriptor() {
                return self.fatal_error(raised.take(), WRITE_ERROR);
            }
            room = Chunk::room(data, slice)?;
            match sys::send(self.common.fd.get(), slice) {
                Ok(count) if count == slice.len() => return Ok(()),
                Ok(count) => sent = count,
                Err(error) if is_not_ready(&error) => {}
                Err(error) => return self.write_failed(&error),
            }
        }
        match Chunk::try_of(data, slice, sent, room) {
            Ok(chunk) => self.enqueue(chunk),
            Err(raised) if sent > 0 => self.fatal_error(raised.take(), WRITE_ERROR),
            Err(raised) => Err(raised),
        }
    }

    fn enqueue(&self, chunk: Chunk) -> Res<()> {
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        self.out.queue.borrow_mut().reserve(1)?;
        self.start_writing(&core)?;
        self.out.queue.borrow_mut().push(chunk);
        self.queue_has_grown()
    }

    /// The connection is lost: asyncio counts, and from the fifth on complains.
    #[cold]
    fn write_to_nobody(&self) -> Res<()> {
        if self.common.conn_lost.get() >= SILENT_WRITES {
            let message = value::text("socket.send() raised exception.")?;
            imports().logger.call_method1(&names().warning, &message)?;
        }
        self.common
            .conn_lost
            .set(self.common.conn_lost.get().saturating_add(1));
        Ok(())
    }

    #[cold]
    fn write_failed(&self, error: &io::Error) -> Res<()> {
        self.fatal_error(Raised::os(error).take(), WRITE_ERROR)
    }

    fn writelines(&self, chunks: &Any) -> Res<()> {
        self.check_writable("writelines")?;
        // From 3.12 on asyncio asks first whether there is anything, and None is nothing too.
        if imports().version >= (3, 12) && !chunks.is_truthy()? {
            return Ok(());
        }
        let items = value::list_of(chunks)?.try_list_items()?;
        // All or nothing: what is not bytes-like is found before anything is queued.
        let mut made = Vec::new();
        made.try_reserve_exact(items.len())?;
        for item in &items {
            made.push(Chunk::try_all(item)?);
        }
        if items.is_empty() {
            return Ok(());
        }
        if self.common.conn_lost.get() > 0 {
            return self.write_to_nobody();
        }
        let waiting = !(self.corked.get() || self.out.queue.borrow().is_empty());
        if !waiting {
            made = match self.cork_all(made) {
                Ok(done) => return done,
                Err(made) => made,
            };
        }
        {
            let mut queue = self.out.queue.borrow_mut();
            queue.reserve(made.len())?;
            for chunk in made {
                queue.push(chunk);
            }
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        if !waiting {
            self.flush(&core)?;
        }
        if !self.out.queue.borrow().is_empty() {
            self.start_writing(&core)?;
            self.queue_has_grown()?;
        }
        Ok(())
    }

    pub(super) fn write_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        self.flush(core)
    }

    /// Sends what waits, as far as the socket takes it in one call.
    fn flush(&self, core: &Inst<LoopCore>) -> Res<()> {
        if self.common.conn_lost.get() > 0 || self.out.queue.borrow().is_empty() {
            return Ok(());
        }
        if let Err(raised) = self.check_descriptor() {
            return self.flush_failed(core, raised);
        }
        let sent = self.out.queue.borrow().send(self.common.fd.get());
        match sent {
            Ok(sent) => self.out.drop_sent(sent),
            Err(error) if is_not_ready(&error) => return Ok(()),
            Err(error) => return self.flush_failed(core, Raised::os(&error)),
        }
        // May write more, or close.
        self.queue_has_shrunk()?;
        self.uncork()?;
        if self.out.queue.borrow().is_empty() {
            self.drained(core)
        } else {
            Ok(())
        }
    }

    pub(super) fn drained(&self, core: &Inst<LoopCore>) -> Res<()> {
        self.stop_writing(core);
        if let Some(waiter) = self.waits_for_empty()? {
            waiter.call_method1(&names().set_result, value::none_ref())?;
        }
        if self.common.conn_lost.get() > 0 {
            return Ok(());
        }
        if self.common.closing.get() {
            self.common.conn_lost.set(1);
            return self.call_connection_lost(None);
        }
        if self.eof.get() {
            return self.shut_down();
        }
        Ok(())
    }

    #[cold]
    pub(super) fn flush_failed(&self, core: &Inst<LoopCore>, raised: Raised) -> Res<()> {
        let exception = raised.take();
        self.stop_writing(core);
        self.out.clear();
        self.fatal_error(exception.clone(), WRITE_ERROR)?;
        if let Some(waiter) = self.waits_for_empty()? {
            waiter.call_method1(&names().set_exception, &exception)?;
        }
        Ok(())
    }

    /// A future that is done when everything is sent. Until it is reset nothing can be written.
    pub(super) fn make_empty_waiter(&self) -> Res<Object> {
        if self.empty_waiter.is_some() {
            return Err(Raised::runtime("Empty waiter is already set"));
        }
        let Some(core) = self.common.loop_.get() else {
            return Err(Raised::runtime("the transport is closed"));
        };
        self.uncork()?;
        let waiter = core.as_any().call_method0(&names().create_future)?;
        self.empty_waiter.set(waiter.clone());
        if self.out.queue.borrow().is_empty() {
            waiter.call_method1(&names().set_result, value::none_ref())?;
        }
        Ok(waiter)
    }

    /// The empty waiter, if it still waits: its task may have been cancelled.
    fn waits_for_empty(&self) -> Res<Option<Object>> {
        match self.empty_waiter.get() {
            Some(waiter) if !waiter.call_method0(&names().done)?.is_truthy()? => Ok(Some(waiter)),
            _ => Ok(None),
        }
    }

    fn shut_down(&self) -> Res<()> {
        self.check_descriptor()?;
        sys::shutdown_write(self.common.fd.get()).map_err(|error| Raised::os(&error))
    }
}

#[cold]
fn wrong_type(data: &Any) -> Res<Raised> {
    let kinds = if imports().version >= (3, 14) {
        "bytes, bytearray, or memoryview"
    } else {
        "bytes-like"
    };
    let name = data.class().getattr(&names().__name__)?;
    let name = name.repr_lossy();
    Ok(Raised::type_error(&format!(
        "data argument must be a {kinds} object, not {name}"
    )))
}

fn write(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<Object> {
    this.write(args.one("write", c"data")?)?;
    Ok(value::none())
}

fn writelines(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<Object> {
    this.writelines(args.one("writelines", c"list_of_data")?)?;
    Ok(value::none())
}

fn write_eof(this: &Inst<StreamTransport>) -> Res<Object> {
    this.uncork()?;
    if !this.common.closing.get() && !this.eof.replace(true) && this.out.queue.borrow().is_empty() {
        this.shut_down()?;
    }
    Ok(value::none())
}

fn can_write_eof(_this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(value::bool(true))
}

fn make_empty_waiter(this: &Inst<StreamTransport>) -> Res<Object> {
    this.make_empty_waiter()
}

fn reset_empty_waiter(this: &Inst<StreamTransport>) -> Res<Object> {
    this.empty_waiter.clear();
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    b.method(c"write", write, c"write($self, /, data)\n--\n\nSend data, now or later. Never blocks.")
        .method(c"writelines", writelines, c"writelines($self, /, list_of_data)\n--\n\nSend several pieces of data, in order.")
        .method0(c"write_eof", write_eof, c"write_eof($self, /)\n--\n\nEnd the sending side once everything is sent; the peer reads the end of the stream.")
        .method0(c"can_write_eof", can_write_eof, c"can_write_eof($self, /)\n--\n\nTrue: write_eof() is supported.")
        .method0(c"_make_empty_waiter", make_empty_waiter, c"_make_empty_waiter($self, /)\n--\n\nA future that is done when everything is sent.")
        .method0(c"_reset_empty_waiter", reset_empty_waiter, c"_reset_empty_waiter($self, /)\n--\n\nAllow writing again.")
}
