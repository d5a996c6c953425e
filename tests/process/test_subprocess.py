"""Child processes: what goes into them and comes out, how they end, and that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from helpers import Implementation, collect, open_fds, turns, until

pytestmark = [
    pytest.mark.usefixtures("loop"),
    # preexec_fn forks: warned of where tests before this one have left threads.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
UNTIL_TOLD = "read line"
"""A shell command that ends when it reads a line, or finds the end of its input."""


async def start(command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a shell command, without pipes unless asked for."""
    return await asyncio.create_subprocess_exec("/bin/sh", "-c", command, **options)


async def output_of(command: str, **options: Any) -> bytes:
    """Return what a shell command that succeeds has written."""
    process = await start(command, stdout=PIPE, **options)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def dead_unnoticed(command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a shell command; it is a zombie by now, and the loop has not had a chance to see it."""
    read, write = os.pipe()
    process = await start(f"read line; {command}", stdin=read, **options)
    os.close(read)
    os.close(write)
    with contextlib.suppress(ChildProcessError):  # asyncio's thread up to 3.11 has fetched it
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def must_not_be_called(*args: object) -> None:
    raise AssertionError(f"called with {args}")


class Recorder(asyncio.SubprocessProtocol):
    """A protocol that writes down every call it gets."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.data = {1: b"", 2: b""}
        self.transport: Any = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        assert type(data) is bytes
        self.data[fd] += data

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.events.append(("pipe lost", fd, exc))

    def process_exited(self) -> None:
        self.events.append("exited")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", exc))
        self.lost.set_result(None)


# The end of a process


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -KILL $$", -signal.SIGKILL),
        ("kill -TERM $$", -signal.SIGTERM),
    ],
)
async def test_return_code(command: str, code: int) -> None:
    process = await start(command)
    assert await process.wait() == code
    assert process.returncode == code


async def test_shell() -> None:
    process = await asyncio.create_subprocess_shell("exit 3; echo never")
    assert await process.wait() == 3


async def test_the_program_of_a_process_that_runs(loop: asyncio.AbstractEventLoop) -> None:
    process = await start(UNTIL_TOLD, stdin=PIPE)
    assert process.returncode is None
    assert os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) != ""
    transport: Any = process._transport
    assert transport.get_pid() == process.pid
    assert transport.get_extra_info("subprocess").pid == process.pid
    assert isinstance(transport.get_extra_info("subprocess"), subprocess.Popen)
    process.stdin.close()
    assert await process.wait() == 1


async def test_many_wait_for_one() -> None:
    process = await start(UNTIL_TOLD, stdin=PIPE)
    waiting = [asyncio.create_task(process.wait()) for _ in range(5)]
    await turns(2)
    waiting[1].cancel()
    waiting[3].cancel()
    await turns(2)
    process.stdin.write(b"\n")
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, BaseException)] == [0, 0, 0]
    assert await process.wait() == 0


async def test_the_end_is_noticed_once_it_has_come_before_anybody_looks() -> None:
    process = await dead_unnoticed("exit 4")
    assert process.returncode is None
    assert await process.wait() == 4


async def test_stopping_is_not_ending() -> None:
    process = await start(UNTIL_TOLD, stdin=PIPE)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    await turns(5)
    assert process.returncode is None
    process.send_signal(signal.SIGCONT)
    process.stdin.write(b"\n")
    assert await process.wait() == 0


# Pipes


@pytest.mark.parametrize("size", [0, 1, 65_536, 1 << 20])
async def test_communicate_through_cat(size: int) -> None:
    sent = os.urandom(size)
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert await process.communicate(sent) == (sent, None)
    assert process.returncode == 0


async def test_stdout_and_stderr_apart() -> None:
    process = await start("echo out; echo err >&2", stdout=PIPE, stderr=PIPE)
    assert await process.communicate() == (b"out\n", b"err\n")


async def test_stderr_into_stdout() -> None:
    process = await start("echo out; echo err >&2", stdout=PIPE, stderr=STDOUT)
    assert await process.communicate() == (b"out\nerr\n", None)


async def test_a_conversation() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    for number in range(20):
        line = b"%d\n" % number
        process.stdin.write(line)
        await process.stdin.drain()
        assert await process.stdout.readline() == line
    process.stdin.close()
    await process.stdin.wait_closed()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def test_more_output_than_anybody_reads_holds_the_process_up() -> None:
    amount = 1 << 20
    process = await start(f"head -c {amount} /dev/zero", stdout=PIPE, limit=1024)
    await until(lambda: process.stdout._paused)  # type: ignore[union-attr]
    assert process.returncode is None
    assert len(await process.stdout.read()) == amount
    assert await process.wait() == 0


