"""Run a program, and press Ctrl-C when it has printed its first line, or this one.

A terminal sends the signal to all processes of the program, so does this: to its process group.

Usage: python interrupted.py PROGRAM [LINE]
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any, TextIO


class Interrupting:
    """A stdout that sends the signal, once, at the end of a line."""

    def __init__(self, stream: TextIO, after: str | None) -> None:
        self._stream = stream
        self._after = after
        self._line = ""
        self._pressed = False

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._line += text
        if not text.endswith("\n"):
            return written
        line, self._line = self._line.rstrip("\n"), ""
        if self._after in (None, line) and not self._pressed:
            self._pressed = True
            self._stream.flush()
            os.killpg(0, signal.SIGINT)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    program, *after = sys.argv[1:]
    sys.argv[:] = [program]
    sys.path[0] = str(Path(program).parent)
    sys.stdout = Interrupting(sys.stdout, after[0] if after else None)  # type: ignore[assignment]
    runpy.run_path(program, run_name="__main__")
