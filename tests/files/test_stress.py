"""Random operations, cancellations, closes and ends of loops: no operation outlives its buffer.

``AIOXIDE_FILES_STRESS=200000 valgrind ... pytest tests/files/test_stress.py`` is the long form.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aioxide import _aioxide, files

if TYPE_CHECKING:
    from helpers import Implementation

OPERATIONS = int(os.environ.get("AIOXIDE_FILES_STRESS", "4000"))
# Bytes that tell where they belong.
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(50_000))


def check(data: bytes, offset: int) -> None:
    """The bytes are those of their place."""
    assert data == CONTENT[offset : offset + len(data)]


class Stress:
    """One loop's share of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.done = 0

    async def pread(self, f: files.BinaryFile) -> None:
        offset = self.random.randrange(len(CONTENT))
        check(await f.pread(self.random.choice([10, 4096, 70_000]), offset), offset)

    async def readinto(self, f: files.BinaryFile) -> None:
        target = bytearray(self.random.choice([10, 5000, 70_000]))
        await f.readinto(target)

    async def lines(self, f: files.BinaryFile) -> None:
        await f.readline()

    async def seek(self, f: files.BinaryFile) -> None:
        await f.seek(self.random.randrange(len(CONTENT)))

    async def write(self, f: files.BinaryFile) -> None:
        offset = self.random.randrange(len(CONTENT))
        size = self.random.choice([10, 5000, 70_000])
        await f.pwrite(CONTENT[offset : offset + size], offset)

    async def reopen(self, f: files.BinaryFile) -> None:
        async with files.open(f.name, "rb") as other:
            check(await other.read(5000), 0)

    async def names(self, f: files.BinaryFile) -> None:
        name = self.folder / f"name{self.random.randrange(5)}"
        with contextlib.suppress(OSError):
            await files.os.mkdir(name)
        await files.os.stat(f.name)
        with contextlib.suppress(OSError):
            await files.os.rmdir(name)

    async def pipe(self, f: files.BinaryFile) -> None:
        reader, writer = os.pipe()
        async with files.open(reader, "rb") as source, files.open(writer, "wb", 0) as sink:
            reading = asyncio.ensure_future(source.read(4))
            await asyncio.sleep(0)
            if self.random.random() < 0.5:
                await sink.write(b"data")
                assert await reading == b"data"
            else:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading

    async def run(self, count: int) -> None:
        """Do so many operations, a few at a time; cancel some."""
        choices: list[Callable[[files.BinaryFile], Awaitable[None]]] = [
            self.pread,
            self.pread,
            self.readinto,
            self.lines,
            self.seek,
            self.write,
            self.reopen,
            self.names,
            self.pipe,
        ]
        path = self.folder / "data"
        path.write_bytes(CONTENT)
        while self.done < count:
            _aioxide._file_at_once(self.random.random() < 0.3)
            f = await files.open(path, "r+b", self.random.choice([0, 512, 8192]))
            tasks = [
                asyncio.ensure_future(self.random.choice(choices)(f))
                for _ in range(self.random.randrange(1, 40))
            ]
            self.done += len(tasks)
            for _ in range(self.random.randrange(4)):
                await asyncio.sleep(0)
            for task in tasks:
                if self.random.random() < 0.3:
                    task.cancel()
            closing = asyncio.ensure_future(f.close()) if self.random.random() < 0.3 else None
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                expected = (
                    (asyncio.CancelledError, ValueError) if closing else asyncio.CancelledError
                )
                if isinstance(result, BaseException) and not isinstance(result, expected):
                    raise result
            await f.close()
            if closing is not None:
                await closing
        assert path.read_bytes() == CONTENT

    async def leave(self) -> None:
        """End with operations in flight."""
        f: Any = await files.open(self.folder / "data", "r+b", 0)
        left = [asyncio.ensure_future(f.pread(70_000, 0)) for _ in range(10)]
        left += [asyncio.ensure_future(f.pwrite(CONTENT[:5000], 0)) for _ in range(5)]
        await asyncio.sleep(0)
        if self.random.random() < 0.5:
            await asyncio.sleep(0)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await f.close()


def test_random_operations(implementation: Implementation, backend: str, tmp_path: Path) -> None:
    """Several loops, one after the other, each with its random share."""
    loops = 4
    try:
        for number in range(loops):
            stress = Stress(tmp_path, number)
            loop = implementation.new_event_loop()
            try:
                loop.run_until_complete(stress.run(OPERATIONS // loops))
                loop.run_until_complete(stress.leave())
            finally:
                loop.close()
    finally:
        _aioxide._file_at_once(True)
