"""Cancelling at every await: it has happened or it has not, and nothing is left in the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aioxide import _aioxide, files

CONTENT = b"".join(b"line %d\n" % number for number in range(20_000))


async def quiet() -> None:
    """Wait until the ring has nothing under way."""
    ring = _aioxide.file_ring()
    while ring.in_flight:
        await asyncio.sleep(0)


async def cancel_after(steps: int, make: Callable[[], Awaitable[Any]]) -> Any:
    """Run an operation for so many turns of the loop, then cancel it; its result, or None."""
    task = asyncio.ensure_future(make())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("call", ["read", "readline", "all", "readinto", "peek", "read1"])
async def test_reading_goes_on_where_it_was(
    loop: asyncio.AbstractEventLoop,
    backend: str,
    at_once: bool,
    tmp_path: Path,
    steps: int,
    call: str,
) -> None:
    """After a cancelled read the file is where it was before, or behind what was read."""
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    async with files.open(path, "rb") as f:
        assert await f.read(10) == CONTENT[:10]
        target = bytearray(100_000)
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "read": lambda: f.read(50_000),
            "readline": f.readline,
            "all": f.read,
            "readinto": lambda: f.readinto(target),
            "peek": f.peek,
            "read1": lambda: f.read1(100),
        }
        result = await cancel_after(steps, calls[call])
        place = await f.tell()
        if (result is None and call != "readinto") or call == "peek":
            assert place == 10
        elif isinstance(result, bytes):
            assert place == 10 + len(result)
            assert result == CONTENT[10:place]
        assert await f.read() == CONTENT[place:]
    await quiet()


@pytest.mark.parametrize("steps", range(6))
async def test_text_goes_on_where_it_was(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path, steps: int
) -> None:
    """A line that was half decoded is whole for the next reader."""
    path = tmp_path / "a"
    text = "é" * 9000 + "\n" + "x" * 30_000 + "\nend"
    path.write_text(text, encoding="utf-8")
    async with files.open(path, encoding="utf-8") as f:
        assert await f.read(5) == "é" * 5
        before = await f.tell()
        line = await cancel_after(steps, f.readline)
        if line is None:
            assert await f.tell() == before
            line = await f.readline()
        assert line == "é" * 8995 + "\n"
        rest = await cancel_after(steps, f.read)
        assert (await f.read() if rest is None else rest) == "x" * 30_000 + "\nend"
    await quiet()


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_writes_happen_or_not(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, steps: int, size: int
) -> None:
    """A cancelled write is in the file whole, or not at all; what was buffered is not lost."""
    path = tmp_path / "a"
    async with files.open(path, "wb") as f:
        await f.write(b"begin")
        written = await cancel_after(steps, lambda: f.write(b"x" * size))
        place = await f.tell()
        assert place in (5, 5 + size)
        if written is not None:
            assert place == 5 + size
        await f.write(b"end")
    assert path.read_bytes() == b"begin" + b"x" * (place - 5) + b"end"


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("call", ["flush", "fsync", "truncate", "close", "seek", "pwrite"])
async def test_the_rest(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, steps: int, call: str
) -> None:
    """Whatever is cancelled, what was written before is in the file when it is closed."""
    path = tmp_path / "a"
    f = await files.open(path, "w+b")
    await f.write(b"content")
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "flush": f.flush,
        "fsync": f.fsync,
        "truncate": lambda: f.truncate(7),
        "close": f.close,
        "seek": lambda: f.seek(3),
        "pwrite": lambda: f.pwrite(b"C", 0),
    }
    await cancel_after(steps, calls[call])
    await f.close()
    assert f.closed
    assert path.read_bytes() in (b"content", b"Content")


@pytest.mark.parametrize("steps", range(5))
async def test_opening(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path, steps: int
) -> None:
    """A descriptor that comes after all is closed: the fixtures look for it."""
    path = tmp_path / "a"
    path.touch()
    for mode in ("rb", "wb"):
        f = await cancel_after(steps, lambda mode=mode: files.open(path, mode))
        if f is not None:
            await f.close()
    await quiet()


async def test_reading_a_pipe(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """A read that waits for a pipe ends when it is cancelled, and takes nothing with it."""
    reader, writer = os.pipe()
    async with files.open(reader, "rb") as f:
        for _ in range(3):
            assert await cancel_after(3, lambda: f.read(5)) is None
        os.write(writer, b"he")
        assert await cancel_after(5, lambda: f.read(5)) is None
        os.write(writer, b"llo world")
        assert await f.read(5) == b"hello"
        os.close(writer)
        assert await f.read() == b" world"


async def test_opening_a_pipe_without_another_end(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Nobody ever writes: the task is cancelled all the same."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert await cancel_after(5, lambda: files.open(fifo, "rb")) is None
    # Let go of the thread that may still be at it.
    other = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    await quiet()
    os.close(other)


async def test_closing_a_coroutine(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """`coroutine.close()` cannot wait; what the kernel uses lives on."""
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    _aioxide._file_at_once(False)
    try:
        async with files.open(path, "r+b") as f:
            target = bytearray(1_000_000)
            for make in (lambda: f.read(100_000), lambda: f.readinto(target), f.readline):
                coroutine = make()
                coroutine.send(None)
                coroutine.close()
            assert not f._busy
    finally:
        _aioxide._file_at_once(True)
    await quiet()


async def test_cancelled_while_it_waits_for_its_turn(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Operations take turns; one that gives up does not hold up the others."""
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    _aioxide._file_at_once(False)
    try:
        async with files.open(path, "rb") as f:
            tasks = [asyncio.ensure_future(f.read(1000)) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks[1::3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            read = [result for result in results if isinstance(result, bytes)]
            assert b"".join(read) == CONTENT[: sum(map(len, read))]
            assert len(read) == 7
    finally:
        _aioxide._file_at_once(True)
