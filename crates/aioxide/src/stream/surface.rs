//! The Python side of a StreamReader.

use super::read::{self, Method};
use super::reader::{DEFAULT_LIMIT, StreamReader};
use crate::ffi::attribute::plain;
use crate::ffi::buffer::{Buffer, bytes_slice, is_byte_array};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::{imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Inst, Native, Object, Raised, Res, value};
use crate::hooks::set_attribute;

const INIT: Signature<2> = Signature {
    function: "StreamReader.__init__",
    parameters: [c"limit", c"loop"],
    positional: 2,
    required: 0,
};

fn init(this: &Inst<StreamReader>, args: Args<'_>) -> Res<()> {
    let [limit, loop_] = args.bind(&INIT)?;
    if limit.is_some() {
        set_limit(this, limit)?;
    } else {
        this.given_limit.clear();
        this.limit.set(DEFAULT_LIMIT);
    }
    let loop_ = match loop_ {
        Some(loop_) if !loop_.is_none() => loop_.own(),
        _ => imports().get_event_loop.call0()?,
    };
    let debug = loop_.call_method0(&names().get_debug)?.is_truthy()?;
    this.loop_.set(loop_);
    this.storage.reset();
    this.eof.set(false);
    this.waiter.clear();
    this.exception.clear();
    this.transport.clear();
    this.paused.set(false);
    this.source_traceback.clear();
    if debug {
        this.source_traceback.set(imports().extract_stack.call0()?);
    }
    Ok(())
}

fn get_limit(this: &Inst<StreamReader>) -> Res<Object> {
    match this.given_limit.get() {
        Some(limit) => Ok(limit),
        None => value::uint(DEFAULT_LIMIT as u64),
    }
}

/// Any number is a limit, as long as it is above zero.
fn set_limit(this: &Inst<StreamReader>, limit: Option<&Any>) -> Res<()> {
    let limit = no_delete(limit)?;
    let bytes = if limit.is_int() {
        limit.to_clamped_size()?
    } else {
        let number = limit.to_f64()?;
        if number > 0.0 && number < 1.0 {
            1
        } else {
            #[allow(clippy::cast_possible_truncation, reason = "clamped, as meant")]
            {
                number as isize
            }
        }
    };
    let Some(bytes) = usize::try_from(bytes).ok().filter(|&bytes| bytes > 0) else {
        return Err(Raised::new(Kind::Value, "Limit cannot be <= 0"));
    };
    this.given_limit.set(limit.own());
    this.limit.set(bytes);
    Ok(())
}

fn repr(this: &Inst<StreamReader>) -> Res<Object> {
    let mut info = vec!["StreamReader".to_owned()];
    let stored = this.storage.len();
    if stored > 0 {
        info.push(format!("{stored} bytes"));
    }
    if this.eof.get() {
        info.push("eof".to_owned());
    }
    if this.limit.get() != DEFAULT_LIMIT {
        info.push(format!("limit={}", get_limit(this)?.repr_lossy()));
    }
    for (name, object) in [
        ("waiter", this.waiter.get()),
        ("exception", this.exception.get()),
        ("transport", this.transport.get()),
    ] {
        if let Some(object) = object {
            info.push(format!("{name}={}", object.repr_lossy()));
        }
    }
    if this.paused.get() {
        info.push("paused".to_owned());
    }
    value::text(&format!("<{}>", info.join(" ")))
}

fn exception(this: &Inst<StreamReader>) -> Res<Object> {
    Ok(this.exception.get_or_none())
}

fn set_exception(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let exception = args.one("StreamReader.set_exception", c"exc")?;
    this.set_exception(exception)?;
    Ok(value::none())
}

fn set_transport(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let transport = args.one("StreamReader.set_transport", c"transport")?;
    this.set_transport(transport)?;
    Ok(value::none())
}

