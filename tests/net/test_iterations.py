"""In which iteration each callback of a new connection runs: the same one as on asyncio.

Each scenario runs on stock asyncio and on aioxide, with the same random pauses, beside a callback
that counts the iterations. Both must write down the same record.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import implementation

pytestmark = pytest.mark.aioxide_only
Factory = Callable[[str], Callable[[], Any]]


class Trace:
    """Records what happens with the iteration in which it does."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.iteration = 0
        self.events: list[tuple[int, str]] = []
        self.going = True
        self.transports: list[Any] = []
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self._count)

    def _count(self) -> None:
        self.iteration += 1
        if self.going:
            self.loop.call_soon(self._count)

    def note(self, what: str) -> None:
        self.events.append((self.iteration, what))

    def factory(self, name: str) -> Callable[[], Any]:
        def make() -> Any:
            self.note(f"{name} factory")
            return Noting(self, name)

        return make

    async def idle(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def until(self, what: str) -> None:
        while not any(event == what for _, event in self.events):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for transport in self.transports:
            await self.idle()
            transport.close()
        for _ in range(8):
            await asyncio.sleep(0)


class Noting(asyncio.Protocol, asyncio.DatagramProtocol):
    """Notes each call it gets."""

    def __init__(self, trace: Trace, name: str) -> None:
        self.trace = trace
        self.name = name

    def connection_made(self, transport: Any) -> None:
        self.trace.note(f"{self.name} made")
        self.trace.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        self.trace.note(f"{self.name} received {data!r}")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.trace.note(f"{self.name} received {data!r}")

    def eof_received(self) -> None:
        self.trace.note(f"{self.name} eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.trace.note(f"{self.name} lost")


async def noted(trace: Trace, name: str, made: Awaitable[Any]) -> Any:
    """Await what is made, and note when it came."""
    result = await made
    trace.note(f"{name} returned")
    return result


async def tcp(trace: Trace, tmp: Path) -> None:
    server = await noted(
        trace, "server", trace.loop.create_server(trace.factory("far"), "127.0.0.1", 0)
    )
    address = server.sockets[0].getsockname()
    await trace.idle()
    near = [
        trace.loop.create_task(
            noted(trace, f"near {i}", trace.loop.create_connection(trace.factory("near"), *address))
        )
        for i in range(trace.random.randrange(1, 4))
    ]
    for task in near:
        transport, _ = await task
        await trace.idle()
        transport.write(b"x")
    await trace.until("far received b'x'")
    await trace.close()
    server.close()
    await noted(trace, "wait_closed", server.wait_closed())


async def tcp_by_name(trace: Trace, tmp: Path) -> None:
    """A given socket, and a family that is no numeric address of ours."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = await noted(trace, "server", trace.loop.create_server(trace.factory("far"), sock=sock))
    await trace.idle()
    transport, _ = await noted(
        trace,
        "near",
        trace.loop.create_connection(
            trace.factory("near"), *sock.getsockname(), family=socket.AF_INET
        ),
    )
    transport.write(b"x")
    await trace.until("far received b'x'")
    await trace.close()
    server.close()


async def streams(trace: Trace, tmp: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trace.note("far begun")
        trace.note(f"far read {await reader.read(10)!r}")
        writer.write(b"answer")
        await writer.drain()
        trace.note("far drained")
        writer.close()
        await noted(trace, "far wait_closed", writer.wait_closed())

    server = await noted(trace, "server", asyncio.start_server(serve, "127.0.0.1", 0))
    await trace.idle()
    reader, writer = await noted(
        trace, "near", asyncio.open_connection(*server.sockets[0].getsockname())
    )
    await trace.idle()
    writer.write(b"question")
    trace.note(f"near read {await reader.read(10)!r}")
    await noted(trace, "near end", reader.read(10))
    writer.close()
    await noted(trace, "near wait_closed", writer.wait_closed())
    await trace.close()
    server.close()


async def unix(trace: Trace, tmp: Path) -> None:
    path = str(tmp / "socket")
    server = await noted(trace, "server", trace.loop.create_unix_server(trace.factory("far"), path))
    await trace.idle()
    transport, _ = await noted(
        trace, "near", trace.loop.create_unix_connection(trace.factory("near"), path)
    )
    await trace.idle()
    transport.write(b"x")
    await trace.until("far received b'x'")
    await trace.close()
    server.close()
    Path(path).unlink(missing_ok=True)


async def unix_streams(trace: Trace, tmp: Path) -> None:
    path = str(tmp / "socket")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trace.note(f"far read {await reader.read(10)!r}")
        writer.close()

    server = await noted(trace, "server", asyncio.start_unix_server(serve, path))
    reader, writer = await noted(trace, "near", asyncio.open_unix_connection(path))
    await trace.idle()
    writer.write(b"question")
    await noted(trace, "near end", reader.read(10))
    writer.close()
    await trace.close()
    server.close()
    Path(path).unlink(missing_ok=True)


async def accepted(trace: Trace, tmp: Path) -> None:
    near, far = socket.socketpair()
    transport, _ = await noted(
        trace, "near", trace.loop.create_connection(trace.factory("near"), sock=near)
    )
    transport.write(b"x")
    await trace.idle()
    await noted(trace, "far", trace.loop.connect_accepted_socket(trace.factory("far"), far))
    await trace.until("far received b'x'")
    await trace.close()


async def datagrams(trace: Trace, tmp: Path) -> None:
    far, _ = await noted(
        trace,
        "far",
        trace.loop.create_datagram_endpoint(trace.factory("far"), local_addr=("127.0.0.1", 0)),
    )
    await trace.idle()
    near, _ = await noted(
        trace,
        "near",
        trace.loop.create_datagram_endpoint(
            trace.factory("near"), remote_addr=far.get_extra_info("sockname")
        ),
    )
    await trace.idle()
    near.sendto(b"x")
    await trace.until("far received b'x'")
    await trace.close()


async def pipes(trace: Trace, tmp: Path) -> None:
    read, write = os.pipe()
    await noted(
        trace,
        "reader",
        trace.loop.connect_read_pipe(trace.factory("reader"), os.fdopen(read, "rb")),
    )
    await trace.idle()
    writer, _ = await noted(
        trace,
        "writer",
        trace.loop.connect_write_pipe(trace.factory("writer"), os.fdopen(write, "wb")),
    )
    await trace.idle()
    writer.write(b"x")
    await trace.until("reader received b'x'")
    await trace.close()


async def sockets(trace: Trace, tmp: Path) -> None:
    """The loop's sock_* operations, which wait or not."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    near = socket.socket()
    near.setblocking(False)
    waiting = trace.loop.create_task(noted(trace, "accept", trace.loop.sock_accept(listener)))
    await trace.idle()
    await noted(trace, "connect", trace.loop.sock_connect(near, listener.getsockname()))
    far, _ = await waiting
    receiving = trace.loop.create_task(noted(trace, "recv", trace.loop.sock_recv(far, 10)))
    await trace.idle()
    await noted(trace, "sendall", trace.loop.sock_sendall(near, b"x"))
    await receiving
    for sock in (listener, near, far):
        sock.close()


async def cancelled(trace: Trace, tmp: Path) -> None:
    """A task that is cancelled at its first await, while it connects."""
    server = await trace.loop.create_server(trace.factory("far"), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def dial() -> None:
        try:
            await trace.loop.create_connection(trace.factory("near"), *address)
            trace.note("connected")
        except asyncio.CancelledError:
            trace.note("cancelled")
            raise

    task = trace.loop.create_task(dial())
    for _ in range(trace.random.randrange(1, 7)):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    trace.note("gathered")
    for _ in range(6):
        await asyncio.sleep(0)
    await trace.close()
    server.close()


SCENARIOS = [
    tcp,
    tcp_by_name,
    streams,
    unix,
    unix_streams,
    accepted,
    datagrams,
    pipes,
    sockets,
    cancelled,
]


def record(name: str, scenario: Any, seed: int, tmp: Path) -> list[tuple[int, str]]:
    """Run a scenario on a new loop of one implementation; return what it noted."""

    async def main() -> list[tuple[int, str]]:
        trace = Trace(seed)
        await scenario(trace, tmp)
        trace.going = False
        await asyncio.sleep(0)
        return trace.events

    loop = implementation(name).new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_same_iterations(scenario: Any, seed: int, tmp_path: Path) -> None:
    expected = record("asyncio", scenario, seed, tmp_path)
    assert record("aioxide", scenario, seed, tmp_path) == expected
    assert len(expected) > 3
