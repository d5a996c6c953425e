"""``os``, awaitable: the functions that look at, make and remove files.

What io_uring can do goes through the loop's ring; the rest (listing folders, resolving links,
changing modes) through the loop's default executor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os as _os
import shutil
import stat as _stat
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .. import _aioxide
from . import ospath as path

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

_P = ParamSpec("_P")
_R = TypeVar("_R")

__all__ = [
    "access",
    "chmod",
    "copyfile",
    "exists",
    "fstat",
    "getcwd",
    "link",
    "listdir",
    "lstat",
    "makedirs",
    "mkdir",
    "path",
    "readlink",
    "remove",
    "removedirs",
    "rename",
    "renames",
    "replace",
    "rmdir",
    "scandir",
    "sendfile",
    "stat",
    "statvfs",
    "symlink",
    "unlink",
    "utime",
    "walk",
    "wrap",
]


def wrap(function: Callable[_P, _R]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """Make a coroutine function of a blocking one: a thread of the loop's executor runs it."""

    @functools.wraps(function)
    async def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await asyncio.to_thread(function, *args, **kwargs)

    return run


access = wrap(_os.access)
chmod = wrap(_os.chmod)
getcwd = wrap(_os.getcwd)
readlink = wrap(_os.readlink)
statvfs = wrap(_os.statvfs)
utime = wrap(_os.utime)


