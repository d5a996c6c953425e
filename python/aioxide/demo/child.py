"""A child process that speaks JSON lines.

Children are in sessions of their own, so that Ctrl-C in a terminal reaches only the process that
started them; leaving the `with` block ends them, whatever the reason.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.close()

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise self._failure() from None

    def hear(self) -> dict[str, Any]:
        """Wait for the next line."""
        for message in self.listen():
            return message
        raise self._failure()

    def listen(self) -> Iterator[dict[str, Any]]:
        """Each line until the child closes its stdout by ending."""
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                yield self._decoded(line)
            elif not self._read():
                return

    def finish(self) -> None:
        """Wait for the end of a child that has said all; raises where it ended badly."""
        try:
            code = self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self._name} does not end") from None
        if code:
            raise self._failure()

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
