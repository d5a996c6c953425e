"""Read a file by io_uring.

In a process of its own, with AIOXIDE_FILES=uring: some filters answer the first call with a signal.
"""

from __future__ import annotations

import errno
from typing import Any

from .. import _aioxide, run
from ..files import open as open_file


def attempt() -> dict[str, Any] | None:
    """None if it works, else the `name` of the errno, if there is one, and the `text`."""
    # What is in the page cache would be read without the ring.
    _aioxide._file_at_once(False)
    try:
        run(_read())
    except RuntimeError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        return _told(error.__cause__)
    except OSError as error:
        return _told(error)
    return None


def _told(error: OSError) -> dict[str, Any]:
    return {"name": errno.errorcode.get(error.errno or 0), "text": str(error)}


async def _read() -> None:
    async with open_file(__file__, "rb") as file:
        await file.read(1)
