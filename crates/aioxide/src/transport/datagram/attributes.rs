//! What else Python sees of an endpoint: its repr, its protocol, asyncio's private names.

use super::super::attributes;
use super::super::reader::get_protocol;
use super::DatagramTransport;
use crate::ffi::method::{TypeBuilder, no_delete};
use crate::ffi::{Any, Args, Inst, Object, Res, value};

fn repr(this: &Inst<DatagramTransport>) -> Res<Object> {
    let common = &this.common;
    let mut info = vec![this.class_name()?];
    if common.file.is_none() {
        info.push("closed".to_owned());
    } else if common.closing.get() {
        info.push("closing".to_owned());
    }
    info.push(format!("fd={}", common.fd.get()));
    if common.loop_.get().is_some_and(|core| !core.is_closed()) {
        let state = |watched: bool| if watched { "polling" } else { "idle" };
        let size = this.queue.borrow().size();
        info.push(format!("read={}", state(common.reading.get())));
        info.push(format!(
            "write=<{}, bufsize={size}>",
            state(common.writing.get())
        ));
    }
    value::text(&format!("<{}>", info.join(" ")))
}

fn set_protocol(this: &Inst<DatagramTransport>, args: Args<'_>) -> Res<Object> {
    let protocol = args.one("set_protocol", c"protocol")?;
    this.common.protocol.set(protocol.own());
    Ok(value::none())
}

fn get_address(this: &Inst<DatagramTransport>) -> Res<Object> {
    Ok(this.address.get_or_none())
}

fn get_sock(this: &Inst<DatagramTransport>) -> Res<Object> {
    Ok(this.common.file.get_or_none())
}

/// The descriptor stays what it is: this is for wrappers that tests put around the socket, and
/// whose methods are to be called from now on.
fn set_sock(this: &Inst<DatagramTransport>, sock: Option<&Any>) -> Res<()> {
    this.family.set(super::Family::Other);
    this.common.file.set(no_delete(sock)?.own());
    Ok(())
}

fn get_fd(this: &Inst<DatagramTransport>) -> Res<Object> {
    value::int(i64::from(this.common.fd.get()))
}

fn get_size(this: &Inst<DatagramTransport>) -> Res<Object> {
    let size = this.queue.borrow().size();
    value::uint(size as u64)
}

pub(super) fn methods(b: TypeBuilder<DatagramTransport>) -> TypeBuilder<DatagramTransport> {
    attributes::common_methods(b)
        .repr(repr)
        .method(c"set_protocol", set_protocol, c"set_protocol($self, /, protocol)\n--\n\nTell another protocol from now on.")
        .method0(c"get_protocol", get_protocol, c"get_protocol($self, /)\n--\n\nThe current protocol; None once the endpoint is closed.")
        .getter(c"_protocol", get_protocol, c"The current protocol.")
        .getter(c"_address", get_address, c"Where everything goes, or None.")
        .attribute(c"_sock", get_sock, set_sock, c"The socket; None once the endpoint is closed.")
        .getter(c"_sock_fd", get_fd, c"The descriptor's number, also after it was closed.")
        .getter(c"_buffer_size", get_size, c"How much waits to be sent.")
}
