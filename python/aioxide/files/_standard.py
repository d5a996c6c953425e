"""``stdin``, ``stdout`` and ``stderr``: what ``sys`` has under these names when they are used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .. import _aioxide
from ._binary import BinaryFile
from ._text import TextFile
from ._wrap import WrappedFile

__all__ = ["stderr", "stderr_bytes", "stdin", "stdin_bytes", "stdout", "stdout_bytes"]


class StandardFile(WrappedFile):
    """One of the three, looked up at each call: tests and shells replace them."""

    def __init__(self, find: Callable[[], Any]) -> None:
        super().__init__(None)
        self._find = find

    def _target(self) -> Any:
        return self._find()


class StandardInput(StandardFile):
    """The process's own input is read without a thread.

    So a program that waits for somebody to type can be cancelled, and ends when it is told to. It
    has a buffer of its own: what ``input()`` or ``sys.stdin`` have read ahead is not seen here.
    """

    def _target(self) -> Any:
        if sys.stdin is sys.__stdin__ and (own := _own_input()) is not None:
            return self._of(own)
        return super()._target()

    def _of(self, own: TextFile) -> TextFile | BinaryFile:
        return own

    def __getattr__(self, name: str) -> Any:
        target = self._target()
        if isinstance(target, (TextFile, BinaryFile)) and not name.startswith("_"):
            return getattr(target, name)
        return super().__getattr__(name)

    async def __anext__(self) -> Any:
        target = self._target()
        if isinstance(target, (TextFile, BinaryFile)):
            return await anext(target)
        return await super().__anext__()


class StandardInputBytes(StandardInput):
    """The bytes beneath."""

    def _of(self, own: TextFile) -> BinaryFile:
        return own.buffer


_own: TextFile | None = None


def _own_input() -> TextFile | None:
    """Make our file of the process's input; there may be none, or none with a descriptor."""
    global _own
    if _own is None or _own.closed:
        source = sys.__stdin__
        try:
            assert source is not None
            fd = source.fileno()
            status = _aioxide.file_stat_now(fd)
        except (AssertionError, OSError, ValueError):
            return None
        binary = BinaryFile(
            fd, name="<stdin>", mode="rb", status=status, buffer_size=8192, closefd=False
        )
        _own = TextFile(
            binary,
            encoding=source.encoding,
            errors=source.errors or "strict",
            newline=None,
            line_buffering=False,
            mode="r",
        )
    return _own


stdin = StandardInput(lambda: sys.stdin)
stdout = StandardFile(lambda: sys.stdout)
stderr = StandardFile(lambda: sys.stderr)
stdin_bytes = StandardInputBytes(lambda: sys.stdin.buffer)
stdout_bytes = StandardFile(lambda: sys.stdout.buffer)
stderr_bytes = StandardFile(lambda: sys.stderr.buffer)
