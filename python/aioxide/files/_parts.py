"""What binary files are put together from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._binary import BinaryFile


def joined(parts: list[bytes]) -> bytes:
    parts = [part for part in parts if part]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_rest(file: BinaryFile, fd: int) -> None:
    """Write what waits in a file that is forgotten: nobody is left to wait for it."""
    data = file._get_pending()
    while data:
        try:
            if file._positioned and not file._appending:
                os.lseek(fd, file._position, os.SEEK_SET)
            count = os.write(fd, data)
        except OSError:
            return
        file._written(count)
        data = data[count:]


async def insist(attempt: Callable[[], Awaitable[None]], unfinished: Callable[[], bool]) -> None:
    """Try again if it is cancelled halfway, and be cancelled after it."""
    cancelled: BaseException | None = None
    while True:
        try:
            await attempt()
            break
        except asyncio.CancelledError as error:
            cancelled = error
            if not unfinished():
                break
    if cancelled:
        raise cancelled
