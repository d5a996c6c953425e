"""create_connection with every keyword, connect_accepted_socket, and the streams on top."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from helpers import (
    Recorder,
    Service,
    gone,
    port_of,
    recv_all,
    recv_exactly,
    refused_port,
    tcp_pair,
    turns,
)

pytestmark = pytest.mark.usefixtures("loop")


async def test_connection_by_name() -> None:
    service = await Service().start()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        Recorder, "localhost", port_of(service.server), family=socket.AF_INET
    )
    await service.accepted()
    await gone(protocol)
    await service.close()


async def test_connection_with_a_ready_socket() -> None:
    service = await Service().start()
    sock = socket.create_connection(service.server.sockets[0].getsockname())
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Recorder, sock=sock)
    assert transport.get_extra_info("socket").fileno() == sock.fileno()
    assert sock.gettimeout() == 0
    await service.accepted()
    await gone(protocol)
    assert sock.fileno() == -1
    await service.close()


async def test_local_address() -> None:
    service = await Service().start()
    client = await service.dial(local_addr=("127.0.0.3", 0))
    (accepted,) = await service.accepted()
    assert accepted.transport.get_extra_info("peername")[0] == "127.0.0.3"
    await gone(client)
    await service.close()


async def test_refused() -> None:
    loop = asyncio.get_running_loop()
    port = refused_port()
    with pytest.raises(ConnectionRefusedError) as info:
        await loop.create_connection(Recorder, "127.0.0.1", port)
    assert f"'127.0.0.1', {port}" in str(info.value)
    assert info.value.errno == errno.ECONNREFUSED


async def test_several_addresses_fail(loop: asyncio.AbstractEventLoop) -> None:
    port = refused_port()

    async def several(*args: object, **kwargs: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in ("127.0.0.1", "127.0.0.2")
        ]

    loop.getaddrinfo = several  # type: ignore[assignment]
    try:
        with pytest.raises(OSError, match="Multiple exceptions") as info:
            await loop.create_connection(Recorder, "two.invalid", port)
        assert "127.0.0.2" in str(info.value)
        if sys.version_info >= (3, 12):  # all_errors is new there
            with pytest.raises(ExceptionGroup) as group:
                await loop.create_connection(Recorder, "two.invalid", port, all_errors=True)
            assert [type(exc) for exc in group.value.exceptions] == [ConnectionRefusedError] * 2
    finally:
        del loop.getaddrinfo


@pytest.mark.parametrize("delay", [None, 0.001, 10.0])
@pytest.mark.parametrize("interleave", [None, 0, 1, 2])
async def test_happy_eyeballs(
    loop: asyncio.AbstractEventLoop, delay: float | None, interleave: int | None
) -> None:
    """The first address refuses and the second one answers, whatever the options."""
    service = await Service().start()
    bad, good = refused_port(), port_of(service.server)

    async def several(host: Any, *args: object, **kwargs: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            for port in (bad, good, bad)
        ]

    loop.getaddrinfo = several  # type: ignore[assignment]
    try:
        _, protocol = await loop.create_connection(
            Recorder, "three.invalid", good, happy_eyeballs_delay=delay, interleave=interleave
        )
    finally:
        del loop.getaddrinfo
    await service.accepted()
    assert protocol.transport.get_extra_info("peername") == ("127.0.0.1", good)
    await gone(protocol)
    await service.close()


async def test_no_such_name(loop: asyncio.AbstractEventLoop) -> None:
    async def nothing(*args: object, **kwargs: object) -> list[Any]:
        return []

    loop.getaddrinfo = nothing  # type: ignore[assignment]
    try:
        with pytest.raises(OSError, match=r"getaddrinfo\(\) returned empty list"):
            await loop.create_connection(Recorder, "nobody.invalid", 1)
    finally:
        del loop.getaddrinfo


@contextlib.contextmanager
def full_listener() -> Iterator[socket.socket]:
    """A full queue leaves who connects next in the middle of the handshake."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


