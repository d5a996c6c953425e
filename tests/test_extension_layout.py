"""The layout of the extension's file, which profilers read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from aioxide import _aioxide

pytestmark = pytest.mark.aioxide_only

PT_LOAD = 1
PF_X = 1
PAGE = 4096


def executable_segments(path: Path) -> list[tuple[int, int]]:
    """Return file offset and address of the segments of a 64-bit ELF file that hold code."""
    data = path.read_bytes()
    assert data[:5] == b"\x7fELF\x02", "not a 64-bit ELF file"
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = []
    for index in range(count):
        kind, flags, offset, address = struct.unpack_from("<IIQQ", data, start + index * size)
        if kind == PT_LOAD and flags & PF_X:
            segments.append((offset, address))
    return segments


def test_code_begins_on_a_page_of_its_own() -> None:
    """py-spy's native stacks end at our frames where code begins inside a page, as with LLD."""
    segments = executable_segments(Path(_aioxide.__file__))
    assert segments
    assert [(offset % PAGE, address % PAGE) for offset, address in segments] == [(0, 0)] * len(
        segments
    )
