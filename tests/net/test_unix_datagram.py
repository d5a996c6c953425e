"""Datagram endpoints over Unix sockets: names, and what happens when the receiver is slow.

Over loopback UDP never makes a sender wait. A Unix socket does: its queue takes a few datagrams,
then the sender has to keep the rest. So all of flow control is tested here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import (
    Contexts,
    DatagramRecorder,
    collect,
    ended,
    endpoint,
    outcome,
    sockname,
    turns,
    until,
)

pytestmark = pytest.mark.usefixtures("loop")
HEADER = 8 if sys.version_info >= (3, 13) else 0
"""What asyncio counts for a datagram beside its bytes."""


def takes_headers_off(transport: Any) -> bool:
    """The first versions of 3.13 count headers and never take them off again. We always do."""
    return (
        HEADER == 0 or hasattr(transport, "_header_size") or not hasattr(transport, "_add_reader")
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def at(path: Path) -> socket.socket:
    """Return a bare socket that has this path."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(os.fspath(path))
    sock.setblocking(False)
    return sock


async def unix(protocol: Any = DatagramRecorder, **kwargs: Any) -> Any:
    return await endpoint(protocol, family=socket.AF_UNIX, **kwargs)


def drain(sock: socket.socket) -> list[bytes]:
    """Take all that is there."""
    taken = []
    with contextlib.suppress(BlockingIOError):
        while True:
            taken.append(sock.recv(1 << 20))
    return taken


async def take(sock: socket.socket, count: int) -> list[bytes]:
    """Take until there were so many."""
    taken: list[bytes] = []
    while len(taken) < count:
        taken += drain(sock)
        await turns(1)
    return taken


# Names


async def test_paths(folder: Path) -> None:
    server = await unix(local_addr=os.fspath(folder / "server"))
    client = await unix(
        local_addr=os.fspath(folder / "client"), remote_addr=os.fspath(folder / "server")
    )
    assert client.transport.get_extra_info("peername") == sockname(server)
    client.transport.sendto(b"1")
    client.transport.sendto(b"2", os.fspath(folder / "server"))
    await server.get(2)
    address = os.fspath(folder / "client")
    assert server.received == [(b"1", address), (b"2", address)]
    assert type(server.received[0][1]) is str
    server.transport.sendto(b"back", server.received[0][1])
    server.transport.sendto(b"back", address)
    server.transport.sendto(b"back", os.fsencode(address))
    assert await client.get(3) == [b"back"] * 3
    await ended(server, client)


async def test_a_path_that_is_no_utf_8(folder: Path) -> None:
    path = os.fspath(folder) + "/\udcff\udc80"
    server = await unix(local_addr=os.fspath(folder / "server"))
    with at(Path(path)) as far:
        far.sendto(b"x", sockname(server))
        await server.get()
        assert server.received == [(b"x", path)]
        server.transport.sendto(b"back", path)
        server.transport.sendto(b"back", server.received[0][1])
        assert drain(far) == [b"back", b"back"]
    await ended(server)


async def test_abstract_names(folder: Path) -> None:
    name = f"\0{folder}/server"
    server = await unix(local_addr=name)
    assert sockname(server) == os.fsencode(name)
    client = await unix(local_addr=f"\0{folder}/client\0x", remote_addr=name)
    client.transport.sendto(b"x")
    await server.get()
    assert server.received == [(b"x", os.fsencode(f"\0{folder}/client\0x"))]
    server.transport.sendto(b"back", server.received[0][1])
    assert await client.get() == [b"back"]
    await ended(server, client)


async def test_senders_without_a_name(folder: Path) -> None:
    server = await unix(local_addr=os.fspath(folder / "server"))
    client = await unix(remote_addr=os.fspath(folder / "server"))
    client.transport.sendto(b"x")
    await server.get()
    assert server.received == [(b"x", None)]
    await ended(server, client)


async def test_a_pair() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    server = await endpoint(sock=near)
    far.send(b"question")
    assert await server.get() == [b"question"]
    assert server.received[0][1] is None
    # Neither has a name, so that to asyncio it is not connected: there is nobody to send to.
    assert server.transport.get_extra_info("peername") == ""
    server.transport.close()
    await server.lost
    far.close()


async def test_a_stale_socket_is_removed(folder: Path) -> None:
    path = os.fspath(folder / "server")
    at(Path(path)).close()
    server = await unix(local_addr=path)
    with pytest.raises(TypeError, match="string"):
        await unix(local_addr=("x", 1))
    with pytest.raises(FileNotFoundError):
        await unix(remote_addr=path + "?")
    await ended(server)


async def test_nobody_at_a_path(folder: Path) -> None:
    client = await unix()
    client.transport.sendto(b"x", os.fspath(folder / "nobody"))
    assert isinstance(await client.error(), FileNotFoundError)
    await ended(client)


@pytest.mark.parametrize("address", [1, ("127.0.0.1", 9), None])
async def test_what_is_no_path(address: Any, contexts: Contexts) -> None:
    client = await unix()
    client.transport.sendto(b"x", address)
    assert isinstance(await client.lost, TypeError)
    assert contexts.take_one()["message"] == "Fatal write error on datagram transport"


