"""Random programs of sleeps, gathers, waits, time limits, shields and cancellations.

Each runs on asyncio, and with our functions on our loop and on asyncio's, under a virtual clock;
every step that can be observed is compared.
"""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from combinators.wait_programs import (
    Expression,
    Program,
    VirtualLoop,
    by_task,
    observe,
    virtual_aioxide_loop,
)

pytestmark = [pytest.mark.aioxide_only, pytest.mark.may_leave_residue]

EXAMPLES = int(os.environ.get("AIOXIDE_RANDOM_PROGRAMS", "150"))

FUNCTIONS = (
    "as_completed",
    "create_task",
    "ensure_future",
    "gather",
    "shield",
    "sleep",
    "timeout",
    "wait",
    "wait_for",
    "TaskGroup",
)

ticks = st.integers(-1, 12)
limits = st.one_of(st.none(), st.integers(-1, 12))
leaves = st.one_of(
    st.builds(Expression, st.just("sleep"), ticks=ticks),
    st.builds(Expression, st.just("sleep"), ticks=ticks),
    st.builds(Expression, st.just("future"), option=st.integers(0, 2)),
    st.builds(Expression, st.sampled_from(["fail", "cancelled"])),
)


def some(inner: st.SearchStrategy[Expression], most: int = 3) -> Any:
    return st.lists(inner, min_size=1, max_size=most).map(tuple)


def nested(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def one(kind: str, most: int = 1, **parameters: Any) -> st.SearchStrategy[Expression]:
        return st.builds(Expression, st.just(kind), inside=some(inner, most), **parameters)

    return st.one_of(
        one("sequence", 3),
        one("stubborn"),
        one("gather", 4, option=st.booleans(), ticks=st.one_of(st.none(), st.just(1))),
        one(
            "wait",
            3,
            ticks=limits,
            option=st.sampled_from(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]),
        ),
        one("wait_for", ticks=limits, option=st.booleans()),
        one("timeout", ticks=limits, option=st.one_of(st.none(), st.integers(-1, 8))),
        one("shield"),
        one("group", 3, ticks=limits),
        one("as_completed", 3, ticks=limits),
    )


expressions = st.recursive(leaves, nested, max_leaves=8)
interventions = st.tuples(
    st.integers(0, 16),
    st.sampled_from(["cancel", "cancel", "cancel future", "result", "exception"]),
    st.integers(0, 3),
)
programs = st.builds(
    Program,
    st.lists(expressions, min_size=1, max_size=4).map(tuple),
    st.lists(interventions, max_size=5).map(tuple),
)


def ours() -> Any:
    import aioxide

    return SimpleNamespace(**{name: getattr(aioxide, name) for name in FUNCTIONS})


@pytest.mark.parametrize("new_loop", [virtual_aioxide_loop, VirtualLoop])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(program=programs)
def test_every_step_is_asyncios(new_loop: Any, program: Program) -> None:
    expected = observe(VirtualLoop, asyncio, program)
    observed = observe(new_loop, ours(), program)
    if program.has("group"):
        # A group cancels its tasks in the order of a set of them, which is that of addresses.
        assert by_task(observed) == by_task(expected)
    else:
        assert observed == expected
