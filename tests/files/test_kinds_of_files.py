"""Pipes, terminals, devices, /proc, huge and changing files; and everything that fails."""

from __future__ import annotations

import asyncio
import errno
import io
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aioxide import _aioxide, files


async def test_pipe(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """Both ends at once, with more than fits into the pipe."""
    reader, writer = os.pipe()
    data = os.urandom(300_000)
    async with files.open(reader, "rb") as source, files.open(writer, "wb") as sink:

        async def send() -> None:
            assert await sink.write(data) == len(data)
            await sink.close()

        received, _ = await asyncio.gather(source.read(), send())
        assert received == data
        with pytest.raises(io.UnsupportedOperation):
            await source.seek(0)
        with pytest.raises(OSError, match="Illegal seek"):
            await source.tell()
    reader, writer = os.pipe()
    with pytest.raises(io.UnsupportedOperation, match="seekable"):
        await files.open(reader, "r+b")
    os.close(reader)
    os.close(writer)


async def test_pipe_lines(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """Lines come as they are written, also in pieces and as text."""
    reader, writer = os.pipe()
    async with files.open(reader, encoding="utf-8") as f:
        line = asyncio.ensure_future(f.readline())
        for part in (b"h\xc3", b"\xa9llo", b"\nwor"):
            os.write(writer, part)
            await asyncio.sleep(0)
        assert await line == "héllo\n"
        os.write(writer, b"ld\r\n")
        os.close(writer)
        assert [line async for line in f] == ["world\n"]
        assert await f.read() == ""


async def test_fifo_waits_for_its_other_end(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Opening waits; nobody else does."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    opening = asyncio.ensure_future(files.open(fifo, "rb"))
    await asyncio.sleep(0)
    async with files.open(fifo, "wb") as sink:
        source = await opening
        await sink.write(b"data")
    async with source:
        assert await source.read() == b"data"


async def test_proc(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """Files that say that they are empty, and are not."""
    async with files.open("/proc/self/status") as f:
        assert "VmRSS" in await f.read()
    async with files.open("/proc/cpuinfo", "rb") as f:
        lines = [line async for line in f]
    assert len(lines) > 5
    async with files.open("/proc/self/status", "rb", buffering=0) as f:
        assert await f.read(4) == b"Name"


async def test_devices(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """What never ends, what takes everything, and what takes nothing."""
    async with files.open("/dev/zero", "rb") as f:
        assert await f.read(100_000) == bytes(100_000)
    async with files.open("/dev/null", "wb") as f:
        assert await f.write(b"x" * 100_000) == 100_000
    f = await files.open("/dev/full", "wb", buffering=0)
    with pytest.raises(OSError, match="No space left"):
        await f.write(b"x")
    await f.close()
    f = await files.open("/dev/full", "wb")
    await f.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        await f.close()
    assert f.closed


async def test_terminal(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """A terminal is line buffered, and can be read without blocking anybody."""
    master, slave = os.openpty()
    async with (
        files.open(slave, "r", encoding="utf-8") as f,
        files.open(master, "wb", buffering=0) as keyboard,
    ):
        assert await f.isatty()
        line = asyncio.ensure_future(f.readline())
        await asyncio.sleep(0)
        assert not line.done()
        await keyboard.write(b"typed\n")
        assert await line == "typed\n"


async def test_above_four_gigabytes(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path
) -> None:
    """Offsets have 64 bits; holes take no room."""
    far = 5 << 30
    async with files.open(tmp_path / "sparse", "w+b") as f:
        assert await f.seek(far) == far
        await f.write(b"far\n")
        await f.flush()
        assert await f.tell() == far + 4
        assert await f.pread(10, far - 1) == b"\0far\n"
        assert await f.pwrite(b"F", far) == 1
        await f.seek(-4, os.SEEK_END)
        assert await f.readline() == b"Far\n"
        assert await f.truncate(far + 1) == far + 1
        assert (await files.os.stat(tmp_path / "sparse")).st_size == far + 1


async def test_direct(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """Past the page cache: into aligned memory, by `readinto`."""
    path = tmp_path / "a"
    path.write_bytes(os.urandom(8192))

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_DIRECT)

    try:
        f = await files.open(path, "rb", buffering=0, opener=opener)
    except OSError:
        pytest.skip("no O_DIRECT here")
    async with f:
        memory = mmap.mmap(-1, 4096)
        assert await _into(f, memory) == 4096
        assert memory[:] == path.read_bytes()[:4096]
        memory.close()


async def _into(f: files.BinaryFile, memory: mmap.mmap) -> int:
    view = memoryview(memory)
    try:
        return await _aioxide.file_readinto(f.fileno(), view, 0, 0)
    finally:
        view.release()


async def test_growing(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path
) -> None:
    """What is appended by others is read by the next read."""
    path = tmp_path / "a"
    path.write_bytes(b"one\n")
    async with files.open(path, "rb") as f, files.open(path) as text:
        assert await f.read() == b"one\n"
        assert await text.read() == "one\n"
        with open(path, "ab") as other:
            other.write(b"two\n" * 100_000)
        assert await f.readline() == b"two\n"
        assert len(await f.read()) == 399_996
        assert await text.readline() == "two\n"
        assert await f.read() == b""


async def test_shrinking(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path
) -> None:
    """What is cut off is not read, and is no error."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 300_000)
    async with files.open(path, "rb") as f:
        assert len(await f.read(100_000)) == 100_000
        os.truncate(path, 150_000)
        assert len(await f.read(200_000)) in range(50_000, 60_000)
        os.truncate(path, 10)
        assert await f.read() == b""
        assert await f.pread(100, 0) == b"x" * 10


async def test_faults_of_reading(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Interrupted and short reads go on; an error is raised, and the file is as it was."""
    path = tmp_path / "a"
    content = os.urandom(100_000)
    path.write_bytes(content)
    _aioxide._file_at_once(False)
    try:
        async with files.open(path, "rb") as f:
            _aioxide._file_faults([errno.EINTR, -10, -1, errno.EINTR, -3000])
            assert await f.read(50_000) == content[:50_000]
            _aioxide._file_faults([-100, errno.EIO])
            with pytest.raises(OSError, match="Input/output error"):
                await f.read(1000)
            assert await f.tell() == 50_000
            _aioxide._file_faults([-100, None, errno.EIO])
            with pytest.raises(OSError, match="Input/output error"):
                await f.read()
            assert await f.tell() == 50_000
            assert await f.read() == content[50_000:]
            _aioxide._file_faults([errno.EINTR, -7])
            assert await f.pread(10, 5) == content[5:15]
            await f.seek(0)
            target = bytearray(90_000)
            _aioxide._file_faults([errno.EINTR, -7, -20_000])
            assert await f.readinto(target) == 90_000
            assert target == content[:90_000]
    finally:
        _aioxide._file_at_once(True)


async def test_faults_of_text(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """A line whose reading failed is read whole by the next attempt."""
    path = tmp_path / "a"
    path.write_text("é" * 20_000 + "\nnext\n", encoding="utf-8")
    _aioxide._file_at_once(False)
    try:
        async with files.open(path, encoding="utf-8") as f:
            _aioxide._file_faults([None, -1001, errno.EIO])
            with pytest.raises(OSError, match="Input/output error"):
                await f.readline()
            assert await f.tell() == 0
            assert await f.readline() == "é" * 20_000 + "\n"
            assert await f.readline() == "next\n"
    finally:
        _aioxide._file_at_once(True)


async def test_faults_of_writing(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Short writes go on; what could not be written waits, and can be written later."""
    path = tmp_path / "a"
    content = os.urandom(50_000)
    async with files.open(path, "wb", buffering=1000) as f:
        _aioxide.file_ring()
        _aioxide._file_faults([errno.EINTR, -7, -20_000, errno.EINTR])
        assert await f.write(content) == 50_000
        assert await f.write(b"kept") == 4
        _aioxide._file_faults([-2, errno.ENOSPC, errno.ENOSPC])
        with pytest.raises(OSError, match="No space left"):
            await f.flush()
        assert await f.tell() == 50_004
        await f.flush()
        assert path.read_bytes() == content + b"kept"
        await f.write(b"lost")
        _aioxide._file_faults([errno.ENOSPC])
        with pytest.raises(OSError, match="No space left"):
            await f.close()
        assert f.closed
    async with files.open(path, "wb", buffering=0) as f:
        _aioxide._file_faults([-3, errno.EINTR])
        assert await f.write(b"12345") == 5
        assert await f.pwrite(b"54321", 0) == 5
        assert await f.tell() == 5
        # The disk is full: what is in the file is reported, as by the system call.
        _aioxide._file_faults([-3, errno.ENOSPC])
        assert await f.write(b"67890") == 3
        assert await f.tell() == 8
        _aioxide._file_faults([-2, errno.ENOSPC])
        assert await f.pwrite(b"abc", 0) == 2
        _aioxide._file_faults([errno.ENOSPC])
        with pytest.raises(OSError, match="No space left"):
            await f.pwrite(b"abc", 0)
        assert path.read_bytes() == b"ab321678"
        for fault in ("fsync", "truncate"):
            _aioxide._file_faults([errno.EINTR, errno.EIO])
            with pytest.raises(OSError, match="Input/output error"):
                await getattr(f, fault)()


async def test_faults_of_names(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """An error names the paths."""
    missing = tmp_path / "missing"
    for attempt, names in (
        (lambda: files.open(missing), (str(missing), None)),
        (lambda: files.os.stat(missing), (missing, None)),
        (lambda: files.os.unlink(missing), (missing, None)),
        (lambda: files.os.rename(missing, tmp_path / "b"), (missing, tmp_path / "b")),
        (lambda: files.os.mkdir(missing / "x"), (missing / "x", None)),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            await attempt()
        error = caught.value
        assert (error.filename, error.filename2) == names
        assert error.strerror == "No such file or directory"


async def test_several_tasks_on_one_file(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tmp_path: Path
) -> None:
    """Each read gives another part, each write is whole."""
    path = tmp_path / "a"
    content = os.urandom(200_000)
    path.write_bytes(content)
    async with files.open(path, "rb") as f:
        parts = await asyncio.gather(*(f.read(5000) for _ in range(41)))
        assert b"".join(parts) == content
        offsets = range(0, 200_000, 7000)
        parts = await asyncio.gather(*(f.pread(100, offset) for offset in offsets))
        assert parts == [content[offset : offset + 100] for offset in offsets]
    async with files.open(path, "wb", buffering=100) as f:
        await asyncio.gather(*(f.write(b"%05d\n" % number * 20) for number in range(100)))
    lines = path.read_bytes().split()
    assert sorted(lines) == [b"%05d" % number for number in range(100) for _ in range(20)]
    assert all(lines[at] == lines[at + 19] for at in range(0, 2000, 20))


async def test_closing_waits_for_operations(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """What has begun is finished first; what comes after finds a closed file."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    _aioxide._file_at_once(False)
    try:
        f = await files.open(path, "r+b")
        begun = [asyncio.ensure_future(f.read(1000)), asyncio.ensure_future(f.pread(10, 0))]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(f.close())
        await asyncio.sleep(0)
        late = asyncio.ensure_future(f.read(1000))
        assert [len(part) for part in await asyncio.gather(*begun)] == [1000, 10]
        await closing
        with pytest.raises(ValueError, match="closed file"):
            await late
        for call in (f.read, f.readline, f.tell, f.flush, lambda: f.pread(1, 0)):
            with pytest.raises(ValueError, match="closed file"):
                await call()
        await f.close()
    finally:
        _aioxide._file_at_once(True)


async def test_a_busy_reader_lets_others_run(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """A task that reads what is cached never has to wait, and gives way nevertheless."""
    path = tmp_path / "a"
    path.write_bytes(b"line\n" * 1_000_000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    async with files.open(path) as f:
        assert len([line async for line in f]) == 1_000_000
    counting.cancel()
    assert turns > 5


async def test_the_descriptor_follows(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Others who use the descriptor begin where the file stands."""
    path = tmp_path / "a"
    async with files.open(path, "wb") as f:
        await f.write(b"one ")
        await f.flush()
        os.write(f.fileno(), b"two ")
        await f.seek(0, os.SEEK_END)
        await f.write(b"three")
    assert path.read_bytes() == b"one two three"
    fd = os.open(path, os.O_RDWR)
    async with files.open(fd, "r+b", closefd=False) as f:
        assert await f.read() == b"one two three"
        await f.write(b"!")
    os.write(fd, b"?")
    os.close(fd)
    assert path.read_bytes() == b"one two three!?"


async def test_forgotten(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """A file that is forgotten writes what it has, and complains."""
    f = await files.open(tmp_path / "a", "wb")
    await f.write(b"content")
    with pytest.warns(ResourceWarning, match="unclosed file"):
        del f
    assert (tmp_path / "a").read_bytes() == b"content"


PROGRAM = """
import asyncio, os, sys
import aioxide
from aioxide import _aioxide, files

async def main():
    _aioxide._file_at_once(False)
    f = await files.open(sys.argv[1], "r+b", buffering=0)
    reader, writer = os.pipe()
    pipe = await files.open(reader, "rb")
    data = b"x" * 100000
    for make in (lambda: f.pread(1 << 20, 0), lambda: f.pwrite(data, 0), lambda: pipe.read(10)):
        for _ in range(20):
            asyncio.ensure_future(make())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    {end}

{run}
"""


@pytest.mark.parametrize("end", ["return", "os._exit(0)", "raise SystemExit(0)", "1/0"])
@pytest.mark.parametrize(
    "run",
    [
        "asyncio.run(main())",
        "aioxide.run(main())",
        "loop = aioxide.new_event_loop(); loop.run_until_complete(main()); loop.close()",
        "loop = aioxide.new_event_loop(); loop.run_until_complete(main())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",
    ],
)
def test_ending_with_operations_in_flight(backend: str, tmp_path: Path, end: str, run: str) -> None:
    """Neither the end of the loop nor that of the interpreter hangs or crashes."""
    path = tmp_path / "a"
    path.write_bytes(b"y" * (1 << 20))
    program = PROGRAM.format(end=end, run=run)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONMALLOC": "debug", "AIOXIDE_FILES": backend},
    )
    assert done.returncode == (1 if end == "1/0" else 0), done.stderr


def test_fork(backend: str, tmp_path: Path) -> None:
    """The child of a fork has files of its own, and leaves the parent's alone."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    program = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
import aioxide
from aioxide import _aioxide, files
_aioxide._file_at_once(False)

async def read():
    async with files.open(sys.argv[1], "rb") as f:
        return await f.read()

async def main():
    reader, writer = os.pipe()
    pipe = await files.open(reader, "rb")
    waiting = asyncio.ensure_future(pipe.read(4))
    assert await read() == b"content"
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        ok = asyncio.new_event_loop().run_until_complete(read()) == b"content"
        ok = ok and aioxide.new_event_loop().run_until_complete(read()) == b"content"
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.write(writer, b"data")
    assert await waiting == b"data"
    assert await read() == b"content"
    await pipe.close()

aioxide.run(main())
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "AIOXIDE_FILES": backend},
    )
    assert done.returncode == 0, done.stderr


def test_forced_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment decides, and a wrong word is refused."""
    monkeypatch.setenv("AIOXIDE_FILES", "threads")
    assert files.backend() == "threads"
    monkeypatch.setenv("AIOXIDE_FILES", "fibers")
    with pytest.raises(ValueError, match="'uring' or 'threads', not 'fibers'"):
        files.backend()
    monkeypatch.delenv("AIOXIDE_FILES")
    assert files.backend() in ("uring", "threads")
