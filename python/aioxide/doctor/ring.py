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
    except OSError as error:
        return {"name": errno.errorcode.get(error.errno or 0), "text": str(error)}
    return None


async def _read() -> None:
    async with open_file(__file__, "rb") as file:
        await file.read(1)