@pytest.mark.parametrize("size", [0, 1, 100_000, 200_000, 256 * 1024, 300_000])
async def test_sizes(folder: Path, size: int) -> None:
    """What is longer than `max_size` is cut off."""
    server = await unix(local_addr=os.fspath(folder / "server"))
    data = bytes(range(256)) * 2000
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if far.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 2 * size:
            pytest.skip("the system allows no datagrams of this size")
        far.sendto(data[:size], sockname(server))
        far.sendto(b"next", sockname(server))
    (got, _) = await server.get(2)
    assert got == data[: min(size, server.transport.max_size)]
    await ended(server)


# A slow receiver


async def stalled(
    folder: Path, protocol: Any = DatagramRecorder, *, connected: bool = True
) -> tuple[Any, socket.socket, int]:
    """Return an endpoint, its receiver, and how many datagrams that has, which is all it takes."""
    far = at(folder / "far")
    client = await unix(protocol, remote_addr=far.getsockname() if connected else None)
    count = 0
    while client.transport.get_write_buffer_size() == 0:
        client.transport.sendto(b"%d" % count, far.getsockname())
        count += 1
        assert count < 10_000
    return client, far, count - 1


@pytest.mark.parametrize("connected", [True, False])
async def test_what_the_socket_does_not_take_is_sent_later(folder: Path, connected: bool) -> None:
    client, far, count = await stalled(folder, connected=connected)
    size = client.transport.get_write_buffer_size()
    assert size == len(b"%d" % count) + HEADER
    client.transport.sendto(b"last", far.getsockname())
    assert client.transport.get_write_buffer_size() == size + 4 + HEADER
    assert "write=<polling" in repr(client.transport)
    expected = [*(b"%d" % number for number in range(count + 1)), b"last"]
    assert await take(far, count + 2) == expected
    await until(lambda: "write=<idle" in repr(client.transport))
    if takes_headers_off(client.transport):
        assert client.transport.get_write_buffer_size() == 0
    assert client.events == ["made"]
    far.close()
    await ended(client)


async def test_what_waits_does_not_change(folder: Path) -> None:
    client, far, count = await stalled(folder)
    data = bytearray(b"before")
    client.transport.sendto(data)
    client.transport.sendto(memoryview(data)[::2])
    data[:] = b"after!"
    assert (await take(far, count + 3))[-2:] == [b"before", b"bfr"]
    far.close()
    await ended(client)


async def test_empty_datagrams_that_wait(folder: Path) -> None:
    client, far, count = await stalled(folder)
    size = client.transport.get_write_buffer_size()
    client.transport.sendto(b"")
    assert client.transport.get_write_buffer_size() == size + HEADER
    client.transport.sendto(b"end")
    expected = [b"", b"end"] if HEADER else [b"end"]
    assert (await take(far, count + 1 + len(expected)))[count + 1 :] == expected
    far.close()
    await ended(client)


async def test_pause_and_resume(folder: Path) -> None:
    client, far, count = await stalled(folder)
    transport = client.transport
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    room = 64 * 1024 - transport.get_write_buffer_size() - HEADER
    # At the mark, and one above it.
    transport.sendto(bytes(room))
    assert transport.get_write_buffer_size() == 64 * 1024
    assert client.events == ["made"]
    transport.sendto(b"x")
    assert client.events == ["made", "pause"]
    transport.sendto(b"x")
    assert client.events == ["made", "pause"]
    await take(far, count + 4)
    await until(lambda: "resume" in client.events)
    assert client.events == ["made", "pause", "resume"]
    far.close()
    await ended(client)


LIMITS: list[tuple[dict[str, Any], object]] = [
    ({"high": 1000}, (250, 1000)),
    ({"low": 1000}, (1000, 4000)),
    ({"high": 0}, (0, 0)),
    ({"high": 5, "low": 6}, ValueError),
    ({"high": -1}, ValueError),
    ({"high": "many"}, TypeError),
]


@pytest.mark.parametrize(("arguments", "expected"), LIMITS)
async def test_limits(arguments: dict[str, Any], expected: object) -> None:
    client = await unix()
    transport = client.transport
    got = outcome(lambda: transport.set_write_buffer_limits(**arguments))
    if isinstance(expected, tuple):
        assert got is None
        assert transport.get_write_buffer_limits() == expected
    else:
        assert got is expected
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    await ended(client)


async def test_a_limit_below_what_waits_pauses_at_once(folder: Path) -> None:
    client, far, count = await stalled(folder)
    client.transport.set_write_buffer_limits(high=0)
    assert client.events == ["made", "pause"]
    await take(far, count + 1)
    if takes_headers_off(client.transport):
        await until(lambda: "resume" in client.events)
    far.close()
    await ended(client)


