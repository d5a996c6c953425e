"""``tempfile``, awaitable: aiofiles' names and arguments."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile as _tempfile
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from .. import _aioxide
from ._binary import BinaryFile
from ._open import Opening, open  # noqa: A004 - the builtin's name, on purpose
from ._text import TextFile
from ._wrap import WrappedFile

__all__ = ["NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "TemporaryFile"]

_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_EXCLUSIVE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def _name(suffix: str | None, prefix: str | None, folder: str | None) -> str:
    """Make up a name that is hardly taken."""
    random = next(_tempfile._get_candidate_names())  # type: ignore[attr-defined]
    folder = folder if folder is not None else _tempfile.gettempdir()
    prefix = prefix if prefix is not None else _tempfile.gettempprefix()
    return os.path.abspath(os.path.join(os.fspath(folder), f"{prefix}{random}{suffix or ''}"))


async def _create(suffix: str | None, prefix: str | None, folder: str | None) -> tuple[int, str]:
    """Make and open a file that nobody else has."""
    for _ in range(_tempfile.TMP_MAX):
        name = _name(suffix, prefix, folder)
        try:
            return await _aioxide.file_open(name, _EXCLUSIVE, 0o600), name
        except (FileExistsError, InterruptedError):
            continue
    raise FileExistsError("No usable temporary file name found")


async def _wrapped(
    fd: int, mode: str, buffering: int, encoding: str | None, newline: str | None
) -> Any:
    try:
        return await open(fd, mode, buffering, encoding, newline=newline)
    except BaseException:
        os.close(fd)
        raise


class _Temporary:
    """Mixed into a file: its name goes with it."""

    _path: str | None = None
    _delete_on_close: bool = True
    delete: bool = False

    async def close(self) -> None:
        """Close it, and remove it if that is wanted."""
        try:
            await super().close()  # type: ignore[misc]
        finally:
            if self.delete and self._delete_on_close:
                await self._remove()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await super().__aexit__(kind, exception, traceback)  # type: ignore[misc]
        finally:
            if self.delete:
                await self._remove()

    async def _remove(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                await _aioxide.file_unlink(path, False)

    def __del__(self) -> None:
        path = getattr(self, "_path", None)
        if self.delete and path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        parent = getattr(super(), "__del__", None)
        if parent is not None:
            parent()


class NamedBinaryFile(_Temporary, BinaryFile):
    """A temporary file of bytes."""


class NamedTextFile(_Temporary, TextFile):
    """A temporary file of text."""


def NamedTemporaryFile(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | None = None,  # noqa: A002
    delete: bool = True,
    delete_on_close: bool = True,
    loop: object = None,
    executor: object = None,
) -> Opening[Any]:
    """Make a temporary file with a name."""
    del loop, executor

    async def make() -> Any:
        fd, name = await _create(suffix, prefix, dir)
        try:
            file = await _wrapped(fd, mode, buffering, encoding, newline)
        except BaseException:
            os.unlink(name)
            raise
        # The same object, of a class that knows what to remove.
        file.__class__ = NamedTextFile if isinstance(file, TextFile) else NamedBinaryFile
        (file.buffer if isinstance(file, TextFile) else file).name = name
        file._path, file.delete, file._delete_on_close = name, delete, delete_on_close
        return file

    return Opening(make())


def TemporaryFile(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | None = None,  # noqa: A002
    loop: object = None,
    executor: object = None,
) -> Opening[Any]:
    """Make a temporary file without a name."""
    del loop, executor

    async def make() -> Any:
        folder = dir if dir is not None else _tempfile.gettempdir()
        fd = -1
        if _O_TMPFILE:
            flags = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC | _O_TMPFILE
            try:
                fd = await _aioxide.file_open(folder, flags, 0o600)
            except OSError:
                fd = -1  # a file system that cannot
        if fd < 0:
            fd, name = await _create(suffix, prefix, dir)
            await _aioxide.file_unlink(name, False)
        return await _wrapped(fd, mode, buffering, encoding, newline)

    return Opening(make())


class SpooledFile(WrappedFile):
    """A file that is in memory until it is too large for that."""

    async def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        spooled = self._file
        if not spooled._rolled and function.__name__ != "rollover":
            memory = spooled._file
            size = len(args[0]) if args and function.__name__ == "write" else 0
            limit = spooled._max_size
            if function.__name__ != "writelines" and (not limit or memory.tell() + size <= limit):
                return function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)


def SpooledTemporaryFile(
    max_size: int = 0,
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | None = None,  # noqa: A002
    loop: object = None,
    executor: object = None,
) -> Opening[SpooledFile]:
    """Make a temporary file that is in memory until it has ``max_size`` bytes."""
    del loop, executor

    async def make() -> SpooledFile:
        return SpooledFile(
            _tempfile.SpooledTemporaryFile(
                max_size, mode, buffering, encoding, newline, suffix, prefix, dir
            )
        )

    return Opening(make())


class _Folder:
    """A temporary directory: ``async with`` gives its path."""

    def __init__(self, making: Coroutine[Any, Any, str]) -> None:
        self._making = making
        self.name = ""

    def __await__(self) -> Any:
        return self._made().__await__()

    async def _made(self) -> _Folder:
        self.name = await self._making
        return self

    async def __aenter__(self) -> str:
        if not self.name:
            await self._made()
        return self.name

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cleanup()

    async def cleanup(self) -> None:
        """Remove the directory and what is in it."""
        await asyncio.to_thread(shutil.rmtree, self.name)


def TemporaryDirectory(
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | None = None,  # noqa: A002
    loop: object = None,
    executor: object = None,
) -> _Folder:
    """Make a temporary directory, removed at the end of ``async with``."""
    del loop, executor

    async def make() -> str:
        for _ in range(_tempfile.TMP_MAX):
            name = _name(suffix, prefix, dir)
            try:
                await _aioxide.file_mkdir(name, 0o700)
            except FileExistsError:
                continue
            return name
        raise FileExistsError("No usable temporary directory name found")

    return _Folder(make())
