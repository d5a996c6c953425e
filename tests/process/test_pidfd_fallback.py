"""Where the kernel or a sandbox gives no descriptor for a process, a thread waits for it."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from helpers import turns

pytestmark = [pytest.mark.aioxide_only, pytest.mark.usefixtures("loop")]
PIPE = subprocess.PIPE
Refusal = Callable[[pytest.MonkeyPatch, asyncio.AbstractEventLoop], None]


def refusing(number: int) -> Callable[..., Any]:
    """Return a function that fails with this error."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def no_function(patch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop) -> None:
    """Built without it, as for an old kernel."""
    patch.delattr(os, "pidfd_open")


def no_system_call(patch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop) -> None:
    """The kernel is too old."""
    patch.setattr(os, "pidfd_open", refusing(errno.ENOSYS))


def forbidden(patch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop) -> None:
    """A sandbox does not allow it."""
    patch.setattr(os, "pidfd_open", refusing(errno.EPERM))


def no_descriptor_left(patch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop) -> None:
    """The process has as many as it may."""
    patch.setattr(os, "pidfd_open", refusing(errno.EMFILE))


def not_watched(patch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop) -> None:
    """The user watches as many as they may, or a sandbox' kernel cannot watch this kind."""

    def watch(self: Any, pid: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(loop, "add_reader", refusing(errno.ENOSPC), raising=False)
            real(self, pid)

    from aioxide.subprocess import SubprocessTransport

    real = SubprocessTransport._watch
    patch.setattr(SubprocessTransport, "_watch", watch)


@pytest.fixture(
    autouse=True, params=[no_function, no_system_call, forbidden, no_descriptor_left, not_watched]
)
def refusal(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """One way of having no pidfd."""
    request.param(monkeypatch, loop)


def waiting_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("aioxide-waitpid")]


async def test_return_codes() -> None:
    for command, code in (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", -signal.SIGKILL)):
        process = await asyncio.create_subprocess_shell(command)
        assert await process.wait() == code


async def test_communicate() -> None:
    sent = os.urandom(1 << 18)
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert waiting_threads() == [f"aioxide-waitpid-{process.pid}"]
    assert await process.communicate(sent) == (sent, None)
    assert process.returncode == 0


async def test_signals() -> None:
    process = await asyncio.create_subprocess_exec("sleep", "100")
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    await turns(3)
    assert process.returncode is None
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        process.kill()


async def test_many_at_once() -> None:
    processes = [await asyncio.create_subprocess_exec("cat", stdin=PIPE) for _ in range(20)]
    assert len(waiting_threads()) == 20
    for process in processes:
        process.stdin.close()  # type: ignore[union-attr]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0] * 20


async def test_closing_kills(loop: asyncio.AbstractEventLoop) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE, stdout=PIPE)
    process._transport.close()  # type: ignore[attr-defined]
    assert await process.wait() == -signal.SIGKILL


async def test_a_stolen_status(caplog: pytest.LogCaptureFixture) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "100")
    process.kill()
    os.waitpid(process.pid, 0)
    process.kill()  # quiet: the loop has not been told
    assert await process.wait() == 255
    assert f"child process pid {process.pid} exit status already read" in caplog.text


async def test_no_thread_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process would never be heard of again: it ends, and so does the attempt."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    started = []
    real = subprocess.Popen.__init__

    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        started.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(subprocess.Popen, "__init__", noting)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE, stdout=PIPE)
    assert started.pop().returncode == -signal.SIGKILL


def test_the_loop_is_closed_first(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread itself fetches the status then: no zombie is left."""
    process: Any = loop.run_until_complete(asyncio.create_subprocess_exec("sleep", "100"))
    popen = process._transport.get_extra_info("subprocess")
    loop.close()
    thread = next(each for each in threading.enumerate() if str(process.pid) in each.name)
    with caplog.at_level(logging.WARNING, "asyncio"):
        os.kill(process.pid, signal.SIGKILL)
        thread.join(10)
    assert popen.returncode == -signal.SIGKILL
    assert f"that handles pid {process.pid} is closed" in caplog.text
    process._transport.close()
    del process
    gc.collect()
