"""While the kernel refuses to take operations, each of them ends: well, or with the error."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aioxide import _aioxide, files

if TYPE_CHECKING:
    from helpers import Implementation

PASSING = [errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOMEM]


@pytest.fixture(autouse=True)
def by_the_ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if files.backend() != "uring":
        pytest.skip("no io_uring here")
    monkeypatch.setenv("AIOXIDE_FILES", "uring")
    _aioxide._file_at_once(False)
    yield
    _aioxide._file_at_once(True)


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
@pytest.mark.parametrize("times", [1, 3, 20])
async def test_a_passing_refusal(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, number: int, times: int
) -> None:
    """What the kernel takes later is late. One flush repeats 16 interruptions, not 20."""
    if times == 20 and number != errno.EINTR:
        pytest.skip("that is a lasting one")
    path = tmp_path / "a"
    path.write_bytes(b"content")
    async with files.open(path, "r+b") as f:
        _aioxide._file_refusals([number] * times)
        assert await f.pread(7, 0) == b"content"
        _aioxide._file_refusals([number] * times)
        assert await f.pwrite(b"C", 0) == 1
        _aioxide._file_refusals([number] * times)
        assert (await files.os.stat(path)).st_size == 7
        _aioxide._file_refusals([number] * times)
        results = await asyncio.gather(*(f.pread(1, index % 7) for index in range(600)))
        assert b"".join(results) == (b"Content" * 86)[:600]
        _aioxide._file_refusals([number] * times)
    assert path.read_bytes() == b"Content"


async def test_a_lasting_refusal(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """Operations that the kernel never takes fail, and are not made later; the next ones work."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    async with files.open(path, "r+b") as f:
        _aioxide._file_refusals([errno.EPERM] * 1000)
        attempts = [f.pwrite(b"x", index % 7) for index in range(300)]
        for result in await asyncio.gather(*attempts, return_exceptions=True):
            assert isinstance(result, PermissionError)
        _aioxide._file_refusals([errno.ENOMEM] * 1000)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            await f.pwrite(b"x", 0)
        _aioxide._file_refusals([])
        assert await f.pread(7, 0) == b"content"


async def test_cancelled_while_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """An operation that the kernel has not taken yet can be cancelled."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    async with files.open(path, "r+b") as f:
        for attempt in (lambda: f.pread(7, 0), lambda: f.pwrite(b"x" * 7, 0)):
            for steps in range(4):
                _aioxide._file_refusals([errno.EAGAIN] * 2)
                task = asyncio.ensure_future(attempt())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                result = (await asyncio.gather(task, return_exceptions=True))[0]
                assert result == 7 or isinstance(result, (bytes, asyncio.CancelledError))
                assert await f.pread(7, 0) in (b"content", b"x" * 7)
                assert await f.pwrite(b"content", 0) == 7


def test_closing_the_loop_while_refused(implementation: Implementation, tmp_path: Path) -> None:
    """A loop that is closed while the kernel refuses neither hangs nor writes later."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    for refusals in ([errno.EAGAIN] * 3, [errno.EPERM] * 1000):
        loop = implementation.new_event_loop()

        async def leave(refusals: list[int] = refusals) -> None:
            f = await files.open(path, "r+b")
            _aioxide._file_refusals(refusals)
            task = asyncio.ensure_future(f.pwrite(b"content", 0))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            os.close(os.dup(f.fileno()))
            await asyncio.gather(task, return_exceptions=True)
            await f.close()

        loop.run_until_complete(leave())
        loop.close()
    assert path.read_bytes() == b"content"


PROGRAM = """
import asyncio, sys
import aioxide
from aioxide import _aioxide, files

async def main():
    _aioxide._file_at_once(False)
    async with files.open(sys.argv[1], "r+b") as f:
        assert await f.pread(7, 0) == b"content"
        assert await f.pwrite(b"C", 0) == 1
        assert await f.read() == b"Content"
    print("ended")

(aioxide.run if sys.argv[2] == "aioxide" else asyncio.run)(main())
"""


@pytest.mark.parametrize("name", [errno.errorcode[number] for number in PASSING])
@pytest.mark.parametrize("when", ["1", "2", "3", "1+2"])
def test_injected_by_strace(
    implementation: Implementation, tmp_path: Path, name: str, when: str
) -> None:
    """The system call itself fails: the first, second or third, or every other one."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    probe = [strace, "-qq", "-o", os.devnull, "-e", "trace=io_uring_enter", "true"]
    if subprocess.run(probe, capture_output=True, timeout=60).returncode:
        pytest.skip("strace may not trace here")
    path = tmp_path / "a"
    path.write_bytes(b"content")
    command = [strace, "-f", "-qq", "-o", str(tmp_path / "trace")]
    command += ["-e", "trace=io_uring_enter"]
    command += ["-e", f"inject=io_uring_enter:error={name}:when={when}"]
    command += [sys.executable, "-c", PROGRAM, str(path), implementation.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert path.read_bytes() == b"Content"


@pytest.mark.aioxide_only
def test_a_waiter_that_cannot_be_resolved_holds_up_no_other(tmp_path: Path) -> None:
    """Several operations complete at once; resolving one waiter raises, the others end."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    broken: list[asyncio.Future[object]] = []

    class Broken(asyncio.Future):  # type: ignore[type-arg]
        def set_result(self, result: object) -> None:
            broken.append(self)
            raise RuntimeError("broken")

    class Loop(asyncio.SelectorEventLoop):
        def create_future(self) -> asyncio.Future[object]:
            wanted = Broken if break_next.pop() else asyncio.Future
            return wanted(loop=self)

    break_next = [False] * 100
    contexts = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        async with files.open(path, "rb") as f:
            break_next[-2:] = [False, True]
            first, second = (asyncio.ensure_future(f.pread(7, 0)) for _ in range(2))
            assert await second == b"content"
            assert len(broken) == 1
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    loop = Loop()
    loop.run_until_complete(main())
    loop.close()
    assert [str(context["exception"]) for context in contexts] == ["broken"]