async def test_output_is_there_after_the_end() -> None:
    process = await dead_unnoticed("echo late", stdout=PIPE)
    await turns(5)
    assert await process.stdout.read() == b"late\n"
    assert await process.wait() == 0


async def test_a_process_that_does_not_read_its_input() -> None:
    process = await start("exit 5", stdin=PIPE)
    assert await process.communicate(b"x" * (1 << 20)) == (None, None)
    assert process.returncode == 5


async def test_writing_into_a_closed_input_is_an_error() -> None:
    process = await start("exec <&-; echo closed; exec sleep 100", stdin=PIPE, stdout=PIPE)
    assert await process.stdout.readline() == b"closed\n"
    with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - sooner or later
        while True:
            process.stdin.write(b"x" * 65536)
            await process.stdin.drain()
    process.kill()
    await process.wait()


async def test_what_the_protocol_is_told(loop: asyncio.AbstractEventLoop) -> None:
    transport, protocol = await loop.subprocess_exec(Recorder, "cat")
    transport.get_pipe_transport(0).write(b"through")
    transport.get_pipe_transport(0).close()
    await protocol.lost
    assert protocol.transport is transport
    assert protocol.data == {1: b"through", 2: b""}
    assert protocol.events[0] == "made"
    assert protocol.events[-1] == ("lost", None)
    assert sorted(map(str, protocol.events[1:-1])) == [
        "('pipe lost', 0, None)",
        "('pipe lost', 1, None)",
        "('pipe lost', 2, None)",
        "exited",
    ]
    assert transport.get_returncode() == 0
    transport.close()


async def test_other_pipes_are_none(loop: asyncio.AbstractEventLoop) -> None:
    transport, protocol = await loop.subprocess_exec(
        Recorder, "true", stdin=None, stdout=DEVNULL, stderr=None
    )
    assert [transport.get_pipe_transport(fd) for fd in range(4)] == [None] * 4
    await protocol.lost
    transport.close()


# What the child is given


async def test_options_reach_the_process(tmp_path: Path) -> None:
    assert await output_of("pwd -P", cwd=tmp_path) == os.fsencode(tmp_path.resolve()) + b"\n"
    assert await output_of("echo $X", env={"X": "of its own"}) == b"of its own\n"
    assert await output_of("umask", umask=0o027) == b"0027\n"
    assert await output_of("echo $0", executable="/bin/sh") == b"/bin/sh\n"
    ids = "cut -d' ' -f 5,6 /proc/self/stat"  # process group, session
    own = f"{os.getpgid(0)} {os.getsid(0)}\n".encode()
    assert await output_of(ids) == own
    assert await output_of(ids, start_new_session=True) != own
    group, session = (await output_of(ids, process_group=0)).split()
    assert int(session) == os.getsid(0)
    assert int(group) != os.getpgid(0)
    assert await output_of("echo $Y", preexec_fn=lambda: os.putenv("Y", "set")) == b"set\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
async def test_user_and_groups() -> None:
    given: dict[str, Any] = {"user": 65534, "group": 65533, "extra_groups": [65532]}
    assert await output_of("echo $(id -u) $(id -g)", **given) == b"65534 65533\n"
    assert b"65532" in (await output_of("id -G", **given)).split()


async def test_passed_descriptors() -> None:
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb"):
        target = f"/proc/self/fd/{write}"
        assert await output_of(f"echo 1 >{target} && echo yes", pass_fds=[write]) == b"yes\n"
        assert os.read(read, 10) == b"1\n"
        process = await start(f"echo 1 >{target}", stderr=DEVNULL)
        assert await process.wait() != 0


@pytest.mark.parametrize("close_fds", [True, False])
async def test_nothing_else_is_inherited(close_fds: bool) -> None:
    """Neither the loop's own descriptors nor the pipes of another process."""
    other = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    out = await output_of("ls /proc/$$/fd; :", stdin=DEVNULL, close_fds=close_fds)
    # What the test runner itself lets through, if asked to.
    let_through = set() if close_fds else {fd for fd in open_fds() if os.get_inheritable(fd)}
    assert set(map(int, out.split())) == {0, 1, 2} | let_through
    # The other one's input ends when this process closes it.
    assert await other.communicate(b"still mine") == (b"still mine", None)


