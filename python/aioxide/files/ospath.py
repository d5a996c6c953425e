"""As ``os.path``, awaitable: the functions that ask the file system."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

from .. import _aioxide

if TYPE_CHECKING:
    from typing import AnyStr

    from _typeshed import StrOrBytesPath

__all__ = [
    "abspath",
    "exists",
    "getatime",
    "getctime",
    "getmtime",
    "getsize",
    "isdir",
    "isfile",
    "islink",
    "ismount",
    "lexists",
    "realpath",
    "samefile",
    "sameopenfile",
]


async def _mode(path: StrOrBytesPath | int, *, follow: bool = True) -> int:
    try:
        return (await _aioxide.file_stat(path, follow)).st_mode
    except (OSError, ValueError):
        return 0


async def exists(path: StrOrBytesPath | int) -> bool:
    """As ``os.path.exists``."""
    return bool(await _mode(path))


async def lexists(path: StrOrBytesPath) -> bool:
    """As ``os.path.lexists``."""
    return bool(await _mode(path, follow=False))


async def isfile(path: StrOrBytesPath | int) -> bool:
    """As ``os.path.isfile``."""
    return stat.S_ISREG(await _mode(path))


async def isdir(path: StrOrBytesPath | int) -> bool:
    """As ``os.path.isdir``."""
    return stat.S_ISDIR(await _mode(path))


async def islink(path: StrOrBytesPath) -> bool:
    """As ``os.path.islink``."""
    return stat.S_ISLNK(await _mode(path, follow=False))


async def ismount(path: StrOrBytesPath | int) -> bool:
    """As ``os.path.ismount``."""
    return await asyncio.to_thread(os.path.ismount, path)


async def getsize(path: StrOrBytesPath | int) -> int:
    """As ``os.path.getsize``."""
    return (await _aioxide.file_stat(path, True)).st_size


async def getmtime(path: StrOrBytesPath | int) -> float:
    """As ``os.path.getmtime``."""
    return (await _aioxide.file_stat(path, True)).st_mtime


async def getatime(path: StrOrBytesPath | int) -> float:
    """As ``os.path.getatime``."""
    return (await _aioxide.file_stat(path, True)).st_atime


async def getctime(path: StrOrBytesPath | int) -> float:
    """As ``os.path.getctime``."""
    return (await _aioxide.file_stat(path, True)).st_ctime


async def samefile(first: StrOrBytesPath | int, second: StrOrBytesPath | int) -> bool:
    """As ``os.path.samefile``."""
    return os.path.samestat(
        await _aioxide.file_stat(first, True), await _aioxide.file_stat(second, True)
    )


async def sameopenfile(first: int, second: int) -> bool:
    """As ``os.path.sameopenfile``."""
    return await samefile(first, second)


async def abspath(path: AnyStr | os.PathLike[AnyStr]) -> AnyStr:
    """As ``os.path.abspath``."""
    return os.path.abspath(path)


async def realpath(path: AnyStr | os.PathLike[AnyStr], *, strict: bool = False) -> AnyStr:
    """As ``os.path.realpath``."""
    return await asyncio.to_thread(os.path.realpath, path, strict=strict)