fn replace_transport(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let transport = args.one("StreamReader._replace_transport", c"transport")?;
    if this.transport.is_none() {
        return Err(Raised::of_class(
            Kind::Assertion.as_any(),
            "Transport not set",
        ));
    }
    this.transport.set(transport.own());
    Ok(value::none())
}

fn feed_eof(this: &Inst<StreamReader>) -> Res<Object> {
    this.feed_eof()?;
    Ok(value::none())
}

fn at_eof(this: &Inst<StreamReader>) -> Res<Object> {
    flag(this.eof.get() && this.storage.is_empty())
}

fn feed_data(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let data = args.one("StreamReader.feed_data", c"data")?;
    if this.eof.get() {
        return Err(Raised::of_class(
            Kind::Assertion.as_any(),
            "feed_data after feed_eof",
        ));
    }
    if let Some(octets) = bytes_slice(data) {
        if octets.is_empty() {
            return Ok(value::none());
        }
        this.take_in(octets)?;
    } else {
        if !data.is_truthy()? {
            return Ok(value::none());
        }
        this.take_in(Buffer::readable(data)?.as_slice())?;
    }
    this.announce()?;
    Ok(value::none())
}

fn wakeup_waiter(this: &Inst<StreamReader>) -> Res<Object> {
    this.wake()?;
    Ok(value::none())
}

fn maybe_resume_transport(this: &Inst<StreamReader>) -> Res<Object> {
    this.maybe_resume()?;
    Ok(value::none())
}

const READ: Signature<1> = Signature {
    function: "StreamReader.read",
    parameters: [c"n"],
    positional: 1,
    required: 0,
};

const READUNTIL: Signature<1> = Signature {
    function: "StreamReader.readuntil",
    parameters: [c"separator"],
    positional: 1,
    required: 0,
};

#[inline]
fn read(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let size = match (args.positional, args.names.is_empty()) {
        (&[size], true) => Some(size),
        _ => args.bind(&READ)?[0],
    };
    match size {
        Some(size) => read::create(Method::Read, this, Some(size)),
        None => read::create(Method::Read, this, Some(&*value::int(-1)?)),
    }
}

#[inline]
fn readexactly(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let size = args.one("StreamReader.readexactly", c"n")?;
    read::create(Method::ReadExactly, this, Some(size))
}

#[inline]
fn readline(this: &Inst<StreamReader>) -> Res<Object> {
    read::create(Method::ReadLine, this, None)
}

fn readuntil(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    match args.bind(&READUNTIL)? {
        [Some(separator)] => read::create(Method::ReadUntil, this, Some(separator)),
        [None] => read::create(Method::ReadUntil, this, Some(&*value::bytes(b"\n")?)),
    }
}

fn wait_for_data(this: &Inst<StreamReader>, args: Args<'_>) -> Res<Object> {
    let name = args.one("StreamReader._wait_for_data", c"func_name")?;
    read::create(Method::Wait, this, Some(name))
}

fn aiter(this: &Inst<StreamReader>) -> Res<Object> {
    Ok(this.as_any().own())
}

fn anext(this: &Inst<StreamReader>) -> Res<Object> {
    read::create(Method::Next, this, None)
}

fn get_buffer(this: &Inst<StreamReader>) -> Res<Object> {
    this.storage.share()
}

fn set_buffer(this: &Inst<StreamReader>, array: Option<&Any>) -> Res<()> {
    let array = no_delete(array)?;
    if !is_byte_array(array) {
        return Err(Raised::type_error("_buffer must be a bytearray"));
    }
    this.storage.replace(array.own());
    Ok(())
}

fn get_eof(this: &Inst<StreamReader>) -> Res<Object> {
    flag(this.eof.get())
}

fn set_eof(this: &Inst<StreamReader>, eof: Option<&Any>) -> Res<()> {
    this.eof.set(no_delete(eof)?.is_truthy()?);
    Ok(())
}

fn get_paused(this: &Inst<StreamReader>) -> Res<Object> {
    flag(this.paused.get())
}

