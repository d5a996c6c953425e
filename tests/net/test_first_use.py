"""Every call of the loop and the transport as the first use of an accepted connection.

An accepted connection has no Python socket until somebody asks for it. Each test uses a fresh
connection for one thing only, so nothing has asked before. The same call on asyncio is the control:
result, exception and received bytes have to be the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import pickle
import re
import socket
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Implementation, Recorder, implementation, turns, until
from net.tls import Certificates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

CONTENT = bytes(range(256)) * 100


class Case:
    """One accepted connection, and where the test may put files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.protocol: Any
        self.far: socket.socket

    @property
    def transport(self) -> Any:
        return self.protocol.transport

    def socket(self) -> Any:
        return self.transport.get_extra_info("socket")

    def file(self) -> io.BufferedReader:
        path = self.folder / "file"
        path.write_bytes(CONTENT)
        return path.open("rb")


async def sendfile(case: Case, **options: Any) -> object:
    with case.file() as file:
        return await asyncio.get_running_loop().sendfile(case.transport, file, **options)


async def sendfile_of_nothing(case: Case) -> object:
    loop = asyncio.get_running_loop()
    return await loop.sendfile(case.transport, io.BytesIO(b"in memory"))


async def sendfile_while_closing(case: Case) -> object:
    case.transport.close()
    return await sendfile(case)


async def sendfile_after_closing(case: Case) -> object:
    case.transport.abort()
    await case.protocol.lost
    return await sendfile(case)


async def start_tls(case: Case) -> object:
    context = Certificates().server
    loop = asyncio.get_running_loop()
    case.far.send(b"no handshake")
    return await loop.start_tls(case.transport, case.protocol, context, server_side=True)


async def sock_call(case: Case, name: str, *args: Any) -> object:
    loop: Any = asyncio.get_running_loop()
    case.far.send(b"data")
    return await asyncio.wait_for(getattr(loop, name)(case.socket(), *args), 30)


async def watch(case: Case, name: str) -> object:
    loop: Any = asyncio.get_running_loop()
    return getattr(loop, name)(case.socket(), *([print] if name.startswith("add") else []))


async def watch_number(case: Case, name: str) -> object:
    loop: Any = asyncio.get_running_loop()
    return getattr(loop, name)(case.transport._sock_fd, print)


async def make_transport(case: Case) -> object:
    loop = asyncio.get_running_loop()
    return await loop.create_connection(Recorder, sock=case.socket())


async def write_and_look(case: Case) -> object:
    case.transport.write(b"written")
    return case.transport.get_write_buffer_size()


async def after_closing(case: Case, use: Callable[[Case], object]) -> object:
    case.transport.abort()
    await case.protocol.lost
    return use(case)


def extra(name: str) -> Callable[[Case], object]:
    return lambda case: case.transport.get_extra_info(name, "default")


def on_socket(use: Callable[[Any], object]) -> Callable[[Case], object]:
    return lambda case: use(case.socket())


def on_transport(use: Callable[[Any], object]) -> Callable[[Case], object]:
    return lambda case: use(case.transport)


