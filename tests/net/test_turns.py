"""What a turn has sent is there for the next: to a peer on the same loop, as on asyncio.

Tests of protocols count on it: they write, give way a few times, and look at what has come.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from helpers import Recorder, Service, attach, ended, endpoint, gone, sockname, turns

pytestmark = pytest.mark.usefixtures("loop")
ROUNDS = 40
"""More than turns go by without a poll, so that none is there by chance each time."""


async def pair() -> tuple[Any, Any, Service]:
    service = await Service().start()
    near = await service.dial()
    (far,) = await service.accepted()
    return near, far, service


WRITES: dict[str, Callable[[Any], object]] = {
    "write": lambda transport: transport.write(b"x" * 64),
    "much": lambda transport: transport.write(b"x" * 40_000),
    "writelines": lambda transport: transport.writelines([b"x", b"y"]),
}


@pytest.mark.parametrize("how", WRITES)
async def test_a_connection(how: str) -> None:
    near, far, service = await pair()
    for _ in range(ROUNDS):
        had = len(far.data)
        WRITES[how](near.transport)
        await turns(2)
        assert len(far.data) > had
    near.transport.close()
    await far.lost
    await service.close()


async def test_a_question_and_its_answer() -> None:
    near, far, service = await pair()
    far.data_received = far.transport.write
    for _ in range(ROUNDS):
        had = len(near.data)
        near.transport.write(b"?")
        await turns(3)
        assert len(near.data) == had + 1
    near.transport.close()
    await far.lost
    await service.close()


async def test_the_end_of_a_connection() -> None:
    for _ in range(ROUNDS):
        near, far, service = await pair()
        near.transport.close()
        await turns(3)
        assert far.ended.done()
        await far.lost
        await service.close()


async def test_sock_sendall() -> None:
    loop = asyncio.get_running_loop()
    protocol, far = await attach()
    for _ in range(ROUNDS):
        had = len(protocol.data)
        await loop.sock_sendall(far, b"x")
        await turns(2)
        assert len(protocol.data) == had + 1
    await gone(protocol)
    far.close()


async def test_datagrams() -> None:
    near, far = await endpoint(), await endpoint()
    for number in range(ROUNDS):
        near.transport.sendto(b"x", sockname(far))
        await turns(2)
        assert len(far.received) == number + 1
    await ended(near, far)


async def test_a_pipe() -> None:
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    reader = Recorder()
    reading, _ = await loop.connect_read_pipe(lambda: reader, os.fdopen(read, "rb"))
    writing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write, "wb"))
    for _ in range(ROUNDS):
        had = len(reader.data)
        writing.write(b"x")
        await turns(2)
        assert len(reader.data) == had + 1
    writing.close()
    await reader.lost
    reading.close()
