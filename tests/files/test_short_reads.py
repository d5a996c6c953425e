"""Only the end of a regular file shortens a read: not the end of what is cached."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import mmap
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aioxide import _aioxide, files

PAGE = mmap.PAGESIZE
SIZE = 1 << 20


class CachedFile:
    """A file whose pages are put into the page cache, and taken out of it, one range at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = random.Random(14).randbytes(SIZE + 100)
        path.write_bytes(self.content)
        self.fd = os.open(path, os.O_RDONLY)
        os.fsync(self.fd)
        # No read of ours brings more than it asks for.
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_RANDOM)
        self._map = mmap.mmap(self.fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)

    def cached(self) -> list[bool]:
        """Tell which pages the page cache has, by mincore(2)."""
        pages = (len(self.content) + PAGE - 1) // PAGE
        answer = (ctypes.c_ubyte * pages)()
        start = ctypes.c_char.from_buffer(self._map)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            length = ctypes.c_size_t(len(self.content))
            assert libc.mincore(ctypes.byref(start), length, answer) == 0
        finally:
            del start
        return [bool(page & 1) for page in answer]

    def keep_only(self, start: int, length: int) -> None:
        """Leave in the page cache what these bytes are in, and nothing behind them."""
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if any(self.cached()):
            pytest.skip("the pages of this file system cannot be evicted")
        if length:
            os.pread(self.fd, length, start)
        cached = self.cached()
        assert all(cached[start // PAGE : (start + length) // PAGE])
        assert not any(cached[(start + length) // PAGE + 1 :])


@pytest.fixture
def cached_file(tmp_path: Path) -> Any:
    file = CachedFile(tmp_path / "a")
    yield file
    file.close()


# A method, and the builtin's for the control; each reads `size` bytes from `offset` on.
async def by_pread(f: files.BinaryFile, size: int, offset: int) -> bytes:
    return await f.pread(size, offset)


async def by_read(f: files.BinaryFile, size: int, offset: int) -> bytes:
    await f.seek(offset)
    return await f.read(size)


async def by_readinto(f: files.BinaryFile, size: int, offset: int) -> bytes:
    await f.seek(offset)
    target = bytearray(size)
    return bytes(target[: await f.readinto(target)])


async def by_read1(f: files.BinaryFile, size: int, offset: int) -> bytes:
    await f.seek(offset)
    return await f.read1(size)


async def by_readinto1(f: files.BinaryFile, size: int, offset: int) -> bytes:
    await f.seek(offset)
    target = bytearray(size)
    return bytes(target[: await f.readinto1(target)])


METHODS: dict[str, Callable[[files.BinaryFile, int, int], Awaitable[bytes]]] = {
    "pread": by_pread,
    "read": by_read,
    "readinto": by_readinto,
    "read1": by_read1,
    "readinto1": by_readinto1,
}


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
@pytest.mark.parametrize("method", METHODS)
async def test_where_the_page_cache_ends(
    loop: asyncio.AbstractEventLoop,
    backend: str,
    cached_file: CachedFile,
    method: str,
    buffering: int,
) -> None:
    """A read whose first pages are cached, and whose others are not, gives all of them."""
    if buffering == 0 and method in ("read1", "readinto1"):
        pytest.skip("raw files do not have it")
    content = cached_file.content
    async with files.open(cached_file.path, "rb", buffering) as f:
        for size in (3 * PAGE, 60_000, 300_000):
            for offset in (0, 7 * PAGE + 11):
                expected = content[offset : offset + size]
                for half in (PAGE, size // 2 // PAGE * PAGE):
                    cached_file.keep_only(offset // PAGE * PAGE, half)
                    assert await METHODS[method](f, size, offset) == expected
                assert os.pread(cached_file.fd, size, offset) == expected
        # The end of the file does shorten.
        offset = SIZE - 2 * PAGE
        cached_file.keep_only(offset, PAGE)
        assert await METHODS[method](f, 60_000, offset) == content[offset:]


async def test_reading_all_and_lines(
    loop: asyncio.AbstractEventLoop, backend: str, cached_file: CachedFile
) -> None:
    """`read()`, lines and text, with a page cache that has every other part."""
    content = cached_file.content
    for buffering in (0, -1):
        cached_file.keep_only(0, SIZE // 2)
        async with files.open(cached_file.path, "rb", buffering) as f:
            assert await f.read() == content
    cached_file.keep_only(0, 10 * PAGE)
    async with files.open(cached_file.path, "rb") as f:
        assert b"".join([line async for line in f]) == content
    cached_file.keep_only(0, 10 * PAGE + 1)
    async with files.open(cached_file.path, encoding="latin-1", newline="") as text:
        assert await text.read(SIZE // 2) == content[: SIZE // 2].decode("latin-1")
        cached_file.keep_only(SIZE // 2, 3 * PAGE)
        assert await text.read() == content[SIZE // 2 :].decode("latin-1")
    cached_file.keep_only(0, PAGE)
    assert await files.Path(cached_file.path).read_bytes() == content


@pytest.mark.parametrize("method", METHODS)
async def test_short_operations(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, method: str
) -> None:
    """Operations that transfer less than was asked for, or are interrupted, are continued."""
    path = tmp_path / "a"
    content = random.Random(7).randbytes(200_000)
    path.write_bytes(content)
    _aioxide._file_at_once(False)
    try:
        async with files.open(path, "rb", 8192) as f:
            for size in (20_000, 100_000):
                _aioxide._file_faults([-1, errno.EINTR, -4096])
                assert await METHODS[method](f, size, 123) == content[123 : 123 + size]
            _aioxide._file_faults([-10, errno.EIO])
            with pytest.raises(OSError, match="Input/output error"):
                await METHODS[method](f, 20_000, 50)
    finally:
        _aioxide._file_at_once(True)


@pytest.mark.parametrize("steps", range(8))
async def test_a_short_write_that_is_cancelled(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, steps: int
) -> None:
    """What has begun to be written is written whole, also if its task is cancelled in between."""
    path = tmp_path / "a"
    path.write_bytes(b"-" * 100)
    async with files.open(path, "r+b", 0) as f:
        _aioxide.file_ring()
        _aioxide._file_faults([-10, -10, -10])
        task = asyncio.ensure_future(f.pwrite(b"x" * 100, 0))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        assert result == 100 or isinstance(result, asyncio.CancelledError)
        assert path.read_bytes() in (b"-" * 100, b"x" * 100)
        if result == 100:
            assert path.read_bytes() == b"x" * 100
