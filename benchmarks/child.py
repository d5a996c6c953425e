"""Child processes: those that give one answer, and those that are talked to line by line."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 20.0
"""How many seconds a child may stay silent beyond what it was asked to do."""


class Failed(Exception):
    """A measurement that gave no figure; its text is the reason."""


def environment() -> dict[str, str]:
    """The environment of measured processes: the caller's, less what makes Python slow or other."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def python_command(module: str, *arguments: str) -> list[str]:
    """Command line of a Python child in this folder."""
    return [sys.executable, str(HERE / f"{module}.py"), *arguments]


def last_line(text: str) -> str:
    """What a traceback ends with."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


class Child:
    """A process that is talked to line by line; `variables` are set in its environment."""

    def __init__(self, command: Sequence[str], **variables: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._rest = b""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment() | variables,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self) -> None:
        """An empty line, which means: go on."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"\n")
        except BrokenPipeError:
            raise Failed(self._reason()) from None

    def line(self, limit: float) -> str:
        """The next line it prints; a failure where none comes in time."""
        assert self._process.stdout is not None
        end = time.monotonic() + limit
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Failed(f"silent for {limit:g} s")
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                raise Failed(self._reason())
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def _reason(self) -> str:
        status = self._process.wait(PATIENCE)
        self._errors.seek(0)
        text = last_line(self._errors.read().decode(errors="replace"))
        return f"killed by signal {-status}" if status < 0 else text

    def close(self) -> None:
        """End of input ends it; what does not end then is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


@contextlib.contextmanager
def running(command: Sequence[str], **variables: str) -> Iterator[Child]:
    child = Child(command, **variables)
    try:
        yield child
    finally:
        child.close()


def run_python(module: str, *arguments: str, limit: float = PATIENCE) -> None:
    """Run a Python child that says nothing to its end; a failure where it fails."""
    try:
        done = subprocess.run(
            python_command(module, *arguments),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no result within {limit:g} s") from None
    if done.returncode < 0:
        raise Failed(f"killed by signal {-done.returncode}")
    if done.returncode:
        raise Failed(last_line(done.stderr))