async def test_cancelling_a_connection(loop: asyncio.AbstractEventLoop) -> None:
    """Cancelled in the middle, it closes its socket: the fixture counts descriptors."""
    with full_listener() as listener:
        task = loop.create_task(loop.create_connection(Recorder, *listener.getsockname()))
        await turns(5)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("end", ["made", "cancelled", "reset"])
async def test_connecting_to_loopback_ends_while_its_waiter_is_awaited(
    loop: asyncio.AbstractEventLoop, end: str
) -> None:
    """The factory runs only after the kernel has reported the connection."""
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(loop.create_connection(factory, *listener.getsockname()))
        await turns(1)
        assert not made
        while not made:
            await turns(1)
        assert not task.done()
        conn, _ = listener.accept()
        with conn:
            if end == "reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                conn.close()
            elif end == "cancelled":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await made[0].lost is None
                assert conn.recv(1) == b""
                return
            transport, protocol = await task
            assert protocol is made[0]
            if end == "reset":
                assert isinstance(await made[0].lost, ConnectionResetError)
            else:
                assert transport.get_extra_info("sockname") == conn.getpeername()
                await gone(made[0])


async def test_connect_accepted_socket() -> None:
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    transport, protocol = await loop.connect_accepted_socket(Recorder, near)
    assert protocol.transport is transport
    far.send(b"accepted elsewhere")
    assert await protocol.received(18) == b"accepted elsewhere"
    await gone(protocol)
    far.close()


async def test_streams() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(b"one\ntwo\n")
    assert await reader.readline() == b"ONE\n"
    assert await reader.readexactly(4) == b"TWO\n"
    writer.writelines([b"a", b"b", b"\n"])
    assert await reader.readuntil(b"\n") == b"AB\n"
    writer.write_eof()
    assert await reader.read() == b""
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_streams_with_much_data() -> None:
    size = 4 << 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(size)
        writer.write(data[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 16)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    data = bytes(range(256)) * (size // 256)
    writer.write(data)
    await writer.drain()
    assert await reader.read() == data[::-1]
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_bare_client(loop: asyncio.AbstractEventLoop) -> None:
    """The server's side against sock_* on the other."""
    service = await Service().start()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, service.server.sockets[0].getsockname())
        (accepted,) = await service.accepted()
        accepted.transport.write(b"hello")
        assert await recv_exactly(client, 5) == b"hello"
        accepted.transport.close()
        assert await recv_all(client) == b""
    await service.close()


async def test_what_a_client_tells_of_its_socket() -> None:
    """Addresses and socket, asked for while it is open, after it is closed, or never."""
    service = await Service().start()
    name = service.server.sockets[0].getsockname()
    for number, when in enumerate(("open", "closed", "both"), 1):
        transport, protocol = await asyncio.get_running_loop().create_connection(Recorder, *name)
        accepted = (await service.accepted(number))[-1]
        here = accepted.transport.get_extra_info("peername")
        if when != "closed":
            sock = transport.get_extra_info("socket")
            assert sock.fileno() >= 0
            assert (sock.getsockname(), sock.getpeername()) == (here, name)
            assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
        await gone(protocol)
        if when != "open":
            assert transport.get_extra_info("sockname") == here
            assert transport.get_extra_info("peername") == name
            sock = transport.get_extra_info("socket")
            assert sock.fileno() == -1
            assert (sock.family, sock.proto) == (socket.AF_INET, socket.IPPROTO_TCP)
    await service.close()


async def test_a_socket_that_is_not_connected(loop: asyncio.AbstractEventLoop) -> None:
    """It has one address, and the first read fails."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        transport, protocol = await loop.create_connection(Recorder, sock=sock)
        assert transport.get_extra_info("sockname") == sock.getsockname()
        assert transport.get_extra_info("peername") is None
        await gone(protocol)


async def test_an_address_of_the_other_family() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(socket.gaierror):
            await loop.sock_connect(sock, ("::1", 1))
    with pytest.raises(OSError, match=r"'::1'|not permitted|[Aa]ddress family|unreachable|Cannot"):
        await loop.create_connection(Recorder, "::1", refused_port())


@pytest.mark.parametrize(
    "address",
    [
        ("127.0.0.1", -1),
        ("127.0.0.1", 65536),
        ("127.0.0.1", 1.5),
        ("127.0.0.1", None),
        ("127.0.0.1",),
        ("127.0.0.1", 1, 0),
        ("127.1", True),
        ("127.0.0.01", 1),
        (b"127.0.0.1", 1),
        ["127.0.0.1", 1],
        ("127.0.0.1\0", 1),
        "127.0.0.1",
        None,
    ],
)
async def test_addresses_that_are_none(address: Any) -> None:
    """Each is refused as by asyncio, or connects to nobody."""

    async def attempt(loop: asyncio.AbstractEventLoop) -> tuple[type, str]:
        with socket.socket() as sock:
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, address)
            except Exception as error:
                return type(error), str(error)
        return type(None), ""

    def control() -> tuple[type, str]:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(attempt(runner.get_loop()))

    loop = asyncio.get_running_loop()
    expected = await loop.run_in_executor(None, control)
    assert await attempt(loop) == expected


@pytest.mark.parametrize(
    "step", ["_ensure_resolved", "_connect_sock", "_create_connection_transport", "sock_connect"]
)
@pytest.mark.parametrize("where", ["instance", "class"])
async def test_a_step_that_somebody_has_replaced(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, step: str, where: str
) -> None:
    original = getattr(loop, step)
    called = []

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        called.append(step)
        if where == "class":
            args = args[1:]
        return await original(*args, **kwargs)

    service = await Service().start()
    monkeypatch.setattr(loop if where == "instance" else type(loop), step, replaced)
    _, protocol = await loop.create_connection(Recorder, *service.server.sockets[0].getsockname())
    assert called
    await service.accepted()
    await gone(protocol)
    await service.close()


async def test_a_guard_in_the_class_of_sockets(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who forbids connections replaces `socket.connect`: nobody connects past it."""

    def forbidden(sock: socket.socket, address: object) -> None:
        raise PermissionError(f"no connection to {address}")

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setblocking(False)
        name = listener.getsockname()
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "connect", forbidden)
            with pytest.raises(PermissionError, match="no connection to"):
                await loop.sock_connect(client, name)
            with pytest.raises(PermissionError, match="no connection to"):
                await loop.create_connection(Recorder, *name)
        _, protocol = await loop.create_connection(Recorder, *name)
        await gone(protocol)


