//! What else Python sees of a transport: its repr, extra information, asyncio's private names.

use super::StreamTransport;
use super::common::Transport;
use crate::ffi::call::Signature;
use crate::ffi::method::{TypeBuilder, flag, no_delete};
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Res, value};

fn repr(this: &Inst<StreamTransport>) -> Res<Object> {
    this.uncork()?;
    let mut info = vec![this.class_name()?];
    if !this.is_open() {
        info.push("closed".to_owned());
    } else if this.common.closing.get() {
        info.push("closing".to_owned());
    }
    info.push(format!("fd={}", this.common.fd.get()));
    if this
        .common
        .loop_
        .get()
        .is_some_and(|core| !core.is_closed())
    {
        let state = |watched: bool| if watched { "polling" } else { "idle" };
        let size = this.out.queue.borrow().size();
        info.push(format!("read={}", state(this.common.reading.get())));
        info.push(format!(
            "write=<{}, bufsize={size}>",
            state(this.common.writing.get())
        ));
    }
    value::text(&format!("<{}>", info.join(" ")))
}

const GET_EXTRA_INFO: Signature<2> = Signature {
    function: "get_extra_info",
    parameters: [c"name", c"default"],
    positional: 2,
    required: 1,
};

fn get_extra_info<T: Transport>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    let [name, default] = args.bind(&GET_EXTRA_INFO)?;
    let name = name.unwrap_or(value::none_ref());
    if name.is_text(c"socket") {
        if let Some(sock) = T::extra_socket(this)? {
            return Ok(sock);
        }
    } else if name.is_text(c"peername") || name.is_text(c"sockname") {
        T::complete_addresses(this)?;
    } else if !name.is_str() {
        // A key that is equal to one of these.
        T::complete_extra(this)?;
    }
    let found = match this.common().extra.get() {
        Some(extra) => extra.dict_get(name)?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| default.unwrap_or(value::none_ref()).own()))
}

fn get_extra<T: Transport>(this: &Inst<T>) -> Res<Object> {
    T::complete_extra(this)?;
    Ok(this.common().extra.get_or_none())
}

fn set_extra<T: Transport>(this: &Inst<T>, extra: Option<&Any>) -> Res<()> {
    T::complete_extra(this)?;
    this.common().extra.set(no_delete(extra)?.own());
    Ok(())
}

fn get_loop<T: Transport>(this: &Inst<T>) -> Res<Object> {
    Ok(this
        .common()
        .loop_
        .get()
        .map_or_else(value::none, crate::ffi::Own::into_object))
}

fn get_closing<T: Transport>(this: &Inst<T>) -> Res<Object> {
    flag(this.common().closing.get())
}

fn get_sock(this: &Inst<StreamTransport>) -> Res<Object> {
    this.expose()?;
    Ok(this.python_socket()?.unwrap_or_else(value::none))
}

/// The descriptor stays what it is: this is for wrappers that tests put around the socket.
fn set_sock(this: &Inst<StreamTransport>, sock: Option<&Any>) -> Res<()> {
    let sock = no_delete(sock)?;
    this.expose()?;
    this.complete_extra()?;
    this.python_socket()?;
    this.common.file.set(sock.own());
    Ok(())
}

/// asyncio's marker of a transport that will not read again: None.
fn get_read_ready_cb(this: &Inst<StreamTransport>) -> Res<Object> {
    if this.common.closing.get() {
        return Ok(value::none());
    }
    this.as_any().getattr(&names()._read_ready)
}

fn get_fd(this: &Inst<StreamTransport>) -> Res<Object> {
    this.expose()?;
    value::int(i64::from(this.common.fd.get()))
}

fn get_server(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.server.get_or_none())
}

fn get_eof(this: &Inst<StreamTransport>) -> Res<Object> {
    flag(this.eof.get())
}

fn get_context<T: Transport>(this: &Inst<T>) -> Res<Object> {
    Ok(this.common().context.get_or_none())
}

fn get_empty_waiter(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.empty_waiter.get_or_none())
}

/// What every transport has.
pub(super) fn common_methods<T: Transport>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method(c"get_extra_info", get_extra_info, c"get_extra_info($self, name, default=None)\n--\n\n'socket', 'pipe', 'sockname', 'peername', or what else the maker put in.")
        .attribute(c"_extra", get_extra, set_extra, c"The dict behind get_extra_info().")
        .getter(c"_loop", get_loop, c"The loop; None once the connection is lost.")
        .getter(c"_closing", get_closing, c"Whether the transport is closing or closed.")
        .getter(c"_context", get_context, c"The context in which callbacks run.")
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    common_methods(b)
        .repr(repr)
        .getter(
            c"_read_ready_cb",
            get_read_ready_cb,
            c"The callback for data; None once the transport is closing.",
        )
        .attribute(
            c"_sock",
            get_sock,
            set_sock,
            c"The socket; None once the connection is lost.",
        )
        .getter(
            c"_sock_fd",
            get_fd,
            c"The descriptor's number, also after it was closed.",
        )
        .getter(
            c"_server",
            get_server,
            c"The server that accepted the connection, or None.",
        )
        .getter(c"_eof", get_eof, c"Whether write_eof() was called.")
        .getter(
            c"_empty_waiter",
            get_empty_waiter,
            c"The future of _make_empty_waiter(), or None.",
        )
}
