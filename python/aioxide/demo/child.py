"""A child process that speaks JSON lines.

Children are in sessions of their own, so that Ctrl-C in a terminal reaches only the process that
started them; leaving the `with` block ends them, and the processes that they have started, whatever
the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

from .interrupts import interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 30.0  # seconds without a word from a child that should be talking
GRACE = 5.0  # seconds to end after being asked to


class ChildFailed(Exception):
    """A child that ended early, fell silent or said nonsense; its text is the reason."""


class Child:
    """One process: `python *words`, with a pipe in both directions."""

    def __init__(self, name: str, words: Sequence[str], patience: float = PATIENCE) -> None:
        self._name = name
        self._words = [sys.executable, *words]
        self._patience = patience
        self._unread = b""

    def __enter__(self) -> Self:
        with interrupts.held():
            self._errors = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        with interrupts.held():
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._errors.close()

    def _signal(self, signum: int) -> None:
        """To all of its session; workers of a pool may have outlived who started them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signum)

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise self._failure() from None

    def hear(self) -> dict[str, Any]:
        """Wait for the next line; raises ChildFailed if the child ends or falls silent instead."""
        while b"\n" not in self._unread:
            if not self._read():
                raise self._failure()
        line, _, self._unread = self._unread.partition(b"\n")
        return self._decoded(line)

    def _read(self) -> bool:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], self._patience)
        if not ready:
            raise ChildFailed(f"{self._name} made no progress for {self._patience:g} seconds")
        data = self._process.stdout.read(1 << 16)
        self._unread += data
        return bool(data)

    def _decoded(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ChildFailed(f"{self._name} said {line.decode(errors='replace')!r}")
        return message

    def _failure(self) -> ChildFailed:
        """Why it ended, in the last words it wrote to stderr."""
        code = self._process.wait(self._patience)
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        # Without the frame that Python draws around exception groups.
        lines = [line for each in text.splitlines() if (line := each.strip(" |+-"))]
        last = lines[-1] if lines else "no message"
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return ChildFailed(f"{self._name} {how}: {last}")
