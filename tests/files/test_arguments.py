"""Odd arguments, closed files and odd kinds of files: the same as with the builtin `open`."""

from __future__ import annotations

import array
import asyncio
import contextlib
import ctypes
import inspect
import mmap
import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioxide import files

CONTENT = b"one\ntwo\nthree\n" * 3
Steps = list[tuple[str, tuple[Any, ...]]]


class Index:
    """An integer by `__index__` only."""

    def __index__(self) -> int:
        return 3


SIZES = [-1, -5, None, 0, 3, 1 << 62, 1 << 63, 1 << 70, -(1 << 70), "x", 2.0, True, Index()]
CALLS: dict[str, list[tuple[Any, ...]]] = {
    "read": [(size,) for size in SIZES],
    "readline": [(size,) for size in SIZES],
    "readlines": [(size,) for size in SIZES],
    "read1": [(-1,), (-5,), (None,), (0,), (3,), (1 << 70,), ("x",), (2.0,)],
    "peek": [(-1,), (0,), (3,), (None,), ("x",), (1 << 70,)],
    "readinto": [(b"abc",), ("x",), (3,), (None,), (bytearray(5),), (array.array("I", [1, 2]),)],
    "readinto1": [(b"abc",), ("x",), (3,), (bytearray(5),), (bytearray(),)],
    "write": [(b"x",), ("x",), (3,), (None,), (array.array("I", [1, 2]),), (b"",), ([b"x"],)],
    "writelines": [([b"x", b"y"],), ([],), (["x"],), (b"xy",), ("xy",), (3,), (None,)],
    "seek": [
        *((target,) for target in (0, -1, 5, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 70)),
        *((target,) for target in (None, "x", Index())),
        *((target, 1) for target in (0, 5, -5, -100, 1 << 62)),
        *((target, 2) for target in (0, 5, -5, -1000, 1 << 62)),
        *((0, whence) for whence in (3, 4, 9, -1, None, "x", 1 << 70)),
    ],
    "truncate": [(), *((size,) for size in SIZES)],
    **{name: [()] for name in ("tell", "flush", "isatty", "readable", "writable", "seekable")},
    **{name: [()] for name in ("close", "readall", "__aenter__")},
}
MODES = [
    *[(mode, buffering) for mode in ("rb", "r+b", "wb") for buffering in (-1, 0)],
    *[("ab", -1), ("a+b", 0), ("r", -1), ("w", -1), ("r+", -1)],
]


def seen(result: object) -> object:
    """Return what is compared: of an exception its class, errno and words about closed files."""
    if isinstance(result, BaseException):
        said = str(result) if "closed" in str(result) or "seek" in str(result) else ""
        return type(result), getattr(result, "errno", None), said
    return bytes(result) if isinstance(result, memoryview) else result


def may_differ(mode: str, call: str, arguments: tuple[Any, ...], theirs: list[object]) -> bool:
    """What differs by intention: docs/files.md."""
    if call == "readlines" and "b" not in mode:
        return True  # iteration does not turn `tell()` off
    if any(result[0] is AttributeError for result in theirs if isinstance(result, tuple)):
        return True  # one class of ours does what several of the builtin do
    if call == "read" and arguments in [(1 << 62,), (None,)]:
        return True  # memory is made for what the file has, not for what was asked for
    if sys.version_info < (3, 12) and mode in ("wb", "ab") and call in ("read", "read1"):
        return True  # the builtin does not look at the argument
    if call in ("readline", "read") and arguments in [(0,), (None,)]:
        return True  # the builtin does not look whether it may read
    return call in ("readable", "writable", "readall")


async def ours(path: Any, mode: str, buffering: int, steps: Steps) -> list[object]:
    results: list[object] = []
    encoding = None if "b" in mode else "utf-8"
    try:
        f = await files.open(path, mode, buffering, encoding)
    except Exception as error:
        return [seen(error)]
    try:
        for name, arguments in steps:
            try:
                result = getattr(f, name)(*arguments)
                result = await result if inspect.isawaitable(result) else result
                result = "entered" if result is f else result
            except Exception as error:
                result = error
            results.append(seen(result))
            results += [bytes(item) for item in arguments if isinstance(item, bytearray)]
    finally:
        try:
            await f.close()
        except OSError as error:
            results.append(seen(error))
    return results


def builtin(path: Any, mode: str, buffering: int, steps: Steps) -> list[object]:
    results: list[object] = []
    encoding = None if "b" in mode else "utf-8"
    try:
        f = open(path, mode, buffering, encoding)  # noqa: SIM115 - closed below
    except Exception as error:
        return [seen(error)]
    try:
        for name, arguments in steps:
            try:
                result = getattr(f, name.replace("__aenter__", "__enter__"))(*arguments)
                result = "entered" if result is f else result
            except Exception as error:
                result = error
            results.append(seen(result))
            results += [bytes(item) for item in arguments if isinstance(item, bytearray)]
    finally:
        try:
            f.close()
        except OSError as error:
            results.append(seen(error))
    return results


@pytest.mark.parametrize(("mode", "buffering"), MODES)
async def test_arguments(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, mode: str, buffering: int
) -> None:
    """Each method with each argument, after nothing, a read, a line and a `close`."""
    path = tmp_path / "a"
    befores: list[Steps] = [[], [("close", ())]]
    if "r" in mode:
        befores += [[("read", (2,))], [("readline", ())]]
    differences = []
    for before in befores:
        for call, many in CALLS.items():
            for arguments in many:
                after: Steps = [] if call == "close" else [("tell", ()), ("read", (4,))]
                steps = [*before, (call, arguments), *after]
                path.write_bytes(CONTENT)
                theirs = builtin(path, mode, buffering, steps)
                content = path.read_bytes()
                path.write_bytes(CONTENT)
                mine = await ours(path, mode, buffering, steps)
                same = mine == theirs and path.read_bytes() == content
                if not same and not may_differ(mode, call, arguments, theirs):
                    differences.append((before, call, arguments, mine, theirs))
    assert not differences


def eventfd() -> int:
    return os.eventfd(5, os.EFD_NONBLOCK)


def memfd() -> int:
    fd = os.memfd_create("test")
    os.write(fd, CONTENT)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def a_terminal() -> int:
    master, slave = os.openpty()
    os.write(master, b"line one\n")
    _kept.append(master)
    return slave


def a_pipe() -> int:
    reader, writer = os.pipe()
    os.write(writer, CONTENT)
    os.close(writer)
    return reader


def a_socket() -> int:
    one, other = socket.socketpair()
    other.sendall(CONTENT)
    other.close()
    return one.detach()


def timerfd() -> int:
    if sys.version_info < (3, 13):
        pytest.skip("os.timerfd_create is new in Python 3.13")
    fd = os.timerfd_create(1, flags=os.TFD_CLOEXEC)  # CLOCK_MONOTONIC
    os.timerfd_settime_ns(fd, initial=1)
    assert select.select([fd], [], [], 10)[0]
    return fd


_kept: list[int] = []
READABLE: dict[str, Callable[[], Any]] = {
    "/dev/null": lambda: "/dev/null",
    "/dev/zero": lambda: "/dev/zero",
    "/dev/full": lambda: "/dev/full",
    "/proc/self/stat": lambda: "/proc/self/comm",
    "/proc/version": lambda: "/proc/version",
    "/sys/kernel": lambda: "/sys/kernel/mm/transparent_hugepage/enabled",
    "eventfd": eventfd,
    "memfd": memfd,
    "terminal": a_terminal,
    "pipe": a_pipe,
    "socket": a_socket,
    "timerfd": timerfd,
    "directory": lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY),
    "a path only": lambda: os.open("/proc/version", os.O_PATH),
    "write only": lambda: os.open("/dev/null", os.O_WRONLY),
}


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("kind", READABLE)
async def test_reading_odd_files(
    loop: asyncio.AbstractEventLoop, backend: str, kind: str, buffering: int
) -> None:
    """Devices, files of the kernel's, and descriptors on some of which `lseek` succeeds."""
    steps: Steps = [("seekable", ()), ("isatty", ()), ("tell", ()), ("read", (8,)), ("tell", ())]
    if kind not in ("eventfd", "timerfd", "terminal"):
        steps += [("read", (3,)), ("tell", ()), ("seek", (0, 1)), ("seek", (2,)), ("read", (5,))]
        steps += [("tell", ()), ("seek", (0, 2)), ("truncate", (0,)), ("readline", (20,))]
    make = READABLE[kind]
    try:
        opened = make()
    except FileNotFoundError:
        pytest.skip(f"no {kind} here")
    if isinstance(opened, str) and not os.path.exists(opened):
        pytest.skip(f"no {opened} here")
    try:
        theirs = builtin(opened, "rb", buffering, steps)
        if isinstance(opened, int):
            with contextlib.suppress(OSError):
                os.close(opened)
            opened = make()
        mine = await ours(opened, "rb", buffering, steps)
        if isinstance(opened, int):
            with contextlib.suppress(OSError):
                os.close(opened)
    finally:
        while _kept:
            os.close(_kept.pop())
    if sys.version_info < (3, 13):  # The builtin counts back from a position that a device has not.
        theirs = [0 if type(each) is int and each < 0 else each for each in theirs]
    assert mine == theirs


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("mode", ["wb", "r+b", "ab"])
@pytest.mark.parametrize("kind", ["/dev/null", "/dev/zero", "/dev/full", "/proc/self/comm"])
async def test_writing_odd_files(
    loop: asyncio.AbstractEventLoop, backend: str, kind: str, mode: str, buffering: int
) -> None:
    """What takes everything or nothing, and a file of /proc that refuses `pwrite`."""
    steps: Steps = [("tell", ()), ("write", (b"new name",)), ("tell", ()), ("flush", ())]
    steps += [("seek", (0,)), ("write", (b"other",)), ("tell", ()), ("flush", ()), ("tell", ())]
    if kind.startswith("/proc"):
        # The kernel moves the position by a write or does not, as it likes.
        steps = [step for step in steps if step[0] != "tell"]
    before = Path("/proc/self/comm").read_bytes().strip()
    try:
        theirs = builtin(kind, mode, buffering, steps)
        name = Path("/proc/self/comm").read_bytes()
        Path("/proc/self/comm").write_bytes(before)
        assert await ours(kind, mode, buffering, steps) == theirs
        assert Path("/proc/self/comm").read_bytes() == name
    finally:
        Path("/proc/self/comm").write_bytes(before)


