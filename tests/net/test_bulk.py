"""Large messages: every byte, in order, whatever sizes the socket gives."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest

from helpers import Recorder, attach

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
