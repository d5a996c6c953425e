//! What else Python sees of a transport: its repr, extra information, asyncio's private names.

use super::StreamTransport;
use crate::ffi::call::Signature;
use crate::ffi::method::{TypeBuilder, flag, no_delete};
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Res, value};

fn repr(this: &Inst<StreamTransport>) -> Res<Object> {
    let name = this
        .as_any()
        .class()
        .getattr(&names().__name__)?
        .text_lossy();
    let mut info = vec![name];
    if this.sock.is_none() {
        info.push("closed".to_owned());
    } else if this.closing.get() {
        info.push("closing".to_owned());
    }
    info.push(format!("fd={}", this.fd.get()));
    if this.loop_.get().is_some_and(|core| !core.is_closed()) {
        let state = |watched: bool| if watched { "polling" } else { "idle" };
        let size = this.queue.borrow().size();
        info.push(format!("read={}", state(this.reading.get())));
        info.push(format!(
            "write=<{}, bufsize={size}>",
            state(this.writing.get())
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

fn get_extra_info(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<Object> {
    let [name, default] = args.bind(&GET_EXTRA_INFO)?;
    let found = match this.extra.get() {
        Some(extra) => extra.dict_get(name.unwrap_or(value::none_ref()))?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| default.unwrap_or(value::none_ref()).own()))
}

fn get_extra(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.extra.get_or_none())
}

fn set_extra(this: &Inst<StreamTransport>, extra: Option<&Any>) -> Res<()> {
    this.extra.set(no_delete(extra)?.own());
    Ok(())
}

fn get_loop(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this
        .loop_
        .get()
        .map_or_else(value::none, crate::ffi::Own::into_object))
}

fn get_sock(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.sock.get_or_none())
}

/// The descriptor stays what it is: this is for wrappers that tests put around the socket.
fn set_sock(this: &Inst<StreamTransport>, sock: Option<&Any>) -> Res<()> {
    this.sock.set(no_delete(sock)?.own());
    Ok(())
}

/// asyncio's marker of a transport that will not read again: None.
fn get_read_ready_cb(this: &Inst<StreamTransport>) -> Res<Object> {
    if this.closing.get() {
        return Ok(value::none());
    }
    this.as_any().getattr(&names()._read_ready)
}

fn get_fd(this: &Inst<StreamTransport>) -> Res<Object> {
    value::int(i64::from(this.fd.get()))
}

fn get_server(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.server.get_or_none())
}

fn get_closing(this: &Inst<StreamTransport>) -> Res<Object> {
    flag(this.closing.get())
}

fn get_paused(this: &Inst<StreamTransport>) -> Res<Object> {
    flag(this.paused.get())
}

fn get_eof(this: &Inst<StreamTransport>) -> Res<Object> {
    flag(this.eof.get())
}

fn get_conn_lost(this: &Inst<StreamTransport>) -> Res<Object> {
    value::int(i64::from(this.conn_lost.get()))
}

fn get_context(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.context.get_or_none())
}

fn get_empty_waiter(this: &Inst<StreamTransport>) -> Res<Object> {
    Ok(this.empty_waiter.get_or_none())
}

fn get_buffer(this: &Inst<StreamTransport>) -> Res<Object> {
    let chunks = this.queue.borrow().snapshot();
    let chunks: Vec<Object> = chunks
        .iter()
        .map(|chunk| value::bytes(chunk))
        .collect::<Res<_>>()?;
    value::list(&chunks)
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    b.repr(repr)
        .method(c"get_extra_info", get_extra_info, c"get_extra_info($self, name, default=None)\n--\n\n'socket', 'sockname', 'peername', or what else the maker put in.")
        .attribute(c"_extra", get_extra, set_extra, c"The dict behind get_extra_info().")
        .getter(c"_loop", get_loop, c"The loop; None once the connection is lost.")
        .getter(c"_read_ready_cb", get_read_ready_cb, c"The callback for data; None once the transport is closing.")
        .attribute(c"_sock", get_sock, set_sock, c"The socket; None once the connection is lost.")
        .getter(c"_sock_fd", get_fd, c"The descriptor's number, also after it was closed.")
        .getter(c"_server", get_server, c"The server that accepted the connection, or None.")
        .getter(c"_closing", get_closing, c"Whether the transport is closing or closed.")
        .getter(c"_paused", get_paused, c"Whether reading is paused.")
        .getter(c"_eof", get_eof, c"Whether write_eof() was called.")
        .getter(c"_conn_lost", get_conn_lost, c"Not zero once connection_lost() is due.")
        .getter(c"_context", get_context, c"The context in which callbacks run.")
        .getter(c"_empty_waiter", get_empty_waiter, c"The future of _make_empty_waiter(), or None.")
        .getter(c"_buffer", get_buffer, c"A copy of what waits to be sent, for debugging.")
}