async def test_inotify(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """Events are read when they come, though the kind of file knows no `RWF_NOWAIT`."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (0, os.O_NONBLOCK):
        fd = libc.inotify_init1(flags | os.O_CLOEXEC)
        assert libc.inotify_add_watch(fd, os.fsencode(tmp_path), 0x100) > 0  # IN_CREATE
        async with files.open(fd, "rb", 0) as f:
            reading = asyncio.ensure_future(f.read(1000))
            await asyncio.sleep(0)
            assert not reading.done()
            (tmp_path / f"new{flags}").touch()
            assert b"new" in await reading


async def test_an_eventfd_is_waited_for(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """It has no positions: what it counts is read when there is something."""
    for flags in (0, os.EFD_NONBLOCK):
        async with files.open(os.eventfd(0, flags), "r+b", 0) as f:
            reading = asyncio.ensure_future(f.read(8))
            await asyncio.sleep(0)
            assert not reading.done()
            os.eventfd_write(f.fileno(), 7)
            assert await reading == (7).to_bytes(8, sys.byteorder)


@pytest.mark.parametrize("by_path", [True, False])
async def test_an_unbuffered_write_to_a_pipe_is_whole(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, by_path: bool
) -> None:
    """A pipe that blocks takes everything in one `write`, as the builtin's does."""
    data = os.urandom(300_000)
    if by_path:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        opening = asyncio.ensure_future(files.open(fifo, "rb"))
        sink = await files.open(fifo, "wb", 0)
        source = await opening
    else:
        reader, writer = os.pipe()
        source, sink = await files.open(reader, "rb"), await files.open(writer, "wb", 0)

    async def send() -> int:
        try:
            return await sink.write(data)
        finally:
            await sink.close()

    received, count = await asyncio.gather(source.read(), send())
    assert (received, count) == (data, len(data))
    await source.close()


async def test_an_unbuffered_write_to_a_pipe_that_does_not_block(
    loop: asyncio.AbstractEventLoop, backend: str
) -> None:
    """It takes what there is room for, and says so."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    async with files.open(writer, "wb", 0) as sink:
        assert await sink.write(bytes(300_000)) == 65_536
    os.close(reader)


async def test_past_the_page_cache(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path
) -> None:
    """O_DIRECT reads into aligned memory of any size, also at the unaligned end of the file."""
    path = tmp_path / "a"
    content = os.urandom(200_100)
    path.write_bytes(content)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    async with files.open(fd, "rb", 0) as f:
        for size in (4096, 65_536, 131_072, 262_144):
            memory = mmap.mmap(-1, size)
            try:
                os.preadv(fd, [memory], 0)
            except OSError:
                pytest.skip("O_DIRECT wants another alignment here")
            for offset in (0, 4096, 196_608):
                await f.seek(offset)
                assert await f.readinto(memory) == len(content[offset : offset + size])
                assert memory[:100] == content[offset : offset + 100]
            memory.close()
