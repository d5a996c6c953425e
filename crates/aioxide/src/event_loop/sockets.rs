//! `sock_recv`, `sock_sendall` and the others: asyncio's operations on bare sockets.
//!
//! A call only looks at how many arguments there are; everything else happens when the operation
//! is awaited, see [`sock_op`]. `sock_sendfile` is BaseEventLoop's, on top of `sock_sendall`.

use super::LoopCore;
use crate::ffi::call::Signature;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Args, Inst, Object, Res, value};
use crate::sock_op::{self, Method};

/// A signature whose parameters may all be given by position.
const fn signature<const N: usize>(
    function: &'static str,
    parameters: [&'static std::ffi::CStr; N],
    required: usize,
) -> Signature<N> {
    Signature {
        function,
        parameters,
        positional: N,
        required,
    }
}

const RECV: Signature<2> = signature("sock_recv", [c"sock", c"n"], 2);
const RECV_INTO: Signature<2> = signature("sock_recv_into", [c"sock", c"buf"], 2);
const RECVFROM: Signature<2> = signature("sock_recvfrom", [c"sock", c"bufsize"], 2);
const RECVFROM_INTO: Signature<3> =
    signature("sock_recvfrom_into", [c"sock", c"buf", c"nbytes"], 2);
const SENDALL: Signature<2> = signature("sock_sendall", [c"sock", c"data"], 2);
const SENDTO: Signature<3> = signature("sock_sendto", [c"sock", c"data", c"address"], 3);
const CONNECT: Signature<2> = signature("sock_connect", [c"sock", c"address"], 2);
const ACCEPT: Signature<1> = signature("sock_accept", [c"sock"], 1);

#[inline]
fn create<const N: usize>(
    this: &Inst<LoopCore>,
    method: Method,
    args: &Args<'_>,
    signature: &Signature<N>,
) -> Res<Object> {
    let bound = args.bind(signature)?;
    let at = |index: usize| bound.get(index).copied().flatten();
    let sock: &Any = at(0).unwrap_or(value::none_ref());
    sock_op::create(method, this, sock, at(1), at(2))
}

fn sock_recv(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::Recv, &args, &RECV)
}

fn sock_recv_into(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::RecvInto, &args, &RECV_INTO)
}

fn sock_recvfrom(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::RecvFrom, &args, &RECVFROM)
}

fn sock_recvfrom_into(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::RecvFromInto, &args, &RECVFROM_INTO)
}

fn sock_sendall(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::SendAll, &args, &SENDALL)
}

fn sock_sendto(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::SendTo, &args, &SENDTO)
}

fn sock_connect(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::Connect { numeric: false }, &args, &CONNECT)
}

fn connect_numeric(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::Connect { numeric: true }, &args, &CONNECT)
}

fn sock_accept(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, Method::Accept, &args, &ACCEPT)
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.coroutine(c"sock_recv", sock_recv, c"sock_recv($self, sock, n)\n--\n\nReceive at most n bytes from a non-blocking socket. A coroutine.\n\nb'' is the end of the stream.")
        .coroutine(c"sock_recv_into", sock_recv_into, c"sock_recv_into($self, sock, buf)\n--\n\nReceive into a writable buffer; gives how many bytes came. A coroutine.")
        .coroutine(c"sock_recvfrom", sock_recvfrom, c"sock_recvfrom($self, sock, bufsize)\n--\n\nReceive a datagram of at most bufsize bytes; gives it and its sender's address. A coroutine.")
        .coroutine(c"sock_recvfrom_into", sock_recvfrom_into, c"sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\nReceive a datagram into a writable buffer; gives its size and its sender's address. A coroutine.")
        .coroutine(c"sock_sendall", sock_sendall, c"sock_sendall($self, sock, data)\n--\n\nSend all of data. A coroutine.\n\nAfter an error nobody knows how much of it has arrived.")
        .coroutine(c"sock_sendto", sock_sendto, c"sock_sendto($self, sock, data, address)\n--\n\nSend a datagram to address; gives how many bytes were sent. A coroutine.")
        .coroutine(c"sock_connect", sock_connect, c"sock_connect($self, sock, address)\n--\n\nConnect to address, whose host may be a name. A coroutine.")
        .coroutine(c"_connect_numeric", connect_numeric, c"_connect_numeric($self, sock, address)\n--\n\nThe same for a new socket and a numeric address, without asyncio's checks.")
        .coroutine(c"sock_accept", sock_accept, c"sock_accept($self, sock)\n--\n\nAccept a connection; gives a non-blocking socket and the peer's address. A coroutine.")
}
