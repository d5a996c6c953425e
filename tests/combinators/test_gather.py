"""gather(): results, failures, cancellation from either side."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from helpers import Contexts, forever, turns, value


async def boom(after: int = 0) -> None:
    await turns(after)
    raise ValueError("boom")


async def test_results_in_the_order_given(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async def late(turn: int) -> int:
        await turns(turn)
        return turn

    assert await aio.gather(*[late(turn) for turn in (5, 0, 3)]) == [5, 0, 3]
    assert await aio.gather() == []


async def test_is_a_future_that_shows_itself(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    child = loop.create_task(value(1))
    outer: Any = aio.gather(child)
    assert outer._children == [child]
    assert asyncio.isfuture(outer)
    assert isinstance(outer, asyncio.Future)
    assert outer.get_loop() is loop
    assert "_GatheringFuture pending" in repr(outer)
    assert "gather.<locals>._done_callback" in repr(child)
    assert await outer == [1]
    assert outer.result() == [1]


async def test_the_same_awaitable_twice(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    coro = value("coroutine")
    loop.call_soon(future.set_result, "future")
    results = await aio.gather(coro, future, coro, future)
    assert results == ["coroutine", "future", "coroutine", "future"]


async def test_the_first_exception(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    slow = loop.create_task(boom(6))
    outer = aio.gather(slow, boom(1), forever_task := loop.create_task(forever()))
    with pytest.raises(ValueError, match="boom"):
        await outer
    assert not slow.done()
    assert not outer.cancel()
    forever_task.cancel()
    await aio.wait([slow, forever_task])
    await turns(2)


async def test_exceptions_as_results(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    task = loop.create_task(forever())
    loop.call_soon(task.cancel, "why")
    results = await aio.gather(boom(), task, value(3), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert isinstance(results[1], asyncio.CancelledError)
    assert results[2] == 3


@pytest.mark.parametrize("return_exceptions", [False, True])
async def test_cancelling_the_outer(
    loop: asyncio.AbstractEventLoop, aio: Any, return_exceptions: bool
) -> None:
    children = [loop.create_task(forever()) for _ in range(3)]
    outer = aio.gather(*children, return_exceptions=return_exceptions)
    await turns(2)
    assert outer.cancel("why")
    assert not outer.done()
    with pytest.raises(asyncio.CancelledError) as caught:
        await outer
    assert caught.value.args == ("why",)
    assert all(child.cancelled() for child in children)


async def test_cancelling_the_task_that_waits(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    children = [loop.create_task(forever()) for _ in range(3)]

    async def wait() -> None:
        await aio.gather(*children)

    task = loop.create_task(wait())
    await turns(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(child.cancelled() for child in children)


async def test_a_cancelled_child(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    child, other = loop.create_task(forever()), loop.create_future()
    outer = aio.gather(child, other)
    await turns(1)
    child.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert not outer.cancelled()
    assert not other.done()
    other.cancel()


async def test_a_callback_that_is_removed(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    outer = aio.gather(future)
    ((callback, context),) = future._callbacks
    assert isinstance(context, contextvars.Context)
    assert future.remove_done_callback(callback) == 1
    future.set_result(1)
    await turns(3)
    assert not outer.done()
    callback(future)
    assert await outer == [1]


async def test_a_late_failure_is_not_reported(
    loop: asyncio.AbstractEventLoop, aio: Any, contexts: Contexts
) -> None:
    outer = aio.gather(boom(1), boom(3))
    with pytest.raises(ValueError, match="boom"):
        await outer
    del outer
    await turns(6)


async def test_what_cannot_be_awaited(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    with pytest.raises(TypeError):
        await aio.gather(1)
    with pytest.raises(TypeError):
        await aio.gather(loop.create_future(), no_such_keyword=True)


def test_without_a_running_loop(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    outer = aio.gather(future)
    future.set_result(7)
    assert loop.run_until_complete(outer) == [7]
