"""TCP transports: data in order, closing in all its ways, protocols of both kinds."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import sys
import weakref
from typing import Any

import pytest

from helpers import (
    Contexts,
    Implementation,
    Recorder,
    attach,
    connect,
    recv_all,
    recv_exactly,
    turns,
    until,
)

pytestmark = pytest.mark.usefixtures("loop")
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def finish(protocol: Any, far: socket.socket) -> None:
    """Wind up one transport and the bare socket opposite."""
    protocol.transport.abort()
    await protocol.lost
    far.close()


async def test_types() -> None:
    protocol, far = await attach()
    transport = protocol.transport
    assert isinstance(transport, asyncio.Transport)
    assert isinstance(transport, asyncio.ReadTransport)
    assert isinstance(transport, asyncio.WriteTransport)
    assert weakref.ref(transport)() is transport
    assert transport.get_protocol() is protocol
    assert transport.is_closing() is False
    assert transport.is_reading() is True
    await finish(protocol, far)


async def test_echo() -> None:
    pair = await connect()
    pair.near.transport.write(b"there")
    assert await pair.far.received(5) == b"there"
    pair.far.transport.write(b"and back")
    assert await pair.near.received(8) == b"and back"
    pair.near.transport.close()
    assert await pair.far.lost is None
    assert await pair.near.lost is None
    assert pair.near.events == ["made", "data", "lost"]
    assert pair.far.events == ["made", "data", "eof", "lost"]


async def test_extra_info() -> None:
    protocol, far = await attach()
    transport = protocol.transport
    sock = transport.get_extra_info("socket")
    assert sock.fileno() > 0
    assert sock.getsockname() == transport.get_extra_info("sockname") == far.getpeername()
    assert sock.getpeername() == transport.get_extra_info("peername") == far.getsockname()
    assert sock.family == socket.AF_INET
    assert sock.type == socket.SOCK_STREAM
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert transport.get_extra_info("nonsense") is None
    assert transport.get_extra_info("nonsense", 5) == 5
    await finish(protocol, far)
    assert transport.get_extra_info("peername") == far_address(transport)
    assert transport.get_extra_info("sockname") is not None


def far_address(transport: Any) -> object:
    """The address stays known after the end."""
    return transport.get_extra_info("peername", "forgotten")


async def test_repr() -> None:
    protocol, far = await attach()
    transport = protocol.transport
    number = transport.get_extra_info("socket").fileno()
    assert f"fd={number}" in repr(transport)
    assert "read=polling" in repr(transport)
    transport.close()
    assert "clos" in repr(transport)
    await protocol.lost
    assert "closed" in repr(transport)
    far.close()


PIECES: list[Any] = [
    b"bytes",
    bytearray(b"bytearray"),
    memoryview(b"memoryview"),
    memoryview(b"-sliced-")[1:-1],
    memoryview(bytearray(b"a.b.c.d."))[::2],
    b"",
    bytearray(),
]


async def test_bytes_like_kinds() -> None:
    protocol, far = await attach()
    expected = b"".join(bytes(piece) for piece in PIECES if _contiguous(piece))
    for piece in PIECES:
        if _contiguous(piece):
            protocol.transport.write(piece)
    assert await recv_exactly(far, len(expected)) == expected
    protocol.transport.writelines(piece for piece in PIECES if _contiguous(piece))
    assert await recv_exactly(far, len(expected)) == expected
    protocol.transport.writelines([])
    await finish(protocol, far)


def _contiguous(piece: Any) -> bool:
    return not isinstance(piece, memoryview) or piece.c_contiguous


@pytest.mark.parametrize("junk", ["text", None, 5, ["list"], object()])
async def test_what_is_not_bytes(junk: Any) -> None:
    protocol, far = await attach()
    with pytest.raises(TypeError):
        protocol.transport.write(junk)
    if junk is not None:  # newer Pythons leave out what is false before they look
        with pytest.raises(TypeError):
            protocol.transport.writelines([b"a", junk])
    with pytest.raises(TypeError):
        protocol.transport.writelines(5)
    assert not protocol.transport.is_closing()
    await finish(protocol, far)


async def test_the_buffer_may_change_after_write(implementation: Implementation) -> None:
    if implementation.name == "asyncio" and sys.version_info >= (3, 12):
        pytest.skip("from 3.12 on asyncio keeps a view of the caller's buffer")
    protocol, far = await attach()
    protocol.transport.write(b"f" * (8 << 20))  # nothing else leaves at once after this
    assert protocol.transport.get_write_buffer_size() > 0
    mutable = bytearray(b"as written")
    protocol.transport.write(mutable)
    protocol.transport.write(memoryview(mutable)[3:])
    mutable[:] = b"changed, and longer"
    parts = [bytearray(b"one"), bytearray(b"two")]
    protocol.transport.writelines(parts)
    parts[0][:] = b"ONE ONE"
    protocol.transport.close()
    assert (await recv_all(far))[8 << 20 :] == b"as writtenwrittenonetwo"
    await protocol.lost
    far.close()


async def test_a_mutable_buffer_is_not_held_when_all_was_sent() -> None:
    protocol, far = await attach()
    mutable = bytearray(b"data")
    protocol.transport.write(mutable)
    assert await recv_exactly(far, 4) == b"data"
    mutable.append(1)  # would raise BufferError while somebody exports it
    await finish(protocol, far)


async def test_order_of_writes() -> None:
    protocol, far = await attach()
    expected = bytearray()
    for number in range(300):
        piece = bytes([number % 251]) * (number * 37 % 5000)
        expected += piece
        if number % 3:
            protocol.transport.write(piece)
        else:
            protocol.transport.writelines([piece[:10], piece[10:]])
        if number % 50 == 0:
            await turns(1)
    protocol.transport.write_eof()
    assert await recv_all(far) == expected
    await finish(protocol, far)


async def test_writes_from_connection_made() -> None:
    class Greets(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(b"hello ")
            transport.write(b"there")
            transport.close()

    protocol, far = await attach(Greets)
    assert await recv_all(far) == b"hello there"
    assert await protocol.lost is None
    assert protocol.events == ["made", "lost"]
    far.close()


async def test_close_flushes() -> None:
    protocol, far = await attach()
    data = os.urandom(1 << 16) * 64
    protocol.transport.write(data)
    protocol.transport.close()
    protocol.transport.close()
    assert protocol.transport.is_closing()
    assert not protocol.lost.done()
    assert await recv_all(far) == data
    assert await protocol.lost is None
    assert protocol.events.count("lost") == 1
    far.close()


async def test_connection_lost_comes_by_the_loop() -> None:
    """Never from within close() or abort()."""
    for end in ("close", "abort"):
        protocol, far = await attach()
        getattr(protocol.transport, end)()
        assert "lost" not in protocol.events
        await turns(2)
        assert protocol.events[-1] == "lost"
        await protocol.lost
        far.close()


async def test_nothing_is_received_after_close() -> None:
    protocol, far = await attach()
    far.send(b"unwanted")
    protocol.transport.close()
    await protocol.lost
    assert protocol.data == b""
    far.close()


async def test_abort_discards() -> None:
    protocol, far = await attach()
    protocol.transport.write(b"x" * (8 << 20))
    protocol.transport.abort()
    protocol.transport.abort()
    assert await protocol.lost is None
    assert len(await outcome_bytes(far)) < 8 << 20
    assert protocol.events.count("lost") == 1
    far.close()


async def outcome_bytes(far: socket.socket) -> bytes:
    """Read what arrives, whether the end is orderly or a reset."""
    data = bytearray()
    loop = asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(far, 1 << 18):
            data += chunk
    except ConnectionResetError:
        pass
    return bytes(data)


async def test_half_close() -> None:
    protocol, far = await attach()
    assert protocol.transport.can_write_eof() is True
    data = b"x" * (4 << 20)
    protocol.transport.write(data)
    protocol.transport.write_eof()
    protocol.transport.write_eof()
    assert await recv_all(far) == data
    far.send(b"answer after the end")
    assert await protocol.received(20) == b"answer after the end"
    with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
        protocol.transport.write(b"more")
    if sys.version_info >= (3, 12):  # writelines went its own way before
        with pytest.raises(RuntimeError, match="after write_eof"):
            protocol.transport.writelines([b"more"])
    far.close()
    assert await protocol.lost is None
    assert protocol.events == ["made", *protocol.events[1:-3], "data", "eof", "lost"]


async def test_eof_received_may_keep_the_write_side() -> None:
    protocol, far = await attach()
    protocol.keep_open = True
    far.shutdown(socket.SHUT_WR)
    await protocol.ended
    await turns(3)
    assert not protocol.transport.is_closing()
    protocol.transport.write(b"still there")
    assert await recv_exactly(far, 11) == b"still there"
    protocol.transport.close()
    assert await recv_all(far) == b""
    assert await protocol.lost is None
    assert protocol.events == ["made", "eof", "lost"]
    far.close()


async def test_eof_received_closes_by_default() -> None:
    protocol, far = await attach()
    far.send(b"last")
    far.shutdown(socket.SHUT_WR)
    assert await protocol.lost is None
    assert protocol.events == ["made", "data", "eof", "lost"]
    assert await recv_all(far) == b""
    far.close()


async def test_write_eof_after_close() -> None:
    protocol, far = await attach()
    protocol.transport.close()
    protocol.transport.write_eof()
    await protocol.lost
    protocol.transport.write_eof()
    far.close()


async def test_write_after_close_warns_and_never_raises(
    implementation: Implementation, caplog: pytest.LogCaptureFixture
) -> None:
    protocol, far = await attach()
    caplog.set_level(logging.WARNING, logger="asyncio")
    protocol.transport.close()
    await protocol.lost
    for _ in range(20):
        protocol.transport.write(b"into the void")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["socket.send() raised exception."] * 16
    if implementation.name != "asyncio":  # where it is a TypeError in 3.12 and 3.13.0
        protocol.transport.writelines([b"a", b"b"])
    assert protocol.transport.get_write_buffer_size() == 0
    assert await recv_all(far) == b""
    far.close()


async def test_write_after_the_peer_went(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio counts what is written after the connection broke, and warns from the sixth on."""
    protocol, far = await attach()
    caplog.set_level(logging.WARNING, logger="asyncio")
    protocol.transport.pause_reading()  # only writing can find out
    far.setsockopt(*RESET)
    far.close()
    while not protocol.lost.done():
        protocol.transport.write(b"x")
        await turns(1)
    assert isinstance(await protocol.lost, (BrokenPipeError, ConnectionResetError))
    for _ in range(10):
        protocol.transport.write(b"x")
    messages = {record.getMessage() for record in caplog.records}
    assert messages == {"socket.send() raised exception."}


