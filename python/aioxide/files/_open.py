"""``open``: the builtin's signature, and an awaitable that is a context manager too."""

from __future__ import annotations

import asyncio
import errno
import io
import operator
import os
import stat
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from .. import _aioxide
from ._binary import BinaryFile
from ._text import TextFile

if TYPE_CHECKING:
    from _typeshed import (
        FileDescriptorOrPath,
        OpenBinaryMode,
        OpenTextMode,
    )

_F = TypeVar("_F")
# How much waits to be written to a file that is only written, as with the builtin from 3.14 on.
_WRITE_BUFFER = 128 * 1024
_Opener = Callable[[str, int], int]


class Opening(Coroutine[Any, Any, _F], Generic[_F]):
    """What ``open`` gives: ``await`` it, or use it with ``async with``."""

    __slots__ = ("_coroutine", "_file")

    def __init__(self, coroutine: Coroutine[Any, Any, _F]) -> None:
        self._coroutine = coroutine
        self._file: Any = None

    def send(self, value: Any, /) -> Any:
        """Begin or go on."""
        return self._coroutine.send(value)

    def throw(self, *arguments: Any) -> Any:
        """Raise an exception where it waits."""
        return self._coroutine.throw(*arguments)

    def close(self) -> None:
        """End it where it waits."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, _F]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> _F:
        self._file = await self._coroutine
        return await self._file.__aenter__()  # type: ignore[no-any-return]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        result: bool | None = await self._file.__aexit__(kind, exception, traceback)
        return result


@overload
def open(  # noqa: A001
    file: FileDescriptorOrPath,
    mode: OpenTextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: object = None,
    executor: object = None,
) -> Opening[TextFile]: ...
@overload
def open(  # noqa: A001
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: object = None,
    executor: object = None,
) -> Opening[BinaryFile]: ...
@overload
def open(  # noqa: A001
    file: FileDescriptorOrPath,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: object = None,
    executor: object = None,
) -> Opening[Any]: ...
def open(  # noqa: A001 - the builtin's name, on purpose
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: object = None,
    executor: object = None,
) -> Opening[Any]:
    """Open a file: the builtin's arguments, awaitable methods.

    ``async with open(...) as f`` closes it at the end; ``f = await open(...)`` leaves that to you.

    Args:
        file: a path, or a descriptor that is open.
        mode: as for the builtin.
        buffering: 0 for none (binary files only), 1 to flush each line of text, a larger number for
            so many bytes; -1 for what fits the file.
        encoding: the encoding of a text file; the locale's if None.
        errors: what to do with what cannot be decoded or encoded, as for the builtin.
        newline: which line ends are known and written, as for the builtin.
        closefd: whether closing the file closes the descriptor that was given as `file`.
        opener: a function that opens the path and gives a descriptor; a thread runs it.
        loop: accepted from callers of aiofiles, and not needed.
        executor: likewise.

    Returns:
        what gives a `TextFile` or a `BinaryFile` when it is awaited or entered.

    Raises:
        OSError: if the file cannot be opened, when the result is awaited.
        ValueError: if the mode or another argument is wrong, likewise.
    """
    del loop, executor
    return Opening(_open(file, mode, buffering, encoding, errors, newline, closefd, opener))


class Mode:
    """The builtin's mode string, taken apart."""

    def __init__(self, mode: str) -> None:
        if not isinstance(mode, str):
            raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
        letters = set(mode)
        if letters - set("axrwb+t") or len(mode) > len(letters):
            raise ValueError(f"invalid mode: {mode!r}")
        self.text = "b" not in letters
        if not self.text and "t" in letters:
            raise ValueError("can't have text and binary mode at once")
        kinds = letters & set("xrwa")
        if len(kinds) != 1:
            raise ValueError("must have exactly one of create/read/write/append mode")
        (self.kind,) = kinds
        self.updating = "+" in letters
        # As the builtin's files of each kind show it.
        self.raw = ("x" if self.kind == "x" else self.kind) + "b" + "+" * self.updating

    @property
    def write_only(self) -> bool:
        """Whether nothing can be read."""
        return self.kind != "r" and not self.updating

    @property
    def flags(self) -> int:
        """What ``os.open`` takes."""
        access = os.O_RDWR if self.updating else os.O_RDONLY if self.kind == "r" else os.O_WRONLY
        extra = {
            "r": 0,
            "w": os.O_CREAT | os.O_TRUNC,
            "a": os.O_CREAT | os.O_APPEND,
            "x": os.O_CREAT | os.O_EXCL,
        }
        return access | extra[self.kind] | os.O_CLOEXEC


