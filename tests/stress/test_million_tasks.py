"""A million tasks in a chain, a ring and a tree: cancelled, closed and collected."""

from __future__ import annotations

import faulthandler

import pytest

from chain_helpers import PROGRAMS, RINGS, run_program

pytestmark = [
    pytest.mark.aioxide_only,  # asyncio's recursion ends in a RecursionError, or crashes
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize(
    ("title", "size"),
    [
        ("a chain of tasks is cancelled", 1_000_000),
        ("a chain of waiting tasks is dropped", 1_000_000),
        ("a ring of tasks is cancelled", 1_000_000),
        ("a tree of gatherings is cancelled", 500_000),
    ],
)
def test_a_million_tasks(title: str, size: int) -> None:
    # The suite's own limit for a hang is shorter than these take on a busy machine.
    faulthandler.cancel_dump_traceback_later()
    source, expected = {**PROGRAMS, **RINGS}[title]
    assert run_program("aioxide", source, size, timeout=280) == (0, f"{expected}\nend\n".lstrip())
