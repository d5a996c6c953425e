"""``Path``: ``pathlib`` with awaitable methods, named as there and in anyio and trio."""

from __future__ import annotations

import asyncio
import os
import pathlib
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import _aioxide
from . import os as files_os
from ._open import Opening
from ._open import open as open_file

if TYPE_CHECKING:
    from _typeshed import StrPath

__all__ = ["Path"]


def _unwrap(path: Any) -> Any:
    return path._path if isinstance(path, Path) else path


class Path:
    """A path whose questions to the file system are awaited.

    What only computes (``parent``, ``name``, ``with_suffix`` ...) is as in ``pathlib.Path`` and
    gives paths of this class; what asks or changes the file system is a coroutine function, and
    what lists is an asynchronous iterator.
    """

    __slots__ = ("__weakref__", "_path")

    def __init__(self, *parts: StrPath) -> None:
        self._path = pathlib.Path(*(_unwrap(part) for part in parts))

    # As an object

    def __fspath__(self) -> str:
        return self._path.__fspath__()

    def __str__(self) -> str:
        return str(self._path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.as_posix()!r})"

    def __bytes__(self) -> bytes:
        return bytes(self._path)

    def __hash__(self) -> int:
        return hash(self._path)

    def __eq__(self, other: object) -> bool:
        return bool(self._path == _unwrap(other))

    def __lt__(self, other: Any) -> bool:
        return bool(self._path < _unwrap(other))

    def __le__(self, other: Any) -> bool:
        return bool(self._path <= _unwrap(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self._path > _unwrap(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self._path >= _unwrap(other))

    def __truediv__(self, other: StrPath) -> Path:
        return Path(self._path / _unwrap(other))

    def __rtruediv__(self, other: StrPath) -> Path:
        return Path(_unwrap(other) / self._path)

    # What only computes

    @property
    def parts(self) -> tuple[str, ...]:
        """As in pathlib."""
        return self._path.parts

    @property
    def drive(self) -> str:
        """As in pathlib."""
        return self._path.drive

    @property
    def root(self) -> str:
        """As in pathlib."""
        return self._path.root

    @property
    def anchor(self) -> str:
        """As in pathlib."""
        return self._path.anchor

    @property
    def parent(self) -> Path:
        """As in pathlib."""
        return Path(self._path.parent)

    @property
    def parents(self) -> Sequence[Path]:
        """As in pathlib."""
        return tuple(Path(parent) for parent in self._path.parents)

    @property
    def name(self) -> str:
        """As in pathlib."""
        return self._path.name

    @property
    def suffix(self) -> str:
        """As in pathlib."""
        return self._path.suffix

    @property
    def suffixes(self) -> list[str]:
        """As in pathlib."""
        return self._path.suffixes

    @property
    def stem(self) -> str:
        """As in pathlib."""
        return self._path.stem

    @property
    def parser(self) -> Any:
        """As in pathlib."""
        return os.path

    def as_posix(self) -> str:
        """As in pathlib."""
        return self._path.as_posix()

    def as_uri(self) -> str:
        """As in pathlib."""
        return self._path.as_uri()

    if sys.version_info >= (3, 13):

        @classmethod
        def from_uri(cls, uri: str) -> Path:
            """As in pathlib."""
            return cls(pathlib.Path.from_uri(uri))

        def full_match(self, pattern: str, /, **kwargs: Any) -> bool:
            """As in pathlib."""
            return self._path.full_match(pattern, **kwargs)

    def is_absolute(self) -> bool:
        """As in pathlib."""
        return self._path.is_absolute()

    def is_relative_to(self, other: StrPath, /, *rest: StrPath) -> bool:
        """As in pathlib."""
        try:
            self.relative_to(other, *rest)
        except ValueError:
            return False
        return True

    def relative_to(self, other: StrPath, /, *rest: StrPath, walk_up: bool = False) -> Path:
        """As in pathlib; ``walk_up`` needs Python 3.12."""
        base = pathlib.Path(_unwrap(other), *(_unwrap(part) for part in rest))
        if walk_up:
            return Path(self._path.relative_to(base, walk_up=True))  # type: ignore[call-arg, unused-ignore]
        return Path(self._path.relative_to(base))

    def joinpath(self, *parts: StrPath) -> Path:
        """As in pathlib."""
        return Path(self._path.joinpath(*(_unwrap(part) for part in parts)))

    def match(self, pattern: str, /, **kwargs: Any) -> bool:
        """As in pathlib."""
        return self._path.match(pattern, **kwargs)

    def with_name(self, name: str) -> Path:
        """As in pathlib."""
        return Path(self._path.with_name(name))

    def with_stem(self, stem: str) -> Path:
        """As in pathlib."""
        return Path(self._path.with_stem(stem))

    def with_suffix(self, suffix: str) -> Path:
        """As in pathlib."""
        return Path(self._path.with_suffix(suffix))

    def with_segments(self, *parts: StrPath) -> Path:
        """As in pathlib."""
        return Path(*parts)

    # What asks

    async def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As in pathlib."""
        return await _aioxide.file_stat(self._path, follow_symlinks)

    async def lstat(self) -> os.stat_result:
        """As in pathlib."""
        return await _aioxide.file_stat(self._path, False)

    async def exists(self, *, follow_symlinks: bool = True) -> bool:
        """As in pathlib."""
        return bool(await files_os.path._mode(self._path, follow=follow_symlinks))

    async def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """As in pathlib."""
        return stat.S_ISDIR(await files_os.path._mode(self._path, follow=follow_symlinks))

    async def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """As in pathlib."""
        return stat.S_ISREG(await files_os.path._mode(self._path, follow=follow_symlinks))

    async def is_symlink(self) -> bool:
        """As in pathlib."""
        return stat.S_ISLNK(await files_os.path._mode(self._path, follow=False))

    async def is_fifo(self) -> bool:
        """As in pathlib."""
        return stat.S_ISFIFO(await files_os.path._mode(self._path))

    async def is_socket(self) -> bool:
        """As in pathlib."""
        return stat.S_ISSOCK(await files_os.path._mode(self._path))

    async def is_block_device(self) -> bool:
        """As in pathlib."""
        return stat.S_ISBLK(await files_os.path._mode(self._path))

    async def is_char_device(self) -> bool:
        """As in pathlib."""
        return stat.S_ISCHR(await files_os.path._mode(self._path))

    async def is_junction(self) -> bool:
        """Tell that there are none here."""
        return False

    async def is_mount(self) -> bool:
        """As in pathlib."""
        return await asyncio.to_thread(self._path.is_mount)

    async def samefile(self, other: StrPath) -> bool:
        """As in pathlib."""
        return await files_os.path.samefile(self._path, _unwrap(other))

    async def owner(self) -> str:
        """As in pathlib."""
        return await asyncio.to_thread(self._path.owner)

    async def group(self) -> str:
        """As in pathlib."""
        return await asyncio.to_thread(self._path.group)

    async def readlink(self) -> Path:
        """As in pathlib."""
        return Path(await asyncio.to_thread(os.readlink, self._path))

    async def absolute(self) -> Path:
        """As in pathlib."""
        return Path(self._path.absolute())

    async def resolve(self, strict: bool = False) -> Path:
        """As in pathlib."""
        return Path(await asyncio.to_thread(self._path.resolve, strict))

    async def expanduser(self) -> Path:
        """As in pathlib."""
        return Path(await asyncio.to_thread(self._path.expanduser))

    @classmethod
    async def cwd(cls) -> Path:
        """As in pathlib."""
        return cls(pathlib.Path.cwd())

    @classmethod
    async def home(cls) -> Path:
        """As in pathlib."""
        return cls(await asyncio.to_thread(pathlib.Path.home))

    # What lists

    async def iterdir(self) -> AsyncIterator[Path]:
        """As in pathlib, for ``async for``."""
        for name in await asyncio.to_thread(os.listdir, self._path):
            yield Path(self._path / name)

    async def glob(self, pattern: str, **kwargs: Any) -> AsyncIterator[Path]:
        """As in pathlib, for ``async for``."""
        for found in await asyncio.to_thread(lambda: list(self._path.glob(pattern, **kwargs))):
            yield Path(found)

    async def rglob(self, pattern: str, **kwargs: Any) -> AsyncIterator[Path]:
        """As in pathlib, for ``async for``."""
        for found in await asyncio.to_thread(lambda: list(self._path.rglob(pattern, **kwargs))):
            yield Path(found)

    async def walk(
        self, top_down: bool = True, on_error: Any = None, follow_symlinks: bool = False
    ) -> AsyncIterator[tuple[Path, list[str], list[str]]]:
        """As in pathlib, for ``async for``."""
        found = files_os.walk(self._path, top_down, on_error, follow_symlinks)
        async for folder, folders, others in found:
            yield Path(folder), folders, others

    # What changes

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Opening[Any]:
        """Open the file: see ``aioxide.files.open``."""
        return open_file(self._path, mode, buffering, encoding, errors, newline)

    async def read_bytes(self) -> bytes:
        """As in pathlib."""
        async with open_file(self._path, "rb") as file:
            return await file.read()

    async def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """As in pathlib."""
        async with open_file(
            self._path, "r", encoding=encoding, errors=errors, newline=newline
        ) as file:
            return await file.read()

    async def write_bytes(self, data: Any) -> int:
        """As in pathlib."""
        async with open_file(self._path, "wb") as file:
            return await file.write(data)

    async def write_text(
        self,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        """As in pathlib."""
        if not isinstance(data, str):
            raise TypeError(f"data must be str, not {type(data).__name__}")
        async with open_file(
            self._path, "w", encoding=encoding, errors=errors, newline=newline
        ) as file:
            return await file.write(data)

    async def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """As in pathlib."""
        await asyncio.to_thread(self._path.touch, mode, exist_ok)

    async def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """As in pathlib."""
        try:
            await _aioxide.file_mkdir(self._path, mode)
        except FileNotFoundError:
            if not parents or self._path.parent == self._path:
                raise
            await self.parent.mkdir(parents=True, exist_ok=True)
            await self.mkdir(mode, parents=False, exist_ok=exist_ok)
        except OSError:
            if not exist_ok or not await self.is_dir():
                raise

    async def rmdir(self) -> None:
        """As in pathlib."""
        await _aioxide.file_unlink(self._path, True)

    async def unlink(self, missing_ok: bool = False) -> None:
        """As in pathlib."""
        try:
            await _aioxide.file_unlink(self._path, False)
        except FileNotFoundError:
            if not missing_ok:
                raise

    async def rename(self, target: StrPath) -> Path:
        """As in pathlib."""
        await _aioxide.file_rename(self._path, _unwrap(target))
        return Path(target)

    async def replace(self, target: StrPath) -> Path:
        """As in pathlib."""
        return await self.rename(target)

    async def hardlink_to(self, target: StrPath) -> None:
        """As in pathlib."""
        await files_os.link(_unwrap(target), self._path)

    async def symlink_to(self, target: StrPath, target_is_directory: bool = False) -> None:
        """As in pathlib."""
        del target_is_directory
        await _aioxide.file_symlink(_unwrap(target), self._path)

    async def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """As in pathlib."""
        await asyncio.to_thread(os.chmod, self._path, mode, follow_symlinks=follow_symlinks)

    async def lchmod(self, mode: int) -> None:
        """As in pathlib."""
        await self.chmod(mode, follow_symlinks=False)
