"""How many bytes to make memory for, by what the file says of its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _aioxide

if TYPE_CHECKING:
    from ._binary import BinaryFile

# Bytes that are read at a time of something that does not say how long it is.
_STEP = 64 * 1024


def guess(file: BinaryFile) -> int:
    """Return how much there may be to read; a small number at the end, where it is to be seen."""
    if not file._regular:
        return _STEP
    size = _aioxide.file_stat_now(file._fd).st_size
    if not size:
        return _STEP  # as the files of /proc have it
    return max(size - file._position, 64)


def clip(file: BinaryFile, size: int) -> int:
    """Leave no memory for what is behind the end of the file."""
    if size <= _STEP:
        return size
    if not file._regular or not (known := _aioxide.file_stat_now(file._fd).st_size):
        return min(size, 16 * _STEP)
    return min(size, max(known - file._position, _STEP))


def clip_at(file: BinaryFile, size: int, offset: int) -> int:
    """Leave no memory for what is behind the end of the file, of a positioned read."""
    if size <= _STEP or not file._regular:
        return size
    known = _aioxide.file_stat_now(file._fd).st_size
    return min(size, max(known - offset, _STEP))