INHERIT = socket.SOL_SOCKET, socket.SO_KEEPALIVE
USES: dict[str, Callable[[Case], object]] = {
    **{
        f"get_extra_info {name}": extra(name)
        for name in ("socket", "sockname", "peername", "sslcontext", "pipe", "nonsense")
    },
    "get_extra_info 5": lambda case: case.transport.get_extra_info(5),
    "get_extra_info []": lambda case: case.transport.get_extra_info([]),
    "_extra": on_transport(lambda transport: sorted(transport._extra)),
    "_extra socket": on_transport(lambda transport: transport._extra["socket"]),
    "_extra is the socket": lambda case: case.transport._extra["socket"] is case.socket(),
    "the same socket": lambda case: case.socket() is case.socket(),
    "_sock": on_transport(lambda transport: transport._sock),
    "_sock family": on_transport(lambda transport: transport._sock.family),
    "the socket's _sock": on_socket(lambda sock: sock._sock),
    "the two are one": lambda case: case.socket()._sock is case.transport._sock,
    "repr": on_transport(repr),
    "str": on_transport(str),
    "set_protocol": on_transport(lambda transport: transport.set_protocol(Recorder())),
    "is_closing": on_transport(lambda transport: transport.is_closing()),
    "is_reading": on_transport(lambda transport: transport.is_reading()),
    "pause_reading": on_transport(lambda transport: transport.pause_reading()),
    "resume_reading": on_transport(lambda transport: transport.resume_reading()),
    "limits": on_transport(lambda transport: transport.get_write_buffer_limits()),
    "write_eof": on_transport(lambda transport: transport.write_eof()),
    "can_write_eof": on_transport(lambda transport: transport.can_write_eof()),
    "_empty_waiter": on_transport(lambda transport: transport._empty_waiter),
    "pickle": on_transport(pickle.dumps),
    "weakref": on_transport(lambda transport: weakref.ref(transport)() is transport),
    "isinstance": on_socket(lambda sock: isinstance(sock, asyncio.trsock.TransportSocket)),
    "class name": on_socket(lambda sock: type(sock).__name__),
    "socket repr": on_socket(repr),
    "socket str": on_socket(str),
    "socket family": on_socket(lambda sock: sock.family),
    "socket type": on_socket(lambda sock: sock.type),
    "socket proto": on_socket(lambda sock: sock.proto),
    "socket fileno": on_socket(lambda sock: sock.fileno() >= 0),
    "socket fileno is the number": lambda case: case.socket().fileno() == case.transport._sock_fd,
    "socket getsockname": on_socket(lambda sock: sock.getsockname()),
    "socket getpeername": on_socket(lambda sock: sock.getpeername()),
    "socket getsockbyname": on_socket(lambda sock: sock.getsockbyname()),
    "socket gettimeout": on_socket(lambda sock: sock.gettimeout()),
    "socket settimeout 0": on_socket(lambda sock: sock.settimeout(0)),
    "socket settimeout 5": on_socket(lambda sock: sock.settimeout(5)),
    "socket settimeout None": on_socket(lambda sock: sock.settimeout(None)),
    "socket settimeout value": on_socket(lambda sock: sock.settimeout(value=0)),
    "socket setblocking": on_socket(lambda sock: sock.setblocking(flag=False)),
    "socket setblocking 1": on_socket(lambda sock: sock.setblocking(1)),
    "socket get_inheritable": on_socket(lambda sock: sock.get_inheritable()),
    "socket shutdown": on_socket(lambda sock: sock.shutdown(socket.SHUT_WR)),
    "socket shutdown how": on_socket(lambda sock: sock.shutdown(how=socket.SHUT_WR)),
    "socket shutdown RD": on_socket(lambda sock: sock.shutdown(socket.SHUT_RD)),
    "socket shutdown 77": on_socket(lambda sock: sock.shutdown(77)),
    "socket shutdown text": on_socket(lambda sock: sock.shutdown("text")),
    "socket shutdown nothing": on_socket(lambda sock: sock.shutdown()),
    "socket getsockopt": on_socket(lambda sock: sock.getsockopt(*INHERIT)),
    "socket getsockopt length": on_socket(
        lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    ),
    "socket getsockopt keyword": on_socket(lambda sock: sock.getsockopt(level=1, optname=2)),
    "socket getsockopt few": on_socket(lambda sock: sock.getsockopt(1)),
    "socket getsockopt text": on_socket(lambda sock: sock.getsockopt("a", 2)),
    "socket getsockopt large": on_socket(lambda sock: sock.getsockopt(1 << 40, 2)),
    "socket getsockopt unknown": on_socket(lambda sock: sock.getsockopt(1, 12345)),
    "socket getsockopt float": on_socket(lambda sock: sock.getsockopt(1.0, 2)),
    "socket setsockopt": on_socket(
        lambda sock: [sock.setsockopt(*INHERIT, 1), sock.getsockopt(*INHERIT)]
    ),
    "socket setsockopt True": on_socket(
        lambda sock: [sock.setsockopt(*INHERIT, True), sock.getsockopt(*INHERIT)]
    ),
    "socket setsockopt bytes": on_socket(
        lambda sock: [
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\7\0\0\0"),
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8),
        ]
    ),
    "socket setsockopt None": on_socket(lambda sock: sock.setsockopt(*INHERIT, None, 4)),
    "socket setsockopt large": on_socket(lambda sock: sock.setsockopt(*INHERIT, 1 << 40)),
    "socket setsockopt unknown": on_socket(lambda sock: sock.setsockopt(1, 12345, 1)),
    "socket setsockopt few": on_socket(lambda sock: sock.setsockopt(1)),
    "socket setsockopt keyword": on_socket(lambda sock: sock.setsockopt(1, 2, value=1)),
    "socket setsockopt text": on_socket(lambda sock: sock.setsockopt(1, 2, "text")),
    "socket pickle": on_socket(pickle.dumps),
    "socket copy": on_socket(copy.copy),
    "socket deepcopy": on_socket(copy.deepcopy),
    "socket __getstate__": on_socket(lambda sock: sock.__getstate__()),
    "socket weakref": on_socket(weakref.ref),
    "socket attribute": on_socket(lambda sock: setattr(sock, "note", 1)),
    "socket __dict__": on_socket(lambda sock: sock.__dict__),
    "socket set _sock": on_socket(lambda sock: setattr(sock, "_sock", sock._sock)),
    "socket close": on_socket(lambda sock: sock.close()),
    "socket send": on_socket(lambda sock: sock.send(b"x")),
    "socket detach": on_socket(lambda sock: sock.detach()),
    "socket equality": on_socket(lambda sock: [sock == sock, sock != 5, hash(sock) == hash(sock)]),
    "socket dir": on_socket(lambda sock: [name for name in dir(sock) if name[:2] != "__"]),
    "socket family is read-only": on_socket(lambda sock: setattr(sock, "family", 2)),
}
ASYNCHRONOUS: dict[str, Callable[[Case], Awaitable[object]]] = {
    "sendfile": sendfile,
    "sendfile part": lambda case: sendfile(case, offset=10, count=1000),
    "sendfile without fallback": lambda case: sendfile(case, fallback=False),
    "sendfile from memory": sendfile_of_nothing,
    "sendfile while closing": sendfile_while_closing,
    "sendfile after closing": sendfile_after_closing,
    "start_tls": start_tls,
    "sock_recv": lambda case: sock_call(case, "sock_recv", 100),
    "sock_recv_into": lambda case: sock_call(case, "sock_recv_into", bytearray(100)),
    "sock_recvfrom": lambda case: sock_call(case, "sock_recvfrom", 100),
    "sock_sendall": lambda case: sock_call(case, "sock_sendall", b"by hand"),
    "sock_sendto": lambda case: sock_call(case, "sock_sendto", b"by hand", ("127.0.0.1", 9)),
    "sock_connect": lambda case: sock_call(case, "sock_connect", ("127.0.0.1", 9)),
    "sock_accept": lambda case: sock_call(case, "sock_accept"),
    "add_reader": lambda case: watch(case, "add_reader"),
    "add_writer": lambda case: watch(case, "add_writer"),
    "remove_reader": lambda case: watch(case, "remove_reader"),
    "add_reader number": lambda case: watch_number(case, "add_reader"),
    "add_writer number": lambda case: watch_number(case, "add_writer"),
    "write": write_and_look,
}
if sys.version_info >= (3, 12):  # Before, asyncio makes a second transport of the socket.
    ASYNCHRONOUS["create_connection"] = make_transport


