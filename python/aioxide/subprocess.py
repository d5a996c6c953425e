"""Child processes: the transport under ``subprocess_exec`` and ``create_subprocess_shell``.

Processes are started by ``subprocess.Popen`` and their pipes are ordinary pipe transports. What is
ours is how the end of one is noticed: the kernel gives a descriptor for the process (a pidfd) that
becomes readable when it ends, and the loop watches that like any other. No signal handler, no child
watcher and no lock is shared between loops, so that any number of them may start processes, each
in its own thread. Where the kernel or a sandbox has no pidfd, a thread waits for each process.

The public names are those of ``asyncio.subprocess``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
import subprocess
import threading
from asyncio import base_subprocess
from asyncio.log import logger
from asyncio.subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    Process,
    SubprocessStreamProtocol,
    create_subprocess_exec,
    create_subprocess_shell,
)
from typing import TYPE_CHECKING, Any

from ._base import LoopPart

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Process",
    "SubprocessStreamProtocol",
    "create_subprocess_exec",
    "create_subprocess_shell",
)

STATUS_LOST = 255
"""asyncio's return code of a process whose status somebody else has fetched."""


class SubprocessTransport(base_subprocess.BaseSubprocessTransport):
    """A process that its loop watches."""

    _loop: Any
    _pipes: Any
    _pending_calls: Any
    _pidfd = -1

    def _start(
        self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **kw: Any
    ) -> None:
        self._proc = process = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kw
        )
        try:
            self._watch(process.pid)
        except BaseException:
            # Nobody would ever learn of its end, so it must not live on.
            self._close_pidfd()
            with process:
                process.kill()
            raise

    def _watch(self, pid: int) -> None:
        """Have ``_exited`` called by the loop when the process has ended."""
        try:
            self._pidfd = os.pidfd_open(pid)
            self._loop.add_reader(self._pidfd, self._exited)
        except (AttributeError, OSError):
            # No pidfd (ENOSYS), not in this sandbox (EPERM), or no descriptor left: a thread
            # needs none of that.
            self._close_pidfd()
            threading.Thread(
                target=_wait_in_thread,
                args=(pid, self._loop, self._exited, self._abandoned),
                name=f"aioxide-waitpid-{pid}",
                daemon=True,
            ).start()

    def _exited(self) -> None:
        """Fetch the status of the process, which has ended, and report it."""
        self._close_pidfd()
        self._process_exited(self._reap())

    def _abandoned(self) -> None:
        """Fetch the status, so that no zombie is left, where no loop is there to be told."""
        assert self._proc is not None
        self._proc.returncode = self._reap()
        logger.warning("Loop %r that handles pid %r is closed", self._loop, self._pid)

    def _reap(self) -> int:
        process = self._proc
        assert process is not None
        if process.returncode is not None:  # close() has looked, or the user
            return process.returncode
        try:
            _, status = os.waitpid(process.pid, 0)
        except ChildProcessError:
            if process.returncode is not None:  # another thread was faster
                return process.returncode
            logger.warning(
                "child process pid %d exit status already read: will report returncode %d",
                process.pid,
                STATUS_LOST,
            )
            return STATUS_LOST
        return os.waitstatus_to_exitcode(status)

    def __del__(self) -> None:
        try:
            super().__del__()
        finally:
            # The loop may have been closed before it noticed the end of the process.
            self._close_pidfd()

    def _close_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)

    async def _connect_pipes(self, waiter: asyncio.Future[Any] | None) -> None:
        """Make transports of the pipes. asyncio's own leaves what failed here half open."""
        process = self._proc
        assert process is not None
        await super()._connect_pipes(waiter)
        if self._pending_calls is not None:
            # It failed, and the waiter knows. The protocol has seen nothing and shall not; but the
            # transport has to come to its end when the process does.
            self._protocol = asyncio.SubprocessProtocol()
            self._pending_calls = None
            for fd, file in enumerate((process.stdin, process.stdout, process.stderr)):
                if file is not None and self._pipes[fd] is None:
                    file.close()
                    del self._pipes[fd]
            self._close_pipes()
            if not self._finished:
                self._try_finish()
        elif self._closed:
            self._close_pipes()

    def _close_pipes(self) -> None:
        for protocol in self._pipes.values():
            if protocol is not None:
                protocol.pipe.close()

    def close(self) -> None:
        """Close the pipes, and kill the process if it still runs."""
        if self._closed:
            return
        self._closed = True
        open_loop = self._loop is not None and not self._loop.is_closed()
        if open_loop:
            self._close_pipes()
        process = self._proc
        # Asking first also keeps a copy of the transport in the child of a fork from killing what
        # is not that child's own.
        if process is not None and self._returncode is None and process.poll() is None:
            if self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                process.kill()
        if not open_loop:
            self._close_pidfd()

    def send_signal(self, signal: int) -> None:
        """Send a signal. A process that has just ended takes it silently.

        Raises:
            ProcessLookupError: if the transport has come to its end.
        """
        self._check_proc()
        if self._returncode is not None:
            return
        assert self._pid is not None
        try:
            if self._pidfd >= 0:
                # By pid it could meet another process, if somebody else has reaped this one.
                with contextlib.suppress(ProcessLookupError):
                    signals.pidfd_send_signal(self._pidfd, signal)
                return
        except OSError:
            pass  # asyncio's way then, with asyncio's error
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signals.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signals.SIGKILL)


def _wait_in_thread(
    pid: int,
    loop: asyncio.AbstractEventLoop,
    exited: Callable[[], None],
    abandoned: Callable[[], None],
) -> None:
    """Wait for the end of a process, and leave fetching its status to the loop's own thread."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        loop.call_soon_threadsafe(exited)
    except RuntimeError:
        abandoned()


class Subprocesses(LoopPart):
    """The process part of the event loop."""

    async def _make_subprocess_transport(
        self,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> SubprocessTransport:
        self._check_closed()
        waiter = self.create_future()
        transport = SubprocessTransport(
            self,
            protocol,
            args,
            shell,
            stdin,
            stdout,
            stderr,
            bufsize,
            waiter=waiter,
            extra=extra,
            **kwargs,
        )
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport
