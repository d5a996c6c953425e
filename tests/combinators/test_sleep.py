"""sleep(): what it gives back, when it begins, what ends it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import warnings
from collections.abc import Coroutine
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from helpers import live_objects, outcome_of


async def test_gives_back_the_result(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    marker = object()
    assert await aio.sleep(0.001, marker) is marker
    assert await aio.sleep(0, marker) is marker
    assert await aio.sleep(delay=-1, result=marker) is marker
    assert await aio.sleep(0) is None
    assert await aio.sleep(0.001) is None


async def test_zero_is_one_turn(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    order: list[str] = []
    loop.call_soon(order.append, "next turn")
    await aio.sleep(0)
    assert order == ["next turn"]
    loop.call_soon(lambda: loop.call_soon(order.append, "the turn after"))
    await aio.sleep(-5)
    assert order == ["next turn"]
    await aio.sleep(0)
    assert order == ["next turn", "the turn after"]


async def test_begins_with_its_first_step(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    sleep = aio.sleep(float("inf"), "never")
    assert isinstance(sleep, Coroutine)
    assert asyncio.iscoroutine(sleep)
    assert not asyncio.isfuture(sleep)
    sleep.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        await sleep


def test_never_awaited(aio: Any, matrix: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        aio.sleep(1)
        gc.collect()
    assert [str(each.message) for each in caught] == ["coroutine 'sleep' was never awaited"]


@pytest.mark.parametrize("delay", [None, "1", object()])
async def test_what_is_no_number(loop: asyncio.AbstractEventLoop, aio: Any, delay: Any) -> None:
    assert await outcome_of(lambda: aio.sleep(delay)) is TypeError


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio up to 3.12 sleeps for some time")
async def test_not_a_number(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    with pytest.raises(ValueError, match="NaN"):
        await aio.sleep(float("nan"))


@pytest.mark.parametrize("delay", [Decimal("0"), Fraction(0), False, 0.0])
async def test_other_numbers(loop: asyncio.AbstractEventLoop, aio: Any, delay: Any) -> None:
    assert await aio.sleep(delay, "slept") == "slept"
    assert await aio.sleep(True / 1000, "slept") == "slept"
    assert await aio.sleep(Fraction(1, 1000), "slept") == "slept"


async def test_cancelled(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    task = loop.create_task(aio.sleep(60))
    await aio.sleep(0)
    waiter = task._fut_waiter  # type: ignore[attr-defined]
    assert asyncio.isfuture(waiter)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ("why",)
    assert waiter.cancelled()


async def test_thrown_into(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    sleep = aio.sleep(60)
    future = sleep.send(None)
    assert not future.done()
    assert future._asyncio_future_blocking
    with pytest.raises(KeyError):
        sleep.throw(KeyError())
    future.cancel()


async def test_future_done_by_somebody_else(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    task = loop.create_task(aio.sleep(0.001, "by time"))
    await aio.sleep(0)
    task._fut_waiter.set_result("by hand")  # type: ignore[attr-defined]
    assert await task == "by hand"
    await aio.sleep(0.005)


async def test_task_keeps_its_context(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("before")

    async def child() -> str:
        variable.set("in the child")
        await aio.sleep(0.001)
        return variable.get()

    assert await loop.create_task(child()) == "in the child"
    assert variable.get() == "before"


@pytest.mark.aioxide_only
async def test_leaves_nothing_in_the_heap(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    before = live_objects()
    for _ in range(10):
        tasks = [loop.create_task(aio.sleep(60)) for _ in range(300)]
        await aio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        del task, tasks
        await aio.sleep(0)
    gc.collect()
    after = live_objects()
    assert after.get("Sleep", 0) <= before.get("Sleep", 0) + 1
    assert after.get("Future", 0) <= before.get("Future", 0) + 150


@pytest.mark.aioxide_only
def test_a_loop_with_a_clock_of_its_own(aio: Any, matrix: Any) -> None:
    # Whoever overrides a method that sleep() asks for in asyncio is asked.
    import aioxide

    asked: list[float] = []

    class Loop(aioxide.EventLoop):
        def call_later(  # type: ignore[override]
            self, delay: float, callback: Any, *args: Any, context: Any = None
        ) -> Any:
            asked.append(delay)
            return super().call_later(0, callback, *args, context=context)

    loop = Loop()
    try:
        assert loop.run_until_complete(aio.sleep(3600, "at once")) == "at once"
        assert asked == [3600]
    finally:
        loop.close()