async def test_a_socket_with_a_time_limit(loop: asyncio.AbstractEventLoop) -> None:
    """Only debug mode asks for non-blocking sockets."""
    loop.set_debug(False)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.settimeout(5)
        await loop.sock_connect(client, listener.getsockname())
        assert client.getpeername() == listener.getsockname()
    with full_listener() as listener, socket.socket() as client:
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):
            await loop.sock_connect(client, listener.getsockname())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
async def test_addresses_of_ipv6(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        name = listener.getsockname()
        for host in ("::1", "0:0:0:0:0:0:0:1"):
            with socket.socket(socket.AF_INET6) as client:
                client.setblocking(False)
                await loop.sock_connect(client, (host, name[1]))
                assert client.getpeername() == name
        transport, protocol = await loop.create_connection(Recorder, *name[:2])
        assert transport.get_extra_info("peername") == name
        await gone(protocol)
    for address in (name[:2], name):
        with socket.socket(socket.AF_INET6) as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError) as info:
                await loop.sock_connect(client, address)
            assert info.value.args[1] == f"Connect call failed ('::1', {name[1]}, 0, 0)"
    with pytest.raises(ConnectionRefusedError) as info:
        await loop.create_connection(Recorder, *name[:2])
    assert info.value.args[1] == f"Connect call failed ('::1', {name[1]}, 0, 0)"


async def test_a_factory_that_fails(loop: asyncio.AbstractEventLoop) -> None:
    """The connection is closed; until 3.14.8 by the collector, if asyncio's own code makes it."""

    def fails() -> asyncio.Protocol:
        raise LookupError("no protocol")

    service = await Service().start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(LookupError):
            await loop.create_connection(fails, *service.server.sockets[0].getsockname())
        gc.collect()
    (accepted,) = await service.accepted()
    assert await accepted.lost is None
    await service.close()