async def test_input_is_a_pipe_unless_asked_otherwise(loop: asyncio.AbstractEventLoop) -> None:
    """subprocess_exec: a child does not read our terminal by accident."""
    transport, protocol = await loop.subprocess_exec(
        Recorder, "readlink", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"
    )
    await protocol.lost
    assert [line[:6] for line in protocol.data[1].splitlines()] == [b"pipe:["] * 3
    transport.close()


# Signals


async def test_signals_end_it() -> None:
    for send, code in (
        ("terminate", -signal.SIGTERM),
        ("kill", -signal.SIGKILL),
    ):
        process = await start("exec sleep 100")
        getattr(process, send)()
        assert await process.wait() == code
    process = await start("exec sleep 100")
    process.send_signal(signal.SIGUSR1)
    assert await process.wait() == -signal.SIGUSR1


async def test_signalling_one_that_is_gone() -> None:
    process = await start("exit 0")
    await process.wait()
    await until(lambda: process._transport._proc is None)
    for call in (process.kill, process.terminate, lambda: process.send_signal(signal.SIGUSR1)):
        with pytest.raises(ProcessLookupError):
            call()


async def test_signalling_one_whose_end_is_not_known_yet(implementation: Implementation) -> None:
    if implementation.name == "asyncio" and sys.version_info < (3, 13):
        pytest.skip("asyncio looks for its end there, and then misses it")
    process = await dead_unnoticed("exit 6")
    process.terminate()
    process.kill()
    process.send_signal(signal.SIGUSR1)
    assert await process.wait() == 6


@pytest.mark.aioxide_only  # asyncio would signal whoever has the number by now
async def test_signalling_one_that_somebody_else_has_reaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = await dead_unnoticed("exit 6")
    os.waitpid(process.pid, 0)
    monkeypatch.setattr(os, "kill", must_not_be_called)
    process.terminate()
    process.kill()
    assert await process.wait() == 255


