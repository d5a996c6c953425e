"""wait_for() and timeout(): what ends them, and what they leave behind."""

from __future__ import annotations

import asyncio
import sys
from fractions import Fraction
from typing import Any

import pytest

from helpers import forever, outcome_of, turns, value


async def test_in_time(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    assert await aio.wait_for(value(1), 60) == 1
    assert await aio.wait_for(value(2), None) == 2
    assert await aio.wait_for(loop.create_task(value(3)), timeout=Fraction(60)) == 3
    future = loop.create_future()
    future.set_result(4)
    assert await aio.wait_for(fut=future, timeout=0) == 4
    assert await aio.wait_for(future, -1) == 4


async def test_too_late(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    task = loop.create_task(forever())
    with pytest.raises(TimeoutError) as caught:
        await aio.wait_for(task, 0.001)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert task.cancelled()
    mine = asyncio.current_task()
    assert mine is not None
    assert mine.cancelling() == 0


@pytest.mark.parametrize("timeout", [0, -1])
async def test_no_time_at_all(loop: asyncio.AbstractEventLoop, aio: Any, timeout: int) -> None:
    began = False

    async def child() -> None:
        nonlocal began
        began = True

    assert await outcome_of(lambda: aio.wait_for(child(), timeout)) is TimeoutError
    assert not began


async def test_a_failure_is_passed_on(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    failed = loop.create_future()
    failed.set_exception(KeyError("gone"))
    for timeout in (60, 0, None):
        with pytest.raises(KeyError, match="gone"):
            await aio.wait_for(failed, timeout)


async def test_one_who_ignores_the_end(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            await turns(3)
        return "late"

    assert await aio.wait_for(stubborn(), 0.001) == "late"


async def test_cancelled_from_outside(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    inner = loop.create_task(forever())
    task = loop.create_task(aio.wait_for(inner, 60))
    await turns(3)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.cancelled()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 makes a task")
async def test_runs_in_the_same_task(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async def who() -> Any:
        await turns(1)
        return asyncio.current_task()

    assert await aio.wait_for(who(), 60) is asyncio.current_task()


async def test_what_cannot_be_awaited(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    assert await outcome_of(lambda: aio.wait_for(1, 60)) is TypeError
    assert await outcome_of(lambda: aio.wait_for(1, 0)) is TypeError


async def test_timeout_states(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    limit = aio.timeout(60)
    assert isinstance(limit, asyncio.Timeout)
    assert repr(limit) == "<Timeout [created]>"
    with pytest.raises(RuntimeError, match="not been entered"):
        limit.reschedule(None)
    async with limit as entered:
        assert entered is limit
        assert limit.when() == pytest.approx(loop.time() + 60, abs=30)
        limit.reschedule(1e9)
        assert repr(limit) == "<Timeout [active] when=1000000000.0>"
        limit.reschedule(None)
        assert repr(limit) == "<Timeout [active] when=None>"
        assert not limit.expired()
        with pytest.raises(RuntimeError, match="already been entered"):
            await limit.__aenter__()
    assert repr(limit) == "<Timeout [finished]>"
    with pytest.raises(RuntimeError, match="finished"):
        limit.reschedule(1)


async def test_timeout_ends_its_body(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    with pytest.raises(TimeoutError):
        async with aio.timeout_at(loop.time() + 0.001) as limit:
            await forever()
    assert limit.expired()
    assert repr(limit) == "<Timeout [expired]>"
    mine = asyncio.current_task()
    assert mine is not None
    assert mine.cancelling() == 0


async def test_only_the_outer_one_is_over(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    outer, inner = aio.timeout(0.001), aio.timeout(60)

    async def body() -> None:
        async with outer, inner:
            await forever()

    assert await outcome_of(body) is TimeoutError
    assert outer.expired()
    assert not inner.expired()


async def test_moved_into_the_past(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    limit = aio.timeout(60)

    async def body() -> None:
        async with limit:
            limit.reschedule(loop.time() - 1)
            await forever()

    assert await outcome_of(body) is TimeoutError
    assert limit.expired()


async def test_moved_away_in_the_last_moment(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async with aio.timeout(60) as limit:
        limit.reschedule(loop.time() - 1)
        limit.reschedule(None)
        await turns(3)
    assert not limit.expired()


async def test_another_exception_stays(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async def body() -> None:
        async with aio.timeout(0.001):
            try:
                await forever()
            finally:
                raise KeyError("other")

    with pytest.raises(KeyError) as caught:
        await body()
    context = caught.value.__context__
    expected = TimeoutError if sys.version_info >= (3, 13) else asyncio.CancelledError
    assert type(context) is expected


def test_outside_a_task(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.timeout(1)
    limit = aio.timeout_at(1)
    entering = limit.__aenter__()
    with pytest.raises(RuntimeError):
        entering.send(None)
