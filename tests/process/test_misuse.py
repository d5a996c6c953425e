"""Whatever is asked for wrongly fails as on asyncio, and no process and no descriptor is left."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import Implementation, open_fds, outcome_of, until

pytestmark = [
    pytest.mark.usefixtures("loop"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


class Unopened:
    """Something without a descriptor."""

    def fileno(self) -> int:
        raise OSError("not open")


def raise_error() -> None:
    raise KeyError("in the child")


PROGRAMS = [
    ((), TypeError),
    (("no-such-program-anywhere",), FileNotFoundError),
    (("/no/such/folder/program",), FileNotFoundError),
    (("",), OSError),
    (("/",), PermissionError),
    (("/etc/passwd",), PermissionError),
    (("/etc/passwd/x",), NotADirectoryError),
    ((1,), TypeError),
    ((None,), TypeError),
    (("true", 1), TypeError),
    (("true", None), TypeError),
    (("true", "a\0b"), ValueError),
    (("tr\0ue",), ValueError),
    (("true", "x" * (1 << 20)), OSError),
    (("true", "\ud800"), UnicodeEncodeError),
    ((["true"],), TypeError),
]
OPTIONS = [
    ({"text": True}, ValueError),
    ({"universal_newlines": True}, ValueError),
    ({"encoding": "utf-8"}, ValueError),
    ({"errors": "strict"}, ValueError),
    ({"bufsize": 1}, ValueError),
    ({"bufsize": None}, ValueError),
    ({"shell": True}, ValueError),
    ({"cwd": "/no/such/folder"}, FileNotFoundError),
    ({"cwd": "/etc/passwd"}, NotADirectoryError),
    ({"cwd": 1.5}, TypeError),
    ({"env": {"a=b": "c"}}, ValueError),
    ({"env": {"a": 1}}, TypeError),
    ({"env": 5}, AttributeError),
    ({"executable": "/no/such/program"}, FileNotFoundError),
    ({"stdin": "a name"}, AttributeError),
    ({"stdout": object()}, AttributeError),
    ({"stderr": Unopened()}, OSError),
    ({"stdin": 1.0}, AttributeError),
    ({"stdin": 987_654}, OSError),
    ({"pass_fds": 5}, TypeError),
    ({"pass_fds": [-1]}, ValueError),
    ({"pass_fds": ["x"]}, ValueError),
    ({"preexec_fn": raise_error}, subprocess.SubprocessError),
    ({"preexec_fn": 5}, subprocess.SubprocessError),
    ({"user": "no-such-user-anywhere"}, KeyError),
    ({"user": -1}, ValueError),
    ({"user": 1.5}, TypeError),
    ({"group": "no-such-group-anywhere"}, KeyError),
    ({"group": b"x"}, TypeError),
    ({"extra_groups": "root"}, ValueError),
    ({"umask": "0"}, TypeError),
    ({"process_group": "x"}, TypeError),
    ({"process_group": 999_999_999}, OSError),
    ({"creationflags": 1}, ValueError),
    ({"startupinfo": 1}, ValueError),
    ({"pipesize": "x"}, TypeError),
    ({"no_such_option": 1}, TypeError),
    ({"args": 1}, TypeError),
]


@pytest.mark.parametrize("pipes", [{}, PIPES], ids=["plain", "pipes"])
@pytest.mark.parametrize(("args", "kind"), PROGRAMS)
async def test_programs(args: Any, kind: type[Exception], pipes: Any) -> None:
    with pytest.raises(kind):
        await asyncio.create_subprocess_exec(*args, **pipes)


@pytest.mark.parametrize("pipes", [{}, PIPES], ids=["plain", "pipes"])
@pytest.mark.parametrize(("options", "kind"), OPTIONS, ids=repr)
async def test_options(options: Any, kind: type[Exception], pipes: Any) -> None:
    with pytest.raises(kind):
        await asyncio.create_subprocess_exec("true", **pipes | options)


@pytest.mark.parametrize(
    ("command", "options", "kind"),
    [
        (["true"], {}, ValueError),
        (None, {}, ValueError),
        (Path("/bin/true"), {}, ValueError),
        ("true", {"shell": False}, ValueError),
        ("true", {"text": True}, ValueError),
        ("true", {"encoding": "utf-8"}, ValueError),
        ("true", {"bufsize": 1}, ValueError),
        ("a\0b", {}, ValueError),
        ("true", {"cwd": "/no/such/folder"}, FileNotFoundError),
        ("true", {"executable": "/no/such/shell"}, FileNotFoundError),
    ],
)
async def test_shell(command: Any, options: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await asyncio.create_subprocess_shell(command, **options)


async def test_a_missing_program_of_the_shell_is_the_shell_s_error() -> None:
    process = await asyncio.create_subprocess_shell(
        "no-such-program-anywhere", stderr=subprocess.DEVNULL
    )
    assert await process.wait() == 127


async def test_a_protocol_factory_that_fails(loop: asyncio.AbstractEventLoop) -> None:
    async def spawn(factory: Any) -> Any:
        return await loop.subprocess_exec(factory, "true")

    assert await outcome_of(lambda: spawn(raise_error)) is KeyError
    assert await outcome_of(lambda: spawn(None)) is TypeError


async def test_a_protocol_that_fails(loop: asyncio.AbstractEventLoop, contexts: Any) -> None:
    """Its exception goes to the loop's handler, and the process comes to its end."""

    class Failing(asyncio.SubprocessProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise KeyError("made")

        def process_exited(self) -> None:
            raise KeyError("exited")

        def connection_lost(self, exc: BaseException | None) -> None:
            lost.set_result(None)
            raise KeyError("lost")

    lost = loop.create_future()
    transport, _ = await loop.subprocess_exec(Failing, "true")
    await lost
    transport.close()
    said = [context["exception"].args[0] for context in contexts.take()]
    assert said == ["made", "exited", "lost"]


@pytest.mark.aioxide_only  # asyncio starts it first, and notices then
def test_a_closed_loop(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.close()
    monkeypatch.setattr(subprocess, "Popen", None)
    spawn: Any = loop.subprocess_exec
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        spawn(asyncio.SubprocessProtocol, "true").send(None)


@pytest.mark.aioxide_only  # asyncio leaves the process alone, with its pipes
async def test_a_loop_that_does_not_run_here(implementation: Implementation) -> None:
    """Awaited in another loop: refused, and the process is killed."""
    lost = []

    class Losing(asyncio.SubprocessProtocol):
        def connection_lost(self, exc: BaseException | None) -> None:
            lost.append(exc)

    other = implementation.new_event_loop()
    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await other.subprocess_exec(Losing, "sleep", "100")
    running = asyncio.get_running_loop()
    await running.run_in_executor(None, other.run_until_complete, until(lambda: lost))
    other.close()
    assert lost == [None]


@pytest.mark.parametrize(
    ("number", "kind"),
    [("TERM", TypeError), (1.5, TypeError), (None, TypeError), (1000, OSError), (-1, OSError)],
)
async def test_no_signals(number: Any, kind: type[Exception]) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "100")
    try:
        with pytest.raises(kind):
            process.send_signal(number)
    finally:
        process.kill()
        await process.wait()


async def test_communicate_takes_bytes() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
    with pytest.raises((TypeError, AssertionError)):
        await process.communicate("text")  # type: ignore[arg-type]
    process.stdin.close()
    await process.wait()


async def test_no_descriptors_left() -> None:
    """The process cannot be started, and what there was of its pipes is closed again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = open_fds()
    # Every number is taken up to the one that the limit is counted from.
    fillers = [os.open("/dev/null", os.O_RDONLY)]
    while fillers[-1] < max(used) + 1:
        fillers.append(os.open("/dev/null", os.O_RDONLY))
    ends: list[Any] = []
    try:
        for spare in range(14):
            resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + spare, hard))
            try:
                process = await asyncio.create_subprocess_exec("true", **PIPES)
            except OSError as error:
                ends.append(error.errno)
            else:
                await process.communicate()
                ends.append(process.returncode)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
    assert ends == sorted(ends, reverse=True)
    assert set(ends) == {errno.EMFILE, 0}


if sys.version_info >= (3, 12):

    async def test_eager_tasks(loop: asyncio.AbstractEventLoop) -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        process = await asyncio.create_subprocess_exec("cat", **PIPES)
        assert await process.communicate(b"x") == (b"x", b"")