def shape(thing: object) -> object:
    """Return what two implementations must agree on: no numbers of descriptors, no addresses."""
    if isinstance(thing, (list, tuple)):
        return [shape(each) for each in thing]
    text = thing if isinstance(thing, str) else repr(thing)
    # What is ours by name is asyncio's to the program.
    text = text.replace("_SelectorSocketTransport", "StreamTransport").replace(
        "_UnixSelectorEventLoop", "EventLoop"
    )
    text = text.replace("aioxide.TransportSocket", "TransportSocket")
    text = re.sub(r"0x[0-9a-f]+", "0x..", text)
    text = re.sub(r"\bfd=\d+", "fd=..", text)
    text = re.sub(r"File descriptor .* is used by transport", "File descriptor is used by", text)
    text = re.sub(r"\b[0-9]{4,5}\b", "PORT", text)
    return re.sub(r"/[^ ']*/server", "SERVER", text)


async def used(case: Case, use: Callable[[Case], Any], kind: str) -> object:
    """Use one accepted connection, and return the outcome with what the peer received."""
    loop = asyncio.get_running_loop()
    made: list[Any] = []

    def factory() -> Any:
        made.append(Recorder())
        return made[-1]

    server: Any
    if kind == "unix":
        path = str(case.folder / "server")
        server = await loop.create_unix_server(factory, path)
        case.far = socket.socket(socket.AF_UNIX)
        address: Any = path
    else:
        server = await loop.create_server(factory, "::1" if kind == "ipv6" else "127.0.0.1", 0)
        case.far = socket.socket(server.sockets[0].family)
        address = server.sockets[0].getsockname()[:2]
    case.far.setblocking(False)
    await loop.sock_connect(case.far, address)
    await until(lambda: made and made[0].connected.done())
    case.protocol = made[0]
    outcome: Any
    try:
        result = use(case)
        if asyncio.iscoroutine(result):
            result = await result
        outcome = shape(result)
        del result
    except Exception as error:
        outcome = [type(error).__name__, shape(str(error))]
        if "pickle" in str(error) or "setter" in str(error) or "writable" in str(error):
            # CPython says it otherwise of a built-in class.
            del outcome[1]
        del error
    # What the peer has sent is read meanwhile: closing would reset the connection.
    await turns(20)
    with contextlib.suppress(RuntimeError):
        case.transport.write(b" end")
    case.transport.close()
    received = bytearray()
    try:
        while data := await loop.sock_recv(case.far, 1 << 20):
            received += data
    except ConnectionError as error:
        received += type(error).__name__.encode()
    case.transport.abort()
    case.transport.set_protocol(case.protocol)
    await turns(2)
    case.far.close()
    server.close()
    await server.wait_closed()
    return outcome, bytes(received)


def run(name: str, use: Callable[[Case], Any], kind: str, folder: Path) -> object:
    """Run one use on a loop of its own."""
    loop = implementation(name).new_event_loop()
    try:
        return loop.run_until_complete(used(Case(folder), use, kind))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


KINDS = ["ipv4", "ipv6", "unix"] if socket.has_ipv6 else ["ipv4", "unix"]
AFTER: dict[str, Callable[[Case], Any]] = {
    f"after closing: {name}": (lambda use: lambda case: after_closing(case, use))(USES[name])
    for name in USES
    # The number may be another connection's by then; a closed transport cannot be pickled, for
    # another reason.
    if name not in {"socket fileno is the number", "socket set _sock", "pickle"}
}


@pytest.mark.aioxide_only
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("uses", [USES, ASYNCHRONOUS, AFTER], ids=["open", "async", "closed"])
def test_first_use(
    uses: dict[str, Callable[[Case], Any]],
    kind: str,
    implementation: Implementation,
    tmp_path: Path,
) -> None:
    wanted = {name: run("asyncio", use, kind, tmp_path) for name, use in uses.items()}
    assert {name: run("aioxide", use, kind, tmp_path) for name, use in uses.items()} == wanted
