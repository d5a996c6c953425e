"""What an accepted connection tells of itself, whenever it is asked, and who has its socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Recorder, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("loop")

HOSTS = ["127.0.0.1", "0.0.0.0", "::1"]
if not socket.has_ipv6:
    HOSTS.remove("::1")


@contextlib.asynccontextmanager
async def accepted(
    host: str = "127.0.0.1", factory: Any = Recorder
) -> AsyncIterator[tuple[Any, socket.socket, Any]]:
    """One accepted connection: its protocol, the bare socket opposite, the server."""
    made: list[Any] = []

    def make() -> Any:
        made.append(factory())
        return made[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, host, 0)
    port = server.sockets[0].getsockname()[1]
    family = server.sockets[0].family
    far = socket.socket(family)
    far.setblocking(False)
    await loop.sock_connect(far, ("127.0.0.1" if host == "0.0.0.0" else host, port))
    await until(lambda: made and made[0].connected.done())
    protocol = made[0]
    try:
        yield protocol, far, server
    finally:
        far.close()
        protocol.transport.abort()
        await protocol.lost
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("host", HOSTS)
async def test_addresses(host: str) -> None:
    async with accepted(host) as (protocol, far, _):
        transport = protocol.transport
        assert transport.get_extra_info("peername") == far.getsockname()
        assert transport.get_extra_info("sockname") == far.getpeername()
        sock = transport.get_extra_info("socket")
        assert (sock.family, sock.type) == (far.family, socket.SOCK_STREAM)
        assert sock.getsockname() == far.getpeername()
        assert sock.gettimeout() == 0
        assert transport.get_extra_info("socket") is sock
        assert transport.get_extra_info("nonsense", 5) == 5


@pytest.mark.parametrize("host", HOSTS)
async def test_asked_only_after_closing(host: str) -> None:
    async with accepted(host) as (protocol, far, _):
        names = far.getsockname(), far.getpeername()
        protocol.transport.close()
        await protocol.lost
        transport = protocol.transport
        assert transport.get_extra_info("peername") == names[0]
        assert transport.get_extra_info("sockname") == names[1]
        assert transport.get_extra_info("socket").fileno() == -1
        assert transport.get_extra_info("nonsense") is None


async def test_closing_after_the_socket_was_looked_at_keeps_the_addresses() -> None:
    async with accepted() as (protocol, far, _):
        names = far.getsockname(), far.getpeername()
        transport = protocol.transport
        assert transport._sock.fileno() == transport._sock_fd
        transport.close()
        await protocol.lost
        # Whoever gets the number now is not asked.
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            assert transport.get_extra_info("peername") == names[0]
            assert transport.get_extra_info("sockname") == names[1]


async def test_asked_in_connection_lost() -> None:
    told: list[Any] = []

    class Asks(Recorder):
        def connection_lost(self, exc: Exception | None) -> None:
            transport = self.transport
            told.append([transport.get_extra_info(name) for name in ("peername", "sockname")])
            told.append(transport.get_extra_info("socket").getpeername())
            super().connection_lost(exc)

    async with accepted(factory=Asks) as (protocol, far, _):
        names = [far.getsockname(), far.getpeername()]
        protocol.transport.close()
        await protocol.lost
        assert told == [names, names[0]]


async def test_a_key_that_cannot_be_hashed_is_refused_as_by_a_dict() -> None:
    async with accepted() as (protocol, _, _server):
        with pytest.raises(TypeError, match="unhashable"):
            protocol.transport.get_extra_info([])


async def test_the_socket_goes_on_being_the_transports() -> None:
    async with accepted() as (protocol, far, _):
        transport = protocol.transport
        fd = transport.get_extra_info("socket").fileno()
        transport.write(b"after the socket was asked for")
        await turns(2)
        assert far.recv(100) == b"after the socket was asked for"
        far.send(b"and back")
        assert await protocol.received(8) == b"and back"
        transport.close()
        await protocol.lost
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


async def test_a_descriptor_that_nobody_asked_for_is_closed() -> None:
    async with accepted() as (protocol, far, _):
        fd = protocol.transport._sock_fd
        assert os.fstat(fd)
        protocol.transport.close()
        await protocol.lost
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        await turns(2)
        assert far.recv(10) == b""


async def test_no_delay() -> None:
    async with accepted() as (protocol, _, _server):
        sock = protocol.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_one_that_is_forgotten_warns_and_closes() -> None:
    fds: list[int] = []

    class Forgets(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()
            fds.append(transport._sock_fd)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Forgets, "127.0.0.1", 0)
    far = socket.socket()
    far.setblocking(False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await loop.sock_connect(far, server.sockets[0].getsockname())
        await until(lambda: fds)
        await until(lambda: gc.collect() + 1 and not is_open(fds[0]))
    assert {each.category for each in caught} == {ResourceWarning}
    assert await loop.sock_recv(far, 10) == b""
    far.close()
    server.close()
    await server.wait_closed()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_add_reader_refuses_its_descriptor_paused_or_not() -> None:
    async with accepted() as (protocol, _, _server):
        loop = asyncio.get_running_loop()
        fd = protocol.transport._sock_fd
        for act in ("is_reading", "pause_reading", "resume_reading"):
            getattr(protocol.transport, act)()
            with pytest.raises(RuntimeError, match=f"{fd} is used by transport"):
                loop.add_reader(fd, print)
        protocol.transport.abort()
        await protocol.lost
        assert loop.remove_reader(fd) is False


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close_clients is new in 3.13")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
async def test_a_server_reaches_its_connections(method: str) -> None:
    async with accepted() as (protocol, far, server), accepted() as (other, _, _other_server):
        assert protocol.transport in server._clients
        assert other.transport not in server._clients
        assert list(server._clients) == [protocol.transport]
        getattr(server, method)()
        await protocol.lost
        assert len(server._clients) == 0
        assert not other.transport.is_closing()
        with contextlib.suppress(ConnectionResetError):
            assert far.recv(10) == b""


async def test_wait_closed_waits_for_the_last_connection() -> None:
    async with accepted() as (protocol, _, server):
        if sys.version_info < (3, 12, 1):
            pytest.skip("it does so since 3.12.1")
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await turns(3)
        assert not waiting.done()
        protocol.transport.close()
        await waiting
        assert protocol.lost.done()
