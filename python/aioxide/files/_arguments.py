"""What the builtin's files say about their arguments, and about being closed."""

from __future__ import annotations

import operator
import os
import sys

#: Where `seek` may start from.
_WHENCES = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE)
#: Below this offset no file system refuses to seek. Above, the kernel is asked.
_SURELY_VALID = 1 << 31


def index(value: object) -> int:
    """Return a size as an int that C's ``ssize_t`` holds."""
    number = operator.index(value)  # type: ignore[arg-type]
    if not -sys.maxsize - 1 <= number <= sys.maxsize:
        raise OverflowError("cannot fit 'int' into an index-sized integer")
    return number


def index_or_none(value: object) -> int | None:
    """Return a size, or None."""
    if value is None:
        return None
    if not hasattr(type(value), "__index__"):
        raise TypeError(f"argument should be integer or None, not '{type(value).__name__}'")
    return index(value)


def offset(value: object, *, buffered: bool) -> int:
    """Return an offset as an int that C's ``off_t`` holds."""
    number = operator.index(value)  # type: ignore[arg-type]
    if not -(1 << 63) <= number < 1 << 63:
        if buffered:
            raise ValueError("cannot fit 'int' into an offset-sized integer")
        raise OverflowError("Python int too large to convert to C long")
    return number


def check_whence(whence: object, *, buffered: bool) -> int:
    """Return where to seek from; a raw file leaves it to the kernel."""
    number = index(whence)
    if buffered and number not in _WHENCES:
        raise ValueError(f"whence value {number} unsupported")
    return number


def check_position(fd: int, position: int) -> None:
    """Raise the kernel's error for a position that the file cannot have."""
    if not 0 <= position < _SURELY_VALID:
        os.lseek(fd, position if position < 1 << 63 else -1, os.SEEK_SET)