@pytest.mark.aioxide_only  # asyncio up to 3.13 would signal whoever has the number by now
async def test_signalling_one_whose_pipes_are_still_open(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grandchild has them; the process itself is gone, and its number is free."""
    command = "exec 3<&0; cat <&3 & exit 5"
    transport, protocol = await loop.subprocess_exec(Recorder, "sh", "-c", command)
    await until(lambda: transport.get_returncode() is not None)
    monkeypatch.setattr(os, "kill", must_not_be_called)
    for send in (transport.kill, transport.terminate):
        send()
    assert not protocol.lost.done()
    transport.get_pipe_transport(0).close()
    await protocol.lost
    assert transport.get_returncode() == 5
    transport.close()


# A status that somebody else has fetched


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio's thread there is faster")
async def test_a_stolen_status(caplog: pytest.LogCaptureFixture) -> None:
    process = await dead_unnoticed("exit 6")
    os.waitpid(process.pid, 0)
    with caplog.at_level(logging.WARNING, "asyncio"):
        assert await process.wait() == 255
    assert f"child process pid {process.pid} exit status already read" in caplog.text


@pytest.mark.aioxide_only  # asyncio calls it stolen
async def test_a_status_that_popen_has_fetched(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await dead_unnoticed("exit 6")
    assert process._transport.get_extra_info("subprocess").wait() == 6
    # The number may be another child's by now.
    monkeypatch.setattr(os, "waitpid", must_not_be_called)
    assert await process.wait() == 6
    assert caplog.text == ""


@pytest.mark.aioxide_only  # asyncio fails to start it, or starts it and fails
async def test_where_children_are_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """SIGCHLD ignored: the kernel keeps no status."""
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = await start("exit 6")
        assert await process.wait() == 255
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert "exit status already read" in caplog.text


# Closing


async def test_closing_kills(loop: asyncio.AbstractEventLoop) -> None:
    transport, protocol = await loop.subprocess_exec(Recorder, "sleep", "100")
    assert not transport.is_closing()
    transport.close()
    transport.close()
    assert transport.is_closing()
    await protocol.lost
    assert transport.get_returncode() == -signal.SIGKILL


async def test_closing_one_that_has_ended(implementation: Implementation) -> None:
    process = await dead_unnoticed("exit 9")
    process._transport.close()
    code = await process.wait()
    # asyncio's own close() fetches the status, and then misses it.
    assert code == 9 or (implementation.name, code) == ("asyncio", 255)


async def test_closing_in_debug_mode_says_that_it_kills(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    transport, protocol = await loop.subprocess_exec(Recorder, "sleep", "100")
    with caplog.at_level(logging.DEBUG, "asyncio"):
        transport.close()
        await protocol.lost
    assert "Close running child process: kill" in caplog.text
    assert "exited with return code -9" in caplog.text


async def test_cancelled_while_it_starts() -> None:
    """The process does not live on, and what waited for it has waited for its end."""
    task = asyncio.create_task(start("exec sleep 100", stdin=PIPE, stdout=PIPE, stderr=PIPE))
    await turns(1)  # it is started in this turn, its pipes are not connected yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.aioxide_only  # asyncio waits for the pipes, which the grandchild has too
async def test_cancelled_while_it_starts_and_a_grandchild_keeps_the_pipes() -> None:
    read, write = os.pipe()

    def leave_grandchild() -> None:
        if os.fork() == 0:
            os.closerange(3, read)
            os.closerange(read + 1, 1024)
            os.read(read, 1)
            os._exit(0)

    with open(read, "rb"), open(write, "wb"):
        sleeping = start("exec sleep 100", stdout=PIPE, preexec_fn=leave_grandchild)
        task = asyncio.create_task(sleeping)
        await turns(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.aioxide_only  # asyncio waits for ever up to 3.13
@pytest.mark.parametrize("connect", ["connect_write_pipe", "connect_read_pipe"])
async def test_pipes_that_cannot_be_connected(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, connect: str
) -> None:
    async def refuse(*_: object) -> None:
        raise OSError(28, "no space in the kernel's table")

    with monkeypatch.context() as patch:
        patch.setattr(loop, connect, refuse, raising=False)
        with pytest.raises(OSError, match="no space"):
            await start("exec sleep 100", stdin=PIPE, stdout=PIPE, stderr=PIPE)


@pytest.mark.aioxide_only  # asyncio's pidfd stays open
def test_the_loop_is_closed_before_its_process_ends(loop: asyncio.AbstractEventLoop) -> None:
    process = loop.run_until_complete(start("exec sleep 100"))
    transport: Any = process._transport
    loop.close()
    transport.close()
    assert transport.get_extra_info("subprocess").wait() == -signal.SIGKILL


@pytest.mark.aioxide_only  # asyncio's pidfd stays open
@pytest.mark.parametrize("pipe", [None, PIPE])
def test_a_process_that_everybody_has_forgotten(loop: asyncio.AbstractEventLoop, pipe: Any) -> None:
    """It is warned of, and killed, when its transport goes."""
    process: Any = loop.run_until_complete(start("exec sleep 100", stdin=pipe, stdout=pipe))
    popen = process._transport.get_extra_info("subprocess")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.close()
        del process
        collect()
    assert popen.wait() == -signal.SIGKILL
    assert any("unclosed transport <SubprocessTransport" in str(each.message) for each in caught)


# Names


@pytest.mark.aioxide_only
def test_the_module_has_asyncio_s_names() -> None:
    """For `import aioxide as asyncio`, where programs write `asyncio.subprocess.PIPE`."""
    import aioxide.subprocess as ours

    theirs = asyncio.subprocess
    for name in (*theirs.__all__, "PIPE", "STDOUT", "DEVNULL", "Process"):
        assert getattr(ours, name) is getattr(theirs, name)


@pytest.mark.aioxide_only
def test_a_loop_that_is_closed_before_it_notices_the_end(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Nothing of the process is left open once nobody refers to its transport."""

    async def start() -> asyncio.SubprocessTransport:
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
        )
        return transport

    transport = loop.run_until_complete(start())
    process = transport.get_extra_info("subprocess")
    transport.close()
    loop.close()
    process.wait()
    del transport, process  # what is open after this test is looked for by conftest.py


@pytest.mark.aioxide_only
def test_a_forgotten_transport_whose_warning_is_an_error(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio's finalizer ends with the warning then; the pidfd is closed all the same."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    async def start() -> asyncio.SubprocessTransport:
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
        )
        return transport

    transport = loop.run_until_complete(start())
    process = transport.get_extra_info("subprocess")
    loop.close()
    process.kill()
    process.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del transport
        collect()
    assert [entry.exc_type for entry in told] == [ResourceWarning]
    told.clear()
    del process
