//! Pipes: `ReadPipeTransport`, an `asyncio.ReadTransport`, and `WritePipeTransport`.
//!
//! A pipe is anything with a descriptor that the kernel can wait for and that is read or written as a
//! stream: pipes, FIFOs, sockets, terminals and other character devices. Regular files are refused, as
//! by asyncio: they are always ready, and reading them blocks all the same.
//!
//! The rules are those of [the transports](super), with two of asyncio's own for pipes: an
//! exception of `data_received` is reported and ends nothing, and the number of the descriptor stays
//! free for `add_reader` and `add_writer`.

mod read;
mod write;

use aioxide_driver::sys::{self, FileKind};

use super::common::{Transport, given, some};
use super::{attributes, closing, event, reader};
use crate::event_loop::LoopCore;
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::{TypeBuilder, no_delete};
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, context, value};

pub(crate) use read::ReadPipeTransport;
pub(crate) use write::WritePipeTransport;

pub(super) fn build() -> Res<()> {
    read::build()?;
    write::build()
}

/// What the constructors of both classes take.
const fn signature(function: &'static str) -> Signature<6> {
    Signature {
        function,
        parameters: [
            c"loop",
            c"pipe",
            c"protocol",
            c"waiter",
            c"extra",
            c"context",
        ],
        positional: 6,
        required: 3,
    }
}

/// What asyncio's constructors do, in their order. `refusal` is for what is no pipe, `watches` says
/// which kinds are watched for data or their end from the start.
fn open<T: Transport>(
    this: &Inst<T>,
    args: &Args<'_>,
    signature: &Signature<6>,
    refusal: &str,
    watches: impl FnOnce(FileKind) -> bool,
) -> Res<()> {
    let [loop_, pipe, protocol, waiter, extra, ctx] = args.bind(signature)?;
    let (Some(loop_), Some(pipe), Some(protocol)) = (loop_, pipe, protocol) else {
        return Err(Raised::type_error(
            "a pipe transport needs a loop, a pipe and a protocol",
        ));
    };
    let Some(core) = loop_.downcast::<LoopCore>() else {
        return Err(Raised::type_error(
            "a pipe transport needs a loop of aioxide",
        ));
    };
    if this.common().fd.get() >= 0 {
        return Err(Raised::runtime("the transport has its pipe already"));
    }
    let extra = given(extra).map_or_else(value::dict, |extra| Ok(extra.own()))?;
    let ctx = given(ctx).map_or_else(context::copy_current, |ctx| Ok(ctx.own()))?;
    fill(this, core, pipe, extra, ctx, refusal)
        .and_then(|kind| {
            this.common().protocol.set(protocol.own());
            // What is not watched counts as paused until the protocol is told of the connection.
            this.common().paused.set(!watches(kind));
            this.begin(core, protocol, waiter)
        })
        .map_err(|raised| {
            // The caller still has the pipe.
            let exception = raised.take();
            this.common().closing.set(true);
            this.common().conn_lost.set(1);
            this.common().file.clear();
            Raised::raise(exception)
        })
}

fn fill<T: Transport>(
    this: &Inst<T>,
    core: &Inst<LoopCore>,
    pipe: &Any,
    extra: Object,
    ctx: Object,
    refusal: &str,
) -> Res<FileKind> {
    let common = this.common();
    extra.dict_set(&*value::text("pipe")?, pipe)?;
    common.extra.set(extra);
    let number = pipe.call_method0(&names().fileno)?.to_i64()?;
    let fd = i32::try_from(number).unwrap_or(-1);
    let kind = sys::file_kind(fd).map_err(|error| Raised::os(&error))?;
    if matches!(kind, FileKind::Regular | FileKind::Other) {
        return Err(Raised::new(Kind::Value, refusal));
    }
    sys::set_nonblocking(fd).map_err(|error| Raised::os(&error))?;
    common.fd.set(fd);
    common.file.set(pipe.own());
    common.context.set(ctx);
    common.loop_.set(core.own());
    Ok(kind)
}

/// asyncio's repr: what is left of the pipe, and what the loop waits for.
fn description<T: Transport>(this: &Inst<T>, watched: bool) -> Res<Vec<String>> {
    let common = this.common();
    let mut info = vec![this.class_name()?];
    let is_open = common.file.is_some();
    if !is_open {
        info.push("closed".to_owned());
    } else if common.closing.get() {
        info.push("closing".to_owned());
    }
    info.push(format!("fd={}", common.fd.get()));
    let loop_is_open = common.loop_.get().is_some_and(|core| !core.is_closed());
    info.push(
        match (is_open, loop_is_open) {
            (true, true) if watched => "polling",
            (true, true) => "idle",
            (true, false) => "open",
            (false, _) => "closed",
        }
        .to_owned(),
    );
    Ok(info)
}

fn set_protocol<T: Transport>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    let protocol = args.one("set_protocol", c"protocol")?;
    this.common().protocol.set(protocol.own());
    Ok(value::none())
}

fn get_pipe<T: Transport>(this: &Inst<T>) -> Res<Object> {
    Ok(this.common().file.get_or_none())
}

/// The descriptor stays what it is: this is for who takes the pipe away.
fn set_pipe<T: Transport>(this: &Inst<T>, pipe: Option<&Any>) -> Res<()> {
    drop(this.common().file.replace(some(no_delete(pipe)?)));
    Ok(())
}

fn get_fileno<T: Transport>(this: &Inst<T>) -> Res<Object> {
    value::int(i64::from(this.common().fd.get()))
}

/// What both classes have.
fn methods<T: Transport>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    let b = event::methods(b);
    let b = closing::common_methods(b);
    attributes::common_methods(b)
        .method(c"set_protocol", set_protocol, c"set_protocol($self, /, protocol)\n--\n\nTell another protocol from now on.")
        .method0(c"get_protocol", reader::get_protocol, c"get_protocol($self, /)\n--\n\nThe current protocol; None once the connection is lost.")
        .getter(c"_protocol", reader::get_protocol, c"The current protocol.")
        .attribute(c"_pipe", get_pipe, set_pipe, c"The pipe; None once the connection is lost.")
        .getter(c"_fileno", get_fileno, c"The descriptor's number, also after it was closed.")
}

/// The last reference is gone, but nobody has closed the pipe.
#[cold]
fn finalize_unclosed<T: Transport>(this: &Inst<T>) {
    this.unraisable(this.warn_unclosed());
    if let Some(core) = this.common().loop_.get() {
        this.stop_reading(&core);
        this.stop_writing(&core);
    }
    this.unraisable(this.close_file());
}
