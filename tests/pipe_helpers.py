"""Pipes whose ends have a transport of the loop under test, or are bare."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from typing import Any

from helpers import Recorder, turns

MUCH = 1 << 20


class Writer(Recorder):
    """A recorder at the writing end: nothing is ever received there."""

    transport: Any


async def reading(file: Any, protocol: Callable[[], Any] = Recorder) -> Any:
    """Give a new protocol the reading end of something."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.connect_read_pipe(protocol, file)
    assert transport.get_extra_info("pipe") is file
    return made


async def writing(file: Any, protocol: Callable[[], Any] = Writer) -> Any:
    """Give a new protocol the writing end of something."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.connect_write_pipe(protocol, file)
    assert transport.get_extra_info("pipe") is file
    return made


def pipe_files() -> tuple[io.FileIO, io.FileIO]:
    reader, writer = os.pipe()
    return io.FileIO(reader, "r"), io.FileIO(writer, "w")


async def both(reader: Callable[[], Any] = Recorder, writer: Callable[[], Any] = Writer) -> Any:
    """Both ends of one pipe, each with a transport."""
    near, far = pipe_files()
    return await reading(near, reader), await writing(far, writer)


async def end(*protocols: Any) -> None:
    """Close what is left, and wait until the protocols know."""
    for protocol in protocols:
        protocol.transport.close()
    for protocol in protocols:
        await protocol.lost


async def read_file(file: io.FileIO, amount: int) -> bytes:
    """Read from the bare end of a pipe while the loop turns."""
    os.set_blocking(file.fileno(), False)
    data = bytearray()
    while len(data) < amount:
        chunk = file.read(min(amount - len(data), 1 << 16))
        if chunk is None:
            await turns(1)
        elif chunk:
            data += chunk
        else:
            break
    return bytes(data)
