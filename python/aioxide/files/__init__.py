"""Files that are really asynchronous, with the builtin's interface and aiofiles' names.

``async with files.open(path) as f`` reads what is in the page cache on the spot, and everything
else through io_uring, or through a few native threads where the kernel has none;
``files.backend()`` tells which. The loop may be aioxide's or any other.
"""

from __future__ import annotations

from .._aioxide import file_backend as backend
from . import os, tempfile
from ._binary import BinaryFile
from ._open import Opening, open  # noqa: A004 - the builtin's name, on purpose
from ._path import Path
from ._standard import stderr, stderr_bytes, stdin, stdin_bytes, stdout, stdout_bytes
from ._text import TextFile
from ._wrap import WrappedFile, wrap

__all__ = [
    "BinaryFile",
    "Opening",
    "Path",
    "TextFile",
    "WrappedFile",
    "backend",
    "open",
    "os",
    "stderr",
    "stderr_bytes",
    "stdin",
    "stdin_bytes",
    "stdout",
    "stdout_bytes",
    "tempfile",
    "wrap",
]