async def test_sending_in_resume_writing(folder: Path) -> None:
    class Goes(DatagramRecorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if "more" not in self.events:
                self.events.append("more")
                self.transport.sendto(b"more")

    client, far, count = await stalled(folder, Goes)
    client.transport.sendto(bytes(64 * 1024))
    taken = await take(far, count + 3)
    assert taken[-1] == b"more"
    assert client.events == ["made", "pause", "resume", "more"]
    far.close()
    await ended(client)


@pytest.mark.parametrize("place", ["pause_writing", "resume_writing"])
async def test_exceptions_in_flow_control(folder: Path, place: str, contexts: Contexts) -> None:
    class Breaks(DatagramRecorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            if place == "pause_writing":
                raise LookupError("in the protocol")

        def resume_writing(self) -> None:
            super().resume_writing()
            if place == "resume_writing":
                raise LookupError("in the protocol")

    client, far, count = await stalled(folder, Breaks)
    client.transport.sendto(bytes(64 * 1024))
    await take(far, count + 2)
    await until(lambda: "resume" in client.events)
    context = contexts.take_one()
    assert context["message"] == f"protocol.{place}() failed"
    assert isinstance(context["exception"], LookupError)
    assert context["transport"] is client.transport
    far.close()
    await ended(client)


async def test_close_sends_what_waits(folder: Path) -> None:
    client, far, count = await stalled(folder)
    client.transport.close()
    # It still takes more, as asyncio does, and sends it too.
    client.transport.sendto(b"late")
    await turns(3)
    assert client.events == ["made"]
    assert client.transport.is_closing()
    far.settimeout(0)
    assert (await take(far, count + 2))[-1] == b"late"
    assert await client.lost is None
    assert client.events == ["made", "lost"]
    assert client.transport.get_protocol() is None
    far.close()


async def test_abort_drops_what_waits(folder: Path) -> None:
    client, far, count = await stalled(folder)
    client.transport.abort()
    assert await client.lost is None
    assert len(drain(far)) == count
    assert client.events == ["made", "lost"]
    far.close()


async def test_an_error_of_one_that_waits_is_not_that_of_the_next(folder: Path) -> None:
    client, far, count = await stalled(folder, connected=False)
    with at(folder / "other") as other:
        client.transport.sendto(b"1", os.fspath(folder / "nobody"))
        client.transport.sendto(b"2", other.getsockname())
        client.transport.sendto(b"3", os.fspath(folder / "nobody"))
        assert len(await take(far, count + 1)) == count + 1
        assert await take(other, 1) == [b"2"]
        await until(lambda: len(client.errors) == 2)
    assert {type(error) for error in client.errors} == {FileNotFoundError}
    await until(lambda: "write=<idle" in repr(client.transport))
    far.close()
    await ended(client)


async def test_closing_in_error_received_drops_the_rest(folder: Path) -> None:
    class Ends(DatagramRecorder):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            self.transport.abort()

    client, far, count = await stalled(folder, Ends, connected=False)
    with at(folder / "other") as other:
        client.transport.sendto(b"1", os.fspath(folder / "nobody"))
        client.transport.sendto(b"2", other.getsockname())
        assert len(await take(far, count + 1)) == count + 1
        assert await client.lost is None
        assert drain(other) == []
    assert client.events == ["made", "error", "lost"]
    far.close()


async def test_a_receiver_that_goes_away(folder: Path) -> None:
    client, far, _ = await stalled(folder)
    client.transport.sendto(b"last")
    far.close()
    await until(lambda: len(client.errors) == 2)
    assert client.errors[0].errno == errno.ECONNREFUSED
    assert client.errors[1].errno in (errno.ECONNREFUSED, errno.ENOTCONN)
    await until(lambda: "write=<idle" in repr(client.transport))
    client.transport.abort()
    await client.lost


async def test_a_mistake_among_those_that_wait(folder: Path, contexts: Contexts) -> None:
    client, far, count = await stalled(folder, connected=False)
    client.transport.sendto(b"1", ("127.0.0.1", 9))
    assert len(await take(far, count + 1)) == count + 1
    assert isinstance(await client.lost, TypeError)
    # asyncio's own then stumbles over the loop that it has let go of.
    assert contexts.take()[0]["message"] == "Fatal write error on datagram transport"
    far.close()


def test_forgotten_with_something_waiting(folder: Path, loop: asyncio.AbstractEventLoop) -> None:
    """Everything goes with the loop that is closed."""
    client, far, _ = loop.run_until_complete(stalled(folder))
    loop.close()
    far.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        collect()
    assert any("unclosed transport <" in str(warning.message) for warning in caught)
    assert {warning.category for warning in caught} == {ResourceWarning}


async def test_many_both_ways(folder: Path) -> None:
    """Every datagram arrives, in order, however often either side has to wait."""

    class Echo(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.sendto(data, addr)

    server = await unix(Echo, local_addr=os.fspath(folder / "server"))
    client = await unix(
        local_addr=os.fspath(folder / "client"), remote_addr=os.fspath(folder / "server")
    )
    messages = [b"%d" % number * 10 for number in range(500)]
    for message in messages:
        client.transport.sendto(message)
    assert await client.get(500) == messages
    assert server.messages == messages
    await ended(client, server)
