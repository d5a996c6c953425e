"""What goes through pipes, Unix sockets and sendfile: both ends in the loop under test.

Workloads as in workloads.py; an operation is one message or one round trip. Every byte is counted
at the other end.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tempfile
from typing import TYPE_CHECKING, Any, cast

from workload import Workload, expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from implementations import Environment

SMALL, MEDIUM, LARGE = 64, 64 * 1024, 1 << 20
CONNECTIONS = 10


class Sink(asyncio.Protocol):
    """Counts what comes, until all of it is there."""

    def __init__(self, env: Environment, amount: int) -> None:
        self.done = env.create_future()
        self.left = amount

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left <= 0:
            self.done.set_result(None)


class Source(asyncio.Protocol):
    """Writes as many pieces as it is asked for, as fast as flow control lets it."""

    transport: Any

    def __init__(self, piece: bytes, count: int) -> None:
        self.piece = piece
        self.left = count
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.write()

    def write(self) -> None:
        while self.left and not self.paused:
            self.left -= 1
            self.transport.write(self.piece)


class Answer(asyncio.Protocol):
    """Sends back what came, through a transport that may be another one."""

    out: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.out is None:
            self.out = transport

    def data_received(self, data: bytes) -> None:
        self.out.write(data)


class Rounds(Answer):
    """Sends one message again whenever it comes back."""

    def __init__(self, env: Environment, count: int) -> None:
        self.done = env.create_future()
        self.left = count

    def data_received(self, data: bytes) -> None:
        expect(len(data) == SMALL, f"{len(data)} bytes came of {SMALL}")
        self.left -= 1
        if self.left:
            self.out.write(data)
        else:
            self.done.set_result(None)


async def pipe_ends(env: Environment, reader: Any, writer: Any) -> tuple[Any, Any]:
    near, far = os.pipe()
    receiving, _ = await env.loop.connect_read_pipe(lambda: reader, io.FileIO(near, "r"))
    sending, _ = await env.loop.connect_write_pipe(lambda: writer, io.FileIO(far, "w"))
    return receiving, sending


async def socket_ends(env: Environment, near: Any, far: Any) -> tuple[Any, Any]:
    one, other = socket.socketpair()
    first, _ = await env.loop.create_unix_connection(lambda: near, sock=one)
    second, _ = await env.loop.create_unix_connection(lambda: far, sock=other)
    return first, second


async def transfer(env: Environment, connect: Any, size: int, n: int) -> None:
    sink, source = Sink(env, n * size), Source(b"x" * size, n)
    ends = await connect(env, sink, source)
    source.write()
    await sink.done
    expect(sink.left == 0, f"{-sink.left} bytes too many")
    for end in ends:
        end.close()
    await asyncio.sleep(0)


async def pipe_64k(env: Environment, n: int) -> None:
    await transfer(env, pipe_ends, MEDIUM, n)


async def pipe_1m(env: Environment, n: int) -> None:
    await transfer(env, pipe_ends, LARGE, n)


async def pipe_4k(env: Environment, n: int) -> None:
    await transfer(env, pipe_ends, 4096, n)


async def unix_64k(env: Environment, n: int) -> None:
    await transfer(env, socket_ends, MEDIUM, n)


async def pipe_round_trip(env: Environment, n: int) -> None:
    """There through one pipe, back through another."""
    rounds, answer = Rounds(env, n), Answer()
    idle = asyncio.BaseProtocol()
    back, answer.out = await pipe_ends(env, rounds, idle)
    there, rounds.out = await pipe_ends(env, answer, idle)
    rounds.out.write(b"x" * SMALL)
    await rounds.done
    for end in (back, there, answer.out, rounds.out):
        end.close()
    await asyncio.sleep(0)


class Counted(Answer):
    """In a set while it is connected."""

    def __init__(self, connected: set[Counted]) -> None:
        super().__init__()
        self._connected = connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connected.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connected.discard(self)


async def unix_echo(env: Environment, n: int) -> None:
    """A server at a path and connections to it, each with one message under way."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        served: set[Counted] = set()
        server = await env.loop.create_unix_server(lambda: Counted(served), path)
        clients = [Rounds(env, n // CONNECTIONS) for _ in range(CONNECTIONS)]
        waiting = iter(clients)
        for _ in clients:
            await env.loop.create_unix_connection(lambda: next(waiting), path)
        for client in clients:
            client.out.write(b"x" * SMALL)
        for client in clients:
            await client.done
            client.out.close()
        server.close()
        await server.wait_closed()
        while served:  # up to 3.11 nobody has waited for its connections
            await asyncio.sleep(0)


async def sendfile_64k(env: Environment, n: int) -> None:
    """A file of 64 KiB, again and again, to a socket."""
    sink = Sink(env, n * MEDIUM)
    near, far = await socket_ends(env, sink, asyncio.Protocol())
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * MEDIUM)
        file.flush()
        for _ in range(n):
            sent = await env.loop.sendfile(cast("asyncio.WriteTransport", far), file)
            expect(sent == MEDIUM, f"{sent} bytes sent of {MEDIUM}")
    await sink.done
    near.close()
    far.close()
    await asyncio.sleep(0)


def _row(
    title: str, run: Callable[[Environment, int], Awaitable[None]], unit: int = 1
) -> tuple[str, Workload]:
    name = run.__name__.replace("_", "-")
    return name, Workload(name, title, run, unit, short=run in (pipe_64k, sendfile_64k))


WORKLOADS = dict(
    [
        _row("4 KiB through a pipe", pipe_4k),
        _row("64 KiB through a pipe", pipe_64k),
        _row("1 MiB through a pipe", pipe_1m),
        _row("64 B there and back, two pipes", pipe_round_trip),
        _row("64 KiB through a Unix socket", unix_64k),
        _row(f"64 B echo, {CONNECTIONS} Unix connections", unix_echo, 500 * CONNECTIONS),
        _row("64 KiB file to a Unix socket", sendfile_64k),
    ]
)
