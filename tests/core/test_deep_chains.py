"""Chains, rings and trees of any depth: cancelled, closed and freed on a stack of 256 KiB."""

from __future__ import annotations

import sys

import pytest

from chain_helpers import PROGRAMS, RINGS, run_program

pytestmark = pytest.mark.aioxide_only  # asyncio runs in some of them, as the control

# Deeper, asyncio itself raises RecursionError on a stack of this size from 3.14 on.
SHALLOW = 200 if sys.version_info < (3, 14) else 50
DEEP = 15_000
# Before 3.12 wait_for() runs its coroutine in a task: nothing nests, and tasks die in any order.
NESTED = "nested coroutines are closed, thrown into and dropped"
TITLES = [title for title in PROGRAMS if title != NESTED or sys.version_info >= (3, 12)]


@pytest.mark.parametrize("title", TITLES)
def test_a_shallow_one_does_the_same_on_asyncio(title: str) -> None:
    source, _ = PROGRAMS[title]
    expected = run_program("asyncio", source, SHALLOW)
    assert expected[0] == 0
    assert run_program("aioxide", source, SHALLOW) == expected


@pytest.mark.parametrize("title", [*TITLES, *RINGS])
def test_a_deep_one_needs_no_stack(title: str) -> None:
    source, expected = {**PROGRAMS, **RINGS}[title]
    assert run_program("aioxide", source, DEEP) == (0, f"{expected}\nend\n".lstrip())
