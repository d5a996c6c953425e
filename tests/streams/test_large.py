"""Reads of large messages, which may be received without a copy: every byte, once, in order."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

from helpers import tcp_pair, turns

WARM = 20
"""So many large ones come first, so that the loop knows how long they take."""


async def opened(streams: Any, **options: Any) -> tuple[Any, Any, socket.socket]:
    """A reader and a writer, and the bare socket opposite; large messages have come already."""
    near, far = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    reader, writer = await streams.open_connection(sock=near, **options)
    data = random.Random(0).randbytes(100_000)
    for _ in range(WARM):
        far.sendall(data)
        assert await reader.readexactly(len(data)) == data
    return reader, writer, far


async def end(writer: Any, far: socket.socket) -> None:
    writer.close()
    await writer.wait_closed()
    far.close()


@pytest.mark.parametrize("limit", [1 << 10, 1 << 16, 1 << 20])
async def test_reads_of_all_sizes(
    loop: asyncio.AbstractEventLoop, streams: Any, limit: int
) -> None:
    reader, writer, far = await opened(streams, limit=limit)
    rng = random.Random(limit)
    data = rng.randbytes(12 << 20)

    async def send() -> None:
        left = memoryview(data)
        while left:
            piece = rng.choice([100, 33_000, 100_000, 300_000])
            await loop.sock_sendall(far, left[:piece])
            left = left[piece:]
            if rng.random() < 0.3:
                await turns(2)
        far.shutdown(socket.SHUT_WR)

    sending = loop.create_task(send())
    got = bytearray()
    while True:
        size = rng.choice([1, 40_000, 65_536, 131_072, 131_073, 200_000, 1 << 20])
        if len(got) + size <= len(data) and rng.random() < 0.5:
            piece = await reader.readexactly(size)
            assert len(piece) == size
        else:
            piece = await reader.read(size)
            assert len(piece) <= size
        assert type(piece) is bytes
        if not piece:
            break
        got += piece
    assert got == data
    await sending
    await end(writer, far)


async def test_a_pause_at_twice_the_limit(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    """A reader that nobody reads from does not take in more, however much was read before."""
    reader, writer, far = await opened(streams)
    far.setblocking(False)
    sent = 0
    quiet = 0
    while quiet < 20:
        try:
            sent += far.send(bytes(1 << 16))
            quiet = 0
        except BlockingIOError:
            quiet += 1
        await turns(2)
    assert sent > 1 << 18
    assert len(reader._buffer) < (1 << 17) + (1 << 18)
    got = 0
    while got < sent:
        got += len(await reader.read(1 << 18))
    assert got == sent
    await end(writer, far)


@pytest.mark.parametrize("exactly", [False, True])
async def test_cancelled_with_the_bytes_in_hand(
    loop: asyncio.AbstractEventLoop, streams: Any, exactly: bool
) -> None:
    """Cancelled between the arrival of its bytes and its step, a read leaves them to the next."""
    reader, writer, far = await opened(streams)
    data = random.Random(5).randbytes(100_000)
    for number in range(8):
        read = reader.readexactly if exactly else reader.read
        task = loop.create_task(read(len(data)))
        await turns(2)
        assert not task.done()
        assert far.send(data) == len(data)
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            assert await reader.readexactly(len(data)) == data
        else:
            got = task.result()
            assert got + await reader.readexactly(len(data) - len(got)) == data
    await end(writer, far)


async def test_a_read_that_has_a_part(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader, writer, far = await opened(streams)
    data = random.Random(6).randbytes(190_000)
    for _ in range(8):
        task = loop.create_task(reader.readexactly(100_000))
        await turns(2)
        assert far.send(data[:40_000]) == 40_000
        await turns(4)
        assert not task.done()
        assert far.send(data[40_000:]) == 150_000
        assert await task == data[:100_000]
        assert await reader.readexactly(90_000) == data[100_000:]
    await end(writer, far)