fn set_paused(this: &Inst<StreamReader>, paused: Option<&Any>) -> Res<()> {
    this.paused.set(no_delete(paused)?.is_truthy()?);
    Ok(())
}

pub(super) fn build() -> Res<()> {
    StreamReader::class().build(object_class(), |b| {
        let b = b
            .doc(c"StreamReaderCore(limit=65536, loop=None)\n--\n\nThe native half of StreamReader.")
            .init(init)
            .repr(repr)
            .set_attribute(set_attribute)
            .method0(c"exception", exception, c"exception($self)\n--\n\nThe exception that the connection ended with, or None.")
            .method(c"set_exception", set_exception, c"set_exception($self, exc)\n--\n\nEnd the stream with an exception, which every read raises from now on.")
            .method(c"set_transport", set_transport, c"set_transport($self, transport)\n--\n\nTell the transport, which is paused when more has come than is read.")
            .method(c"_replace_transport", replace_transport, c"_replace_transport($self, transport)\n--\n\nAnother transport carries the stream from now on.")
            .method0(c"feed_eof", feed_eof, c"feed_eof($self)\n--\n\nNothing more will come.")
            .method0(c"at_eof", at_eof, c"at_eof($self)\n--\n\nWhether everything has been read and nothing more will come.")
            .method(c"feed_data", feed_data, c"feed_data($self, data)\n--\n\nAdd bytes that have come.")
            .method0(c"_wakeup_waiter", wakeup_waiter, c"_wakeup_waiter($self)\n--\n\nWake the read that waits.")
            .method0(c"_maybe_resume_transport", maybe_resume_transport, c"_maybe_resume_transport($self)\n--\n\nResume the transport if it was paused and little is left to read.")
            .coroutine(c"_wait_for_data", wait_for_data, c"_wait_for_data($self, func_name)\n--\n\nWait until something comes. A coroutine.")
            .coroutine(c"read", read, c"read($self, n=-1)\n--\n\nRead at most n bytes, as soon as there are any; everything until the end if n is negative. A coroutine.\n\nb'' is the end of the stream.")
            .coroutine(c"readexactly", readexactly, c"readexactly($self, n)\n--\n\nRead exactly n bytes. A coroutine.\n\nRaises IncompleteReadError, with what there is, if the stream ends before.")
            .coroutine0(c"readline", readline, c"readline($self)\n--\n\nRead up to the next newline, or to the end of the stream. A coroutine.\n\nRaises ValueError if the line exceeds the limit; it is thrown away then.")
            .coroutine(c"readuntil", readuntil, c"readuntil($self, separator=b'\\n')\n--\n\nRead up to and with a separator, or the first of a tuple of them. A coroutine.\n\nRaises IncompleteReadError if the stream ends before, LimitOverrunError if more than the limit comes without one; then everything stays to be read.")
            .method0_over_slot(c"__aiter__", aiter, c"__aiter__($self)\n--\n\nLine by line.")
            .coroutine0(c"__anext__", anext, c"__anext__($self)\n--\n\nThe next line. A coroutine.")
            .attribute(c"_limit", get_limit, set_limit, c"The limit, in bytes.")
            .attribute(c"_buffer", get_buffer, set_buffer, c"What is unread, as a bytearray.")
            .attribute(c"_eof", get_eof, set_eof, c"Whether nothing more will come.")
            .attribute(c"_paused", get_paused, set_paused, c"Whether the transport is paused.");
        let b = plain!(b, StreamReader,
            c"_loop" => loop_, c"The loop.";
            c"_waiter" => waiter, c"The future that a read waits for, or None.";
            c"_exception" => exception, c"The exception that the connection ended with.";
            c"_transport" => transport, c"The transport.";
            c"_source_traceback" => source_traceback, c"Who made it, in debug mode.";
        );
        b.async_iterates(aiter, anext)
    })?;
    Ok(())
}
