"""Writes from everywhere while corked connections are flushed: each peer gets its own bytes.

A seeded script writes to many connections in one iteration. Bytes with finalizers, a log handler,
an exception handler and protocols' destructors write again while the loop flushes. Every payload
names its connection and its number in it, so a byte that is lost, doubled, reordered or sent to
another connection is found. asyncio, which sends at each write, is the control.
"""

from __future__ import annotations

import asyncio
import logging
import random
import select
import socket
from typing import TYPE_CHECKING, Any, Self

import pytest

from helpers import Recorder, attach, tcp_pair, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers import Contexts

pytestmark = pytest.mark.usefixtures("loop")
SIZES = [3, 3, 3, 60, 300, 5000, 17_000, 40_000]


class Peer:
    """A connection of the storm: what was written to it, and what has arrived."""

    def __init__(self, name: int, protocol: Any, far: socket.socket) -> None:
        self.name = name
        self.protocol = protocol
        self.far = far
        self.written = bytearray()
        self.arrived = bytearray()
        self.count = 0
        self.is_reset = False

    def payload(self, size: int) -> bytes:
        """Return the next bytes of this connection, which identify it."""
        mark = b"<%d:%d>" % (self.name, self.count)
        self.count += 1
        return (mark * (size // len(mark) + 1))[: max(size, len(mark))]

    def receive(self) -> None:
        """Receive what is there, and compare it with what was written."""
        while select.select([self.far], [], [], 0)[0]:
            try:
                data = self.far.recv(1 << 20)
            except ConnectionError:
                return
            if not data:
                return
            at = len(self.arrived)
            assert data == self.written[at : at + len(data)], f"connection {self.name} at {at}"
            self.arrived += data


class Storm:
    """Writes at random, also from finalizers."""

    def __init__(self, seed: int, peers: list[Peer]) -> None:
        self.random = random.Random(seed)
        self.peers = peers
        self.budget = 0

    def write(self, kinds: int = 5) -> None:
        """Write once to some connection; `kinds` 3 makes no finalizers."""
        peer = self.random.choice(self.peers)
        data = peer.payload(self.random.choice(SIZES))
        # What is written to a connection that is ending goes nowhere, with or without a finalizer.
        if peer.protocol.transport._conn_lost:
            return
        peer.written += data
        transport = peer.protocol.transport
        kind = self.random.randrange(kinds)
        if kind == 0:
            transport.write(data)
        elif kind == 1:
            transport.write(bytearray(data))
        elif kind == 2:
            transport.writelines([data[:2], memoryview(data)[2:]])
        elif kind == 3:
            transport.write(self.bomb(data))
        else:
            transport.writelines([self.bomb(data[:1]), self.bomb(data[1:])])

    def bomb(self, data: bytes) -> bytes:
        return Bomb(data, self)

    def burst(self) -> None:
        """Write from a finalizer or a handler, as long as the budget of this step lasts."""
        while self.budget > 0 and self.random.random() < 0.6:
            self.budget -= 1
            self.write()

    def step(self, writes: int, budget: int) -> None:
        self.budget = budget
        for _ in range(writes):
            self.write()


class Bomb(bytes):
    """Bytes that write when they are dropped."""

    storm: Storm

    def __new__(cls, data: bytes, storm: Storm) -> Self:
        made = super().__new__(cls, data)
        made.storm = storm
        return made

    def __del__(self) -> None:
        self.storm.burst()


class Writes(logging.Handler):
    """A log handler that writes to connections, as one that ships records does."""

    def __init__(self, storm: Storm) -> None:
        super().__init__()
        self.storm = storm

    def emit(self, record: logging.LogRecord) -> None:
        self.storm.burst()


async def connected(count: int) -> list[Peer]:
    return [Peer(number, *await attach()) for number in range(count)]


async def settle(peers: list[Peer]) -> None:
    """Receive until everything that was written to living connections has arrived."""
    while True:
        for peer in peers:
            if not peer.is_reset:
                peer.receive()
        if all(peer.is_reset or peer.arrived == peer.written for peer in peers):
            return
        await turns(1)


async def finish(peers: list[Peer]) -> None:
    for peer in peers:
        peer.protocol.transport.abort()
    for peer in peers:
        await peer.protocol.lost
        peer.far.close()


@pytest.mark.parametrize("seed", range(12))
async def test_finalizers(seed: int) -> None:
    """Few connections and many bytes, so that half a MiB is corked in one iteration."""
    peers = await connected(5)
    storm = Storm(seed, peers)
    for _ in range(15):
        storm.step(writes=12, budget=30)
        await turns(1)
        await settle(peers)
    storm.budget = 0
    await settle(peers)
    await finish(peers)


@pytest.mark.parametrize("seed", range(3))
async def test_finalizers_and_many_connections(seed: int) -> None:
    """More connections than are corked at a time."""
    peers = await connected(290)
    storm = Storm(seed, peers)
    for _ in range(4):
        storm.step(writes=600, budget=400)
        await turns(1)
        await settle(peers)
    storm.budget = 0
    await settle(peers)
    await finish(peers)


@pytest.fixture
def debug_log(loop: asyncio.AbstractEventLoop) -> Iterator[logging.Logger]:
    """asyncio's logger, on which a debug loop reports failed connections."""
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    logger = logging.getLogger("asyncio")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.setLevel(level)
    logger.propagate = propagate
    logger.handlers.clear()
    loop.set_debug(False)


@pytest.mark.parametrize("count", [12, 270])
@pytest.mark.parametrize("seed", range(4))
async def test_log_handlers(seed: int, count: int, debug_log: logging.Logger) -> None:
    """Some peers have reset; the report of each failed write writes to the others."""
    peers = await connected(count)
    storm = Storm(seed, peers)
    debug_log.addHandler(Writes(storm))
    for victim in storm.random.sample(peers, count // 4):
        victim.is_reset = True
        victim.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        victim.far.close()
    # A handler that writes to the connection it is told about would recurse, on asyncio too.
    living = [peer for peer in peers if not peer.is_reset]
    for _ in range(6):
        storm.peers = peers
        storm.step(writes=0, budget=60)
        for peer in peers:
            if peer.is_reset and not peer.protocol.transport._conn_lost:
                peer.protocol.transport.write(peer.payload(100))
            else:
                storm.peers = living
                storm.write(kinds=3)
        storm.peers = living
        await turns(1)
        await settle(peers)
    storm.budget = 0
    await settle(peers)
    await finish(peers)


@pytest.mark.parametrize("seed", range(4))
async def test_exception_handlers(seed: int, loop: asyncio.AbstractEventLoop) -> None:
    """The socket's own `fileno()` raises while a connection is flushed: its report writes."""

    class Fragile(socket.socket):
        broken = False

        def fileno(self) -> int:
            if self.broken:
                raise ZeroDivisionError
            return super().fileno()

    peers = await connected(8)
    storm = Storm(seed, peers)
    reported: list[dict[str, Any]] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reported.append(context)
        storm.burst()

    loop.set_exception_handler(handler)
    for number in range(5):
        near, far = tcp_pair()
        sock = Fragile(fileno=near.detach())
        _, protocol = await loop.create_connection(Recorder, sock=sock)
        storm.step(writes=6, budget=20)
        sock.broken = True
        if number % 2:
            protocol.transport.write(b"never sent")
        storm.step(writes=6, budget=20)
        await turns(2)
        sock.broken = False
        await settle(peers)
        protocol.transport.abort()
        await protocol.lost
        far.close()
        del sock, near
    storm.budget = 0
    await settle(peers)
    await finish(peers)
    loop.set_exception_handler(None)


@pytest.mark.parametrize("seed", range(4))
async def test_destructors_of_protocols(seed: int) -> None:
    """Connections that are dropped take their protocols with them, which write."""

    class Leaves(Recorder):
        storm: Storm

        def __del__(self) -> None:
            self.storm.burst()

    peers = await connected(6)
    storm = Storm(seed, peers)
    for _ in range(8):
        leaving = [await attach(Leaves) for _ in range(4)]
        for protocol, _ in leaving:
            protocol.storm = storm
            protocol.transport.write(b"bye")
            protocol.transport.close()
            storm.step(writes=2, budget=10)
        storm.budget = 20
        for protocol, far in leaving:
            await protocol.lost
            far.close()
        leaving.clear()
        del protocol, far
        await turns(1)
        await settle(peers)
    storm.budget = 0
    await settle(peers)
    await finish(peers)


@pytest.mark.parametrize(
    "way", ["end", "close", "write_eof", "is_closing", "drain", "size", "socket"]
)
@pytest.mark.parametrize("seed", range(3))
async def test_every_way_to_flush(seed: int, way: str) -> None:
    """Finalizers write while one connection is flushed for something that could tell."""
    writer: asyncio.StreamWriter | None = None
    peers = await connected(4)
    storm = Storm(seed, peers)
    for _ in range(6):
        protocol, far = await attach()
        peer = Peer(100, protocol, far)
        storm.peers = [*peers, peer]
        storm.step(writes=10, budget=30)
        transport = protocol.transport
        if way == "is_closing":
            assert not transport.is_closing()
        elif way == "drain":
            stream = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            stream.connection_made(transport)
            reader = asyncio.StreamReader()
            loop = asyncio.get_running_loop()
            writer = asyncio.StreamWriter(transport, stream, reader, loop)
            await writer.drain()
        elif way == "size":
            assert transport.get_write_buffer_size() >= 0
        elif way == "socket":
            assert transport.get_extra_info("socket").fileno() > 0
        elif way != "end":
            # Finalizers may not write behind the end.
            storm.peers = peers
            getattr(transport, way)()
        storm.step(writes=3, budget=10)
        storm.peers = peers
        await turns(1)
        await settle([*peers, peer])
        storm.budget = 0
        transport.abort()
        await protocol.lost
        writer = None
        far.close()
    await settle(peers)
    await finish(peers)


def test_a_nested_flush_flushes_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    """A finalizer flushes all while all are flushed, as a fork in it does."""

    async def body() -> None:
        peers = await connected(40)

        class Flushes(bytes):
            def __del__(self) -> None:
                uncork = getattr(loop, "_uncork", None)
                if uncork is not None:
                    uncork()
                peers[0].protocol.transport.write(b"flushed ")
                peers[0].written += b"flushed "

        for peer in peers[1:]:
            data = peer.payload(20)
            peer.written += data
            peer.protocol.transport.write(Flushes(data))
        del data
        await settle(peers)
        assert peers[0].written.count(b"flushed ") == 39
        await finish(peers)

    loop.run_until_complete(body())


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_handler_leaves_the_loop(
    loop: asyncio.AbstractEventLoop, contexts: Contexts, exception: type[BaseException]
) -> None:
    """The report of a failed write ends the program: the other connections are flushed first."""

    class Fragile(socket.socket):
        broken = False

        def fileno(self) -> int:
            if self.broken:
                raise ZeroDivisionError
            return super().fileno()

        def send(self, *args: Any) -> int:
            raise ZeroDivisionError

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        raise exception

    near, far = tcp_pair()
    sock = Fragile(fileno=near.detach())
    _, failing = loop.run_until_complete(loop.create_connection(Recorder, sock=sock))
    other, other_far = loop.run_until_complete(attach())
    loop.set_exception_handler(handler)

    def write() -> None:
        other.transport.write(b"flushed")
        sock.broken = True
        failing.transport.write(b"fails")

    loop.call_soon(write)
    with pytest.raises(exception):
        loop.run_forever()
    sock.broken = False
    assert other_far.recv(100) == b"flushed"
    loop.set_exception_handler(contexts)

    async def wind_up() -> None:
        for protocol in (failing, other):
            protocol.transport.abort()
            await protocol.lost

    loop.run_until_complete(wind_up())
    far.close()
    other_far.close()
