//! The core of a StreamWriter.

use super::drain;
use super::reader::{StreamReader, native};
use crate::ffi::attribute::plain;
use crate::ffi::call::Signature;
use crate::ffi::error::{Kind, resource_warning};
use crate::ffi::method::flag;
use crate::ffi::module::{imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit, value};
use crate::future::Waiter;
use crate::tls::flush_connection;
use crate::transport::plain_transport;

/// The state behind `aioxide.StreamWriter`.
#[derive(Debug, Default)]
pub(crate) struct StreamWriter {
    pub(super) transport: Slot,
    pub(super) protocol: Slot,
    pub(super) reader: Slot,
    loop_: Slot,
    complete: Slot,
}

static STREAM_WRITER: Class<StreamWriter> = Class::new(0);

impl StreamWriter {
    fn slots(&self) -> [&Slot; 5] {
        [
            &self.transport,
            &self.protocol,
            &self.reader,
            &self.loop_,
            &self.complete,
        ]
    }
}

impl Native for StreamWriter {
    const NAME: &'static std::ffi::CStr = c"aioxide.StreamWriterCore";
    const FINALIZER: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &STREAM_WRITER
    }
    fn empty() -> Self {
        StreamWriter::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in self.slots() {
            slot.visit(visit);
        }
    }
    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
    }
    fn wants_finalize(&self) -> bool {
        self.transport.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        if let Err(raised) = this.close_forgotten() {
            raised.unraisable(Some(this.as_any()));
        }
    }
}

impl Inst<StreamWriter> {
    #[inline]
    fn transport(&self) -> Res<Object> {
        self.transport.get().ok_or_else(incomplete)
    }

    #[inline]
    pub(super) fn raise_reader_exception(&self) -> Res<()> {
        let Some(reader) = self.reader.get() else {
            return Ok(());
        };
        let exception = match native(&reader) {
            Some(native) if native.is_plain()? => native.exception.get_or_none(),
            _ => reader.call_method0(&names().exception)?,
        };
        if exception.is_none() {
            return Ok(());
        }
        Err(Raised::raise(exception))
    }

    #[inline]
    pub(super) fn is_closing(&self) -> Res<bool> {
        let transport = self.transport()?;
        match plain_transport(&transport, &names().is_closing) {
            Some(native) => Ok(native.is_closing()),
            None => transport.call_method0(&names().is_closing)?.is_truthy(),
        }
    }

    /// Flushes the connection, whatever the task does before it next suspends.
    #[inline]
    pub(super) fn flush(&self) -> Res<()> {
        flush_connection(&*self.transport()?)
    }

    /// Nobody refers to the writer any more.
    fn close_forgotten(&self) -> Res<()> {
        if self.is_closing()? {
            return Ok(());
        }
        let closed = self.loop_.get_or_none().call_method0(&names().is_closed)?;
        if closed.is_truthy()? {
            return resource_warning(value::none_ref(), "loop is closed");
        }
        self.as_any().call_method0(&names().close)?;
        let message = format!("unclosed {}", self.as_any().repr_lossy());
        resource_warning(value::none_ref(), &message)
    }
}

/// The error for a writer whose `__init__` has not run.
#[cold]
fn incomplete() -> Raised {
    Raised::new(Kind::Attribute, "StreamWriter.__init__ has not run")
}

const INIT: Signature<4> = Signature {
    function: "StreamWriter.__init__",
    parameters: [c"transport", c"protocol", c"reader", c"loop"],
    positional: 4,
    required: 4,
};

fn init(this: &Inst<StreamWriter>, args: Args<'_>) -> Res<()> {
    let [Some(transport), Some(protocol), Some(reader), Some(loop_)] = args.bind(&INIT)? else {
        return Err(incomplete());
    };
    let is_reader = reader.is_none()
        || reader.downcast::<StreamReader>().is_some()
        || reader.is_instance(&imports().stream_reader)?;
    if !is_reader {
        return Err(Raised::raise(Kind::Assertion.as_any().call0()?));
    }
    // As asyncio's constructor finds out, which makes a future.
    loop_.getattr(&names().create_future)?;
    this.complete.clear();
    this.transport.set(transport.own());
    this.protocol.set(protocol.own());
    drop(
        this.reader
            .replace((!reader.is_none()).then(|| reader.own())),
    );
    this.loop_.set(loop_.own());
    Ok(())
}

fn repr(this: &Inst<StreamWriter>) -> Res<Object> {
    let class = this.as_any().class().getattr(&names().__name__)?;
    let mut text = format!(
        "<{} transport={}",
        class.text_lossy(),
        this.transport.get_or_none().repr_lossy()
    );
    if let Some(reader) = this.reader.get() {
        text.push_str(" reader=");
        text.push_str(&reader.repr_lossy());
    }
    text.push('>');
    value::text(&text)
}

