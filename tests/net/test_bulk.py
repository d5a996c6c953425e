"""Large messages: every byte, in order, whatever sizes the socket gives."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import sys
from typing import Any

import pytest

from helpers import Recorder, attach, until

pytestmark = pytest.mark.usefixtures("loop")


class Counting(Recorder):
    """Keeps a digest and the sizes, not the data."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self.sizes: list[int] = []
        self.total = 0

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.digest.update(data)
        self.sizes.append(len(data))
        self.total += len(data)


@pytest.mark.parametrize("chunk", [1000, 100_000, 122_880, 122_881, 1 << 20])
async def test_a_stream_in_chunks(chunk: int) -> None:
    """Bursts that fill the receive buffer and pauses that do not, in turn."""
    protocol: Any
    protocol, far = await attach(Counting)
    loop = asyncio.get_running_loop()
    rng = random.Random(chunk)
    wanted = hashlib.sha256()
    for _ in range(max(4, (4 << 20) // chunk)):
        data = rng.randbytes(rng.choice([chunk, chunk // 2, 1]))
        wanted.update(data)
        await loop.sock_sendall(far, data)
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    far.close()
    assert await protocol.lost is None
    assert protocol.digest.digest() == wanted.digest()
    assert protocol.events == ["made", "eof", "lost"]


async def test_pausing_in_the_midst_of_a_burst() -> None:
    """Nothing comes after pause_reading(), and nothing is lost by it."""

    class Pausing(Counting):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()  # type: ignore[attr-defined]
            loop.call_soon(self.resume, len(self.sizes))

        def resume(self, calls: int) -> None:
            assert len(self.sizes) == calls
            self.transport.resume_reading()  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    protocol: Any
    protocol, far = await attach(Pausing)
    data = random.Random(1).randbytes(4 << 20)
    await loop.sock_sendall(far, data)
    far.close()
    await protocol.lost
    assert protocol.digest.digest() == hashlib.sha256(data).digest()


async def test_the_protocol_changes_in_the_midst_of_a_burst() -> None:
    protocol: Any
    protocol, far = await attach(Counting)
    loop = asyncio.get_running_loop()
    second = Counting()
    second.connection_made(protocol.transport)

    def change(data: bytes) -> None:
        Counting.data_received(protocol, data)
        if protocol.total > 1 << 20:
            protocol.transport.set_protocol(second)

    protocol.data_received = change
    data = random.Random(2).randbytes(4 << 20)
    await loop.sock_sendall(far, data)
    far.close()
    await second.lost
    assert protocol.total + second.total == len(data)
    digest = hashlib.sha256(data[: protocol.total]).digest()
    assert digest == protocol.digest.digest()
    assert hashlib.sha256(data[protocol.total :]).digest() == second.digest.digest()


async def test_what_is_there_comes_in_one_piece() -> None:
    """Large ones, up to 256 KiB as on asyncio, when some have come before; small ones after."""
    protocol: Any
    protocol, far = await attach(Counting)
    sock = protocol.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    rng = random.Random(3)
    wanted = hashlib.sha256()
    sent = 0
    for size in [200 << 10] * 60 + [10, 100_000, 1, 40_000] * 5:
        data = rng.randbytes(size)
        protocol.transport.pause_reading()
        left = memoryview(data)
        while left:
            left = left[far.send(left) :]
        protocol.transport.resume_reading()
        wanted.update(data)
        sent += size
        await until(lambda sent=sent: protocol.total == sent)
    assert max(protocol.sizes) == 200 << 10
    assert protocol.sizes[-2:] == [1, 40_000]
    far.close()
    assert await protocol.lost is None
    assert protocol.digest.digest() == wanted.digest()


async def test_bytes_have_no_room_to_spare() -> None:
    class Measuring(Counting):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert sys.getsizeof(data) == sys.getsizeof(b"") + len(data)

    protocol: Any
    protocol, far = await attach(Measuring)
    await asyncio.get_running_loop().sock_sendall(far, bytes(16 << 20))
    far.close()
    assert await protocol.lost is None
    assert protocol.total == 16 << 20


async def test_the_end_after_large_messages() -> None:
    """Sent and ended at once, so that the end is there while the message is read."""
    data = random.Random(4).randbytes(150_000)
    for _ in range(5):
        protocol: Any
        protocol, far = await attach(Counting)
        for _ in range(12):
            await asyncio.get_running_loop().sock_sendall(far, data)
        far.shutdown(socket.SHUT_WR)
        assert await protocol.lost is None
        assert protocol.total == 12 * len(data)
        assert protocol.digest.digest() == hashlib.sha256(12 * data).digest()
        far.close()