async def test_peer_reset() -> None:
    protocol, far = await attach()
    far.setsockopt(*RESET)
    far.close()
    assert isinstance(await protocol.lost, ConnectionResetError)
    assert protocol.events == ["made", "lost"]
    assert protocol.transport.is_closing()


async def test_reset_is_not_logged(contexts: Contexts) -> None:
    protocol, far = await attach()
    protocol.transport.write(b"x" * (4 << 20))
    far.setsockopt(*RESET)
    far.close()
    assert isinstance(await protocol.lost, (ConnectionResetError, BrokenPipeError))
    assert contexts == []


async def test_pause_and_resume_reading() -> None:
    protocol, far = await attach()
    transport = protocol.transport
    transport.pause_reading()
    transport.pause_reading()
    assert transport.is_reading() is False
    far.send(b"held back")
    await turns(10)
    await asyncio.sleep(0.005)
    assert protocol.data == b""
    transport.resume_reading()
    transport.resume_reading()
    assert transport.is_reading() is True
    assert await protocol.received(9) == b"held back"
    transport.close()
    await protocol.lost
    assert transport.is_reading() is False
    transport.pause_reading()
    transport.resume_reading()
    assert transport.is_reading() is False
    far.close()


async def test_pause_in_connection_made() -> None:
    class Paused(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    protocol, far = await attach(Paused)
    far.send(b"held back")
    await asyncio.sleep(0.005)
    assert protocol.data == b""
    assert protocol.transport.is_reading() is False
    protocol.transport.resume_reading()
    assert await protocol.received(9) == b"held back"
    await finish(protocol, far)


async def test_pause_inside_data_received() -> None:
    """No further data_received once paused, whatever has been read already."""

    class OneAtATime(Recorder):
        def data_received(self, data: bytes) -> None:
            assert self.transport.is_reading()
            self.transport.pause_reading()
            calls.append(len(data))
            super().data_received(data)

    calls: list[int] = []
    protocol, far = await attach(OneAtATime)
    sent = 1 << 20
    sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(far, b"x" * sent))
    seen = 0
    while len(protocol.data) < sent:
        await until(lambda seen=seen: len(calls) > seen)
        await turns(5)
        assert len(calls) == seen + 1
        seen += 1
        protocol.transport.resume_reading()
    await sending
    await finish(protocol, far)


async def test_eof_waits_for_resume() -> None:
    protocol, far = await attach()
    protocol.transport.pause_reading()
    far.send(b"data")
    far.close()
    await asyncio.sleep(0.005)
    assert protocol.events == ["made"]
    protocol.transport.resume_reading()
    assert await protocol.lost is None
    assert protocol.events == ["made", "data", "eof", "lost"]


@pytest.mark.parametrize("size", [1, 4096, 20 << 20])
async def test_transfer_both_ways(size: int) -> None:
    """Every byte both ways at once, by checksum."""

    async def feed(end: Recorder, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), 300_000):
            await end.writable.wait()
            end.transport.write(view[start : start + 300_000])

    pair = await connect()
    one, other = os.urandom(min(size, 1 << 20)), os.urandom(min(size, 1 << 20))
    one, other = one * (size // len(one)), other * (size // len(other))
    await asyncio.gather(
        feed(pair.near, one),
        feed(pair.far, other),
        pair.far.received(len(one)),
        pair.near.received(len(other)),
    )
    assert hashlib.sha256(pair.far.data).digest() == hashlib.sha256(one).digest()
    assert hashlib.sha256(pair.near.data).digest() == hashlib.sha256(other).digest()
    await pair.close()