fn get_transport(this: &Inst<StreamWriter>) -> Res<Object> {
    Ok(this.transport.get_or_none())
}

#[inline]
fn write(this: &Inst<StreamWriter>, args: Args<'_>) -> Res<Object> {
    let data = args.one("StreamWriter.write", c"data")?;
    let transport = this.transport()?;
    match plain_transport(&transport, &names().write) {
        Some(native) => native.write(data)?,
        None => drop(transport.call_method1(&names().write, data)?),
    }
    Ok(value::none())
}

fn writelines(this: &Inst<StreamWriter>, args: Args<'_>) -> Res<Object> {
    let data = args.one("StreamWriter.writelines", c"data")?;
    this.transport()?.call_method1(&names().writelines, data)?;
    Ok(value::none())
}

fn write_eof(this: &Inst<StreamWriter>) -> Res<Object> {
    this.transport()?.call_method0(&names().write_eof)
}

fn can_write_eof(this: &Inst<StreamWriter>) -> Res<Object> {
    this.transport()?.call_method0(&names().can_write_eof)
}

fn close(this: &Inst<StreamWriter>) -> Res<Object> {
    this.transport()?.call_method0(&names().close)
}

fn is_closing(this: &Inst<StreamWriter>) -> Res<Object> {
    // A write that fails closes the transport.
    this.flush()?;
    flag(this.is_closing()?)
}

const EXTRA: Signature<2> = Signature {
    function: "StreamWriter.get_extra_info",
    parameters: [c"name", c"default"],
    positional: 2,
    required: 1,
};

fn get_extra_info(this: &Inst<StreamWriter>, args: Args<'_>) -> Res<Object> {
    let [name, default] = args.bind(&EXTRA)?;
    this.transport()?.call_method2(
        &names().get_extra_info,
        name.unwrap_or(value::none_ref()),
        default.unwrap_or(value::none_ref()),
    )
}

#[inline]
fn drain_method(this: &Inst<StreamWriter>) -> Res<Object> {
    drain::drain(this)
}

fn wait_closed(this: &Inst<StreamWriter>) -> Res<Object> {
    drain::wait_closed(this)
}

/// A future that is done: what asyncio's writers have, and nobody uses.
fn get_complete(this: &Inst<StreamWriter>) -> Res<Object> {
    if let Some(complete) = this.complete.get() {
        return Ok(complete);
    }
    let waiter = Waiter::create(&this.loop_.get_or_none())?;
    waiter.resolve(value::none())?;
    this.complete.set(waiter.object());
    Ok(waiter.object())
}

pub(super) fn build() -> Res<()> {
    STREAM_WRITER.build(object_class(), |b| {
        let b = b
            .doc(c"StreamWriterCore(transport, protocol, reader, loop)\n--\n\nThe native half of StreamWriter.")
            .init(init)
            .repr(repr)
            .method(c"write", write, c"write($self, data)\n--\n\nSend data, now or later; drain() waits when too much is left.")
            .method(c"writelines", writelines, c"writelines($self, data)\n--\n\nSend several pieces of data, in order.")
            .method0(c"write_eof", write_eof, c"write_eof($self)\n--\n\nEnd the sending side once everything is sent.")
            .method0(c"can_write_eof", can_write_eof, c"can_write_eof($self)\n--\n\nWhether write_eof() is supported.")
            .method0(c"close", close, c"close($self)\n--\n\nClose the stream once everything is sent; wait_closed() waits for that.")
            .method0(c"is_closing", is_closing, c"is_closing($self)\n--\n\nWhether the stream is closed or being closed.")
            .coroutine0(c"wait_closed", wait_closed, c"wait_closed($self)\n--\n\nWait until the stream is closed. A coroutine.")
            .method(c"get_extra_info", get_extra_info, c"get_extra_info($self, name, default=None)\n--\n\nWhat the transport tells of itself.")
            .coroutine0(c"drain", drain_method, c"drain($self)\n--\n\nWait while the transport has too much to send. A coroutine.\n\nRaises the error that the connection ended with, or ConnectionResetError.")
            .getter(c"transport", get_transport, c"The transport.")
            .getter(c"_complete_fut", get_complete, c"A future that is done.");
        plain!(b, StreamWriter,
            c"_transport" => transport, c"The transport.";
            c"_protocol" => protocol, c"The protocol.";
            c"_reader" => reader, c"The reader, or None.";
            c"_loop" => loop_, c"The loop.";
        )
    })?;
    Ok(())
}
