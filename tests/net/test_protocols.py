"""Buffered protocols, and changing the protocol in mid-stream."""

from __future__ import annotations

import array
import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Contexts, Recorder, attach, turns, until

if TYPE_CHECKING:
    import socket

pytestmark = pytest.mark.usefixtures("loop")


class Buffered(asyncio.BufferedProtocol):
    """A buffered protocol with a buffer of one size; collects what comes."""

    def __init__(self, size: int = 1000) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.hints: list[int] = []
        self.events: list[str] = []
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        self.data += memoryview(self.buffer)[:nbytes]

    def eof_received(self) -> bool | None:
        self.events.append("eof")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost.set_result(exc)


async def send_all(far: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(far, data)


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
async def test_buffered_protocol(size: int) -> None:
    protocol, far = await attach(lambda: Buffered(size))
    data = os.urandom(min(size * 1000, 1 << 20))
    sending = asyncio.ensure_future(send_all(far, data))
    await until(lambda: len(protocol.data) == len(data))
    await sending
    far.close()
    assert await protocol.lost is None
    assert protocol.data == data
    assert protocol.events == ["made", "eof", "lost"]
    assert set(protocol.hints) == {-1}


@pytest.mark.parametrize("kind", ["memoryview", "array"])
async def test_kinds_of_buffers(kind: str) -> None:
    class Kinds(Buffered):
        def get_buffer(self, sizehint: int) -> Any:
            return memoryview(self.buffer)[10:20] if kind == "memoryview" else self.wide

        def buffer_updated(self, nbytes: int) -> None:
            source = memoryview(self.buffer)[10:20] if kind == "memoryview" else self.wide
            self.data += memoryview(source)[:nbytes]

        def __init__(self) -> None:
            super().__init__()
            self.wide = array.array("B", bytes(64))

    protocol, far = await attach(Kinds)
    await send_all(far, b"0123456789abcdef")
    await until(lambda: len(protocol.data) == 16)
    assert protocol.data == b"0123456789abcdef"
    protocol.transport.abort()
    await protocol.lost
    far.close()


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (b"constant", (TypeError, BufferError)),
        (bytearray(), RuntimeError),
        (5, TypeError),
        (None, TypeError),
        ("raises", LookupError),
    ],
    ids=["constant", "empty", "number", "none", "raises"],
)
async def test_bad_buffers_are_fatal(contexts: Contexts, bad: Any, kind: Any) -> None:
    class Bad(Buffered):
        def get_buffer(self, sizehint: int) -> Any:
            if bad == "raises":
                raise LookupError("in the protocol")
            return bad

    protocol, far = await attach(Bad)
    await send_all(far, b"x")
    assert isinstance(await protocol.lost, kind)
    context = contexts.take_one()
    assert isinstance(context["exception"], kind)
    assert context["message"].startswith("Fatal ")
    assert context["transport"] is protocol.transport
    far.close()


async def test_an_exception_in_buffer_updated(contexts: Contexts) -> None:
    class Breaks(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            raise LookupError("in the protocol")

    protocol, far = await attach(Breaks)
    await send_all(far, b"x")
    assert isinstance(await protocol.lost, LookupError)
    assert contexts.take_one()["message"] == "Fatal error: protocol.buffer_updated() call failed."
    far.close()


async def test_closing_from_get_buffer_and_buffer_updated() -> None:
    class Closes(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.close()

    protocol, far = await attach(lambda: Closes(4))
    await send_all(far, b"12345678")
    assert await protocol.lost is None
    assert protocol.data == b"1234"
    far.close()


async def test_the_buffer_is_released() -> None:
    """Between calls nobody exports it: the protocol may resize it."""

    class Grows(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.buffer.append(0)

    protocol, far = await attach(lambda: Grows(1))
    await send_all(far, b"x" * 100)
    await until(lambda: len(protocol.data) == 100)
    protocol.buffer.clear()
    protocol.transport.abort()
    await protocol.lost
    far.close()


async def test_pause_in_buffer_updated() -> None:
    class Pauses(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    protocol, far = await attach(lambda: Pauses(10))
    await send_all(far, b"x" * 50)
    for expected in range(10, 60, 10):
        await until(lambda n=expected: len(protocol.data) >= n)
        await turns(3)
        assert len(protocol.data) == expected
        protocol.transport.resume_reading()
    protocol.transport.abort()
    await protocol.lost
    far.close()


@pytest.mark.parametrize("seed", range(4))
async def test_switching_protocols_loses_nothing(seed: int) -> None:
    """Plain and buffered take turns, switching inside and outside their callbacks."""

    class Plain(Recorder):
        def data_received(self, data: bytes) -> None:
            received.extend(data)
            switch()

    class Filled(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            received.extend(memoryview(self.buffer)[:nbytes])
            switch()

    def switch() -> None:
        # At most one switch for each kibibyte, so that both kinds get something.
        nonlocal switches
        if len(received) >= switches * 1024:
            switches += 1
            transport.set_protocol(filled if transport.get_protocol() is plain else plain)

    chance = random.Random(seed)
    received = bytearray()
    switches = 1
    plain, far = await attach(Plain)
    transport = plain.transport
    filled = Filled(chance.choice([1, 100, 5000]))
    filled.connection_made(transport)
    data = chance.randbytes(200_000)
    for start in range(0, len(data), 10_000):
        await send_all(far, data[start : start + 10_000])
        await until(lambda n=start: len(received) >= n)
        if chance.random() < 0.3:
            transport.set_protocol(chance.choice([plain, filled]))
    await until(lambda: len(received) == len(data))
    assert received == data
    assert switches > 2
    transport.set_protocol(plain)
    transport.abort()
    await plain.lost
    far.close()


async def test_set_protocol_while_paused() -> None:
    protocol, far = await attach()
    protocol.transport.pause_reading()
    await send_all(far, b"for the next")
    second = Recorder()
    second.connection_made(protocol.transport)
    protocol.transport.set_protocol(second)
    assert protocol.transport.get_protocol() is second
    protocol.transport.resume_reading()
    assert await second.received(12) == b"for the next"
    assert protocol.data == b""
    protocol.transport.close()
    assert await second.lost is None
    assert not protocol.lost.done()
    far.close()


async def test_a_protocol_by_its_methods_only() -> None:
    """Protocols need not inherit from anything; a missing method is the protocol's problem."""

    class Duck:
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            got.append(data)

        def eof_received(self) -> None: ...

        def connection_lost(self, exc: Any) -> None:
            lost.set_result(exc)

    got: list[bytes] = []
    lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _, far = await attach(Duck)
    await send_all(far, b"quack")
    await until(lambda: got)
    far.close()
    assert await lost is None
    assert got == [b"quack"]


async def test_subclass_methods_set_on_the_instance() -> None:
    """A method replaced after the transport was made is the one that is called."""
    protocol, far = await attach()
    got: list[bytes] = []
    protocol.data_received = got.append
    protocol.transport.set_protocol(protocol)
    await send_all(far, b"redirected")
    await until(lambda: got)
    assert got == [b"redirected"]
    protocol.transport.abort()
    await protocol.lost
    far.close()