def _check(mode: Mode, buffering: int, encoding: object, errors: object, newline: object) -> None:
    if not mode.text:
        for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                raise ValueError(f"binary mode doesn't take {a_or_an(name)} argument")
    elif buffering == 0:
        raise ValueError("can't have unbuffered text I/O")


def a_or_an(name: str) -> str:
    """Put the article before a name."""
    return f"a{'n' if name[0] in 'aeiou' else ''} {name}"


async def _open(
    file: Any,
    mode_text: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    closefd: bool,
    opener: _Opener | None,
) -> BinaryFile | TextFile:
    if not isinstance(file, int):
        file = os.fspath(file)
    mode = Mode(mode_text)
    _check(mode, operator.index(buffering), encoding, errors, newline)
    # The standard library's own rules for the three, and its complaints.
    model = io.TextIOWrapper(io.BytesIO(), encoding, errors, newline) if mode.text else None
    if isinstance(file, int):
        if file < 0:
            raise ValueError("negative file descriptor")
        fd = file
    elif not closefd:
        raise ValueError("Cannot use closefd=False with file name")
    else:
        fd = await _descriptor(file, mode, opener)
    try:
        status = _status(fd, file)
        nonblocking = not stat.S_ISREG(status.st_mode) and not os.get_blocking(fd)
        if stat.S_ISFIFO(status.st_mode) and not isinstance(file, int):
            os.set_blocking(fd, False)  # nobody else has it, and we never wait in a read
        size, lines = _buffer_size(
            fd, status, buffering, text=mode.text, write_only=mode.write_only
        )
        binary = BinaryFile(
            fd,
            name=file,
            mode=mode.raw,
            status=status,
            buffer_size=size,
            closefd=closefd,
            nonblocking=nonblocking,
        )
    except BaseException:
        if not isinstance(file, int):
            os.close(fd)
        raise
    if model is None:
        return binary
    return TextFile(
        binary,
        encoding=model.encoding,
        errors=model.errors or "strict",
        newline=newline,
        line_buffering=lines,
        mode=mode_text,
    )


async def _descriptor(file: str | bytes, mode: Mode, opener: _Opener | None) -> int:
    if opener is None:
        while True:
            try:
                return await _aioxide.file_open(file, mode.flags, 0o666)
            except InterruptedError:
                continue
    # Somebody else's code, which may block.
    loop = asyncio.get_running_loop()
    fd = await loop.run_in_executor(None, opener, file, mode.flags)  # type: ignore[arg-type]
    if fd < 0:
        raise ValueError(f"opener returned {fd}")
    os.set_inheritable(fd, False)
    return fd


def _status(fd: int, file: Any) -> os.stat_result:
    status = _aioxide.file_stat_now(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    return status


def _buffer_size(
    fd: int, status: os.stat_result, buffering: int, *, text: bool, write_only: bool
) -> tuple[int, bool]:
    """Tell how much is buffered, and whether each line is flushed."""
    lines = buffering == 1 and text
    if buffering == 0:
        return 0, False
    if buffering > 1:
        return buffering, lines
    if buffering < 0 and stat.S_ISCHR(status.st_mode) and os.isatty(fd):
        lines = text
    size = max(io.DEFAULT_BUFFER_SIZE, min(status.st_blksize, _WRITE_BUFFER))
    if write_only and stat.S_ISREG(status.st_mode):
        # Each flush is a kernel thread's work: the fewer the better.
        size = max(size, _WRITE_BUFFER)
    return size, lines