async def stat(
    path: StrOrBytesPath | int, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> _os.stat_result:
    """As ``os.stat``."""
    if dir_fd is not None:
        return await asyncio.to_thread(
            _os.stat, path, dir_fd=dir_fd, follow_symlinks=follow_symlinks
        )
    return await _aioxide.file_stat(path, follow_symlinks)


async def lstat(path: StrOrBytesPath, *, dir_fd: int | None = None) -> _os.stat_result:
    """As ``os.lstat``."""
    return await stat(path, dir_fd=dir_fd, follow_symlinks=False)


async def fstat(fd: int) -> _os.stat_result:
    """As ``os.fstat``."""
    return await _aioxide.file_stat(fd, True)


async def exists(path: StrOrBytesPath | int) -> bool:
    """As ``os.path.exists``."""
    try:
        await _aioxide.file_stat(path, True)
    except (OSError, ValueError):
        return False
    return True


async def mkdir(path: StrOrBytesPath, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """As ``os.mkdir``."""
    if dir_fd is not None:
        await asyncio.to_thread(_os.mkdir, path, mode, dir_fd=dir_fd)
        return
    await _aioxide.file_mkdir(path, mode)


async def makedirs(name: StrOrBytesPath, mode: int = 0o777, exist_ok: bool = False) -> None:
    """As ``os.makedirs``."""
    name = _os.fspath(name)
    head, tail = _os.path.split(name)
    if not tail:
        head, tail = _os.path.split(head)
    here = b"." if isinstance(tail, bytes) else "."
    if head and tail and not await exists(head):
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            await makedirs(head, exist_ok=exist_ok)
        if tail == here:
            return
    try:
        await _aioxide.file_mkdir(name, mode)
    except OSError:
        if not exist_ok or not await path.isdir(name):
            raise


async def remove(path: StrOrBytesPath, *, dir_fd: int | None = None) -> None:
    """As ``os.remove``."""
    if dir_fd is not None:
        await asyncio.to_thread(_os.remove, path, dir_fd=dir_fd)
        return
    await _aioxide.file_unlink(path, False)


unlink = remove


async def rmdir(path: StrOrBytesPath, *, dir_fd: int | None = None) -> None:
    """As ``os.rmdir``."""
    if dir_fd is not None:
        await asyncio.to_thread(_os.rmdir, path, dir_fd=dir_fd)
        return
    await _aioxide.file_unlink(path, True)


async def removedirs(name: StrOrBytesPath) -> None:
    """As ``os.removedirs``."""
    name = _os.fspath(name)
    await rmdir(name)
    head, tail = _os.path.split(name)
    if not tail:
        head, tail = _os.path.split(head)
    while head and tail:
        try:
            await rmdir(head)
        except OSError:
            break
        head, tail = _os.path.split(head)


async def rename(
    src: StrOrBytesPath,
    dst: StrOrBytesPath,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """As ``os.rename``."""
    if src_dir_fd is not None or dst_dir_fd is not None:
        await asyncio.to_thread(_os.rename, src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        return
    await _aioxide.file_rename(src, dst)


replace = rename


async def renames(old: StrOrBytesPath, new: StrOrBytesPath) -> None:
    """As ``os.renames``."""
    head, tail = _os.path.split(_os.fspath(new))
    if head and tail and not await exists(head):
        await makedirs(head)
    await rename(old, new)
    head, tail = _os.path.split(_os.fspath(old))
    if head and tail:
        with contextlib.suppress(OSError):
            await removedirs(head)


async def link(
    src: StrOrBytesPath,
    dst: StrOrBytesPath,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    follow_symlinks: bool = True,
) -> None:
    """As ``os.link``."""
    if src_dir_fd is not None or dst_dir_fd is not None or follow_symlinks:
        # What the default means depends on the platform and on the version of Python.
        extra: dict[str, Any] = {} if follow_symlinks else {"follow_symlinks": False}
        await asyncio.to_thread(
            _os.link, src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **extra
        )
        return
    await _aioxide.file_link(src, dst, False)


async def symlink(
    src: StrOrBytesPath,
    dst: StrOrBytesPath,
    target_is_directory: bool = False,
    *,
    dir_fd: int | None = None,
) -> None:
    """As ``os.symlink``."""
    if dir_fd is not None:
        await asyncio.to_thread(_os.symlink, src, dst, target_is_directory, dir_fd=dir_fd)
        return
    await _aioxide.file_symlink(src, dst)


async def listdir(path: Any = ".") -> list[Any]:
    """As ``os.listdir``."""
    return await asyncio.to_thread(_os.listdir, path)


async def scandir(path: Any = ".") -> Any:
    """As ``os.scandir``: the entries are there when it returns, their iteration does not wait."""
    return await asyncio.to_thread(_os.scandir, path)


async def walk(
    top: StrOrBytesPath,
    topdown: bool = True,
    onerror: Callable[[OSError], object] | None = None,
    followlinks: bool = False,
) -> AsyncIterator[tuple[Any, list[Any], list[Any]]]:
    """As ``os.walk``, to be used with ``async for``."""
    top = _os.fspath(top)
    try:
        folders, links, others = await asyncio.to_thread(_sorted_entries, top)
    except OSError as error:
        if onerror is not None:
            onerror(error)
        return
    if topdown:
        yield top, folders, others
    for name in list(folders):
        below = _os.path.join(top, name)
        if followlinks or (name not in links if not topdown else not await path.islink(below)):
            async for found in walk(below, topdown, onerror, followlinks):
                yield found
    if not topdown:
        yield top, folders, others


def _sorted_entries(top: Any) -> tuple[list[Any], set[Any], list[Any]]:
    """List a folder: its folders, those of them that are links, and everything else."""
    folders: list[Any] = []
    links: set[Any] = set()
    others: list[Any] = []
    with _os.scandir(top) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            (folders if is_folder else others).append(entry.name)
            if is_folder and entry.is_symlink():
                links.add(entry.name)
    return folders, links, others


async def copyfile(
    src: StrOrBytesPath, dst: StrOrBytesPath, *, follow_symlinks: bool = True
) -> Any:
    """As ``shutil.copyfile``."""
    return await asyncio.to_thread(shutil.copyfile, src, dst, follow_symlinks=follow_symlinks)


async def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """As ``os.sendfile``; where the output does not take anything yet, it is waited for."""
    while True:
        try:
            if _stat.S_ISREG(_os.fstat(out_fd).st_mode):
                return await asyncio.to_thread(_os.sendfile, out_fd, in_fd, offset, count)
            return _os.sendfile(out_fd, in_fd, offset, count)
        except (BlockingIOError, InterruptedError):
            await _aioxide.file_poll(out_fd, True)
