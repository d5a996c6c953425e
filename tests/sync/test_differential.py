"""Random programs take the same steps with asyncio's primitives and with ours, on both loops.

    AIOXIDE_EXAMPLES=9999 python -m pytest -o faulthandler_timeout=0 tests/sync

runs more of them than a test run has time for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aioxide
from sync.conftest import primitives
from sync.programs import Program, programs, trace

pytestmark = pytest.mark.aioxide_only

EXAMPLES = int(os.environ.get("AIOXIDE_EXAMPLES", "60"))

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "on aioxide": aioxide.new_event_loop,
    "on asyncio": asyncio.SelectorEventLoop,
}


@pytest.mark.parametrize("where", LOOPS)
@pytest.mark.timeout(0 if EXAMPLES > 1000 else 300)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=programs(shutdown=sys.version_info >= (3, 13)))
def test_same_steps(where: str, program: Program) -> None:
    expected = trace(primitives("asyncio"), asyncio.SelectorEventLoop, program)
    got = trace(primitives("aioxide"), LOOPS[where], program)
    for ours, theirs in zip(got, expected, strict=False):
        assert ours == theirs
    assert len(got) == len(expected)


@settings(max_examples=20, deadline=None)
@given(program=st.just(Program(((("put_nowait", "fifo", 1),), (("get_nowait", "fifo"),)), 0, 1, 1)))
def test_a_difference_is_seen(program: Program) -> None:
    """A queue that gives something else is told from asyncio's."""
    ours = primitives("aioxide")

    class Wrong(ours.Queue):  # type: ignore[misc, name-defined]
        def _get(self) -> int:
            return int(super()._get()) + 1

    expected = trace(primitives("asyncio"), asyncio.SelectorEventLoop, program)
    ours.Queue = Wrong
    assert trace(ours, aioxide.new_event_loop, program) != expected
