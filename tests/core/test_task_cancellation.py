"""Cancellation of tasks: where it arrives, what is counted, who may refuse."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from helpers import (
    Implementation,
    forever,
    outcome,
    turns,
)

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it


@pytest.mark.parametrize("message", [None, "why", 42])
async def test_cancel_at_an_await(types: Implementation, message: Any) -> None:
    async def body() -> None:
        nonlocal arguments
        try:
            await forever()
        except asyncio.CancelledError as exc:
            arguments = exc.args
            raise

    arguments: tuple[object, ...] | None = None
    task = types.Task(body())
    await turns(1)
    assert task.cancel(message) is True
    assert not task.done()
    with pytest.raises(asyncio.CancelledError) as info:
        await task
    expected = () if message is None else (message,)
    assert arguments == expected
    assert info.value.args == expected
    assert task.cancelled()
    assert task.cancelling() == 1
    assert outcome(task.result) is asyncio.CancelledError
    assert outcome(task.exception) is asyncio.CancelledError


async def test_cancel_before_the_first_step(types: Implementation) -> None:
    async def body() -> None:
        ran.append(1)

    ran: list[int] = []
    task = types.Task(body())
    task.cancel("early")
    assert task._must_cancel is True
    with pytest.raises(asyncio.CancelledError, match="early"):
        await task
    assert ran == []


async def test_cancel_reaches_the_innermost_future(types: Implementation) -> None:
    inner = asyncio.get_running_loop().create_future()

    async def middle() -> None:
        await inner

    outer = types.Task(middle())
    await turns(1)
    assert outer._fut_waiter is inner
    assert outer._must_cancel is False
    outer.cancel("down")
    assert inner.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert outer._fut_waiter is None


async def test_cancel_of_an_awaited_task(types: Implementation) -> None:
    async def child() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return "refused"
        raise AssertionError

    inner = types.Task(child())

    async def parent() -> Any:
        return await inner

    outer = types.Task(parent())
    await turns(2)
    outer.cancel()
    assert await outer == "refused"
    assert (inner.cancelled(), outer.cancelled()) == (False, False)
    assert (inner.cancelling(), outer.cancelling()) == (1, 1)


async def test_cancelling_counts(types: Implementation) -> None:
    async def body() -> str:
        for _ in range(2):
            try:
                await forever()
            except asyncio.CancelledError:
                task.uncancel()
        return "survived"

    task = types.Task(body())
    await turns(1)
    assert task.cancelling() == 0
    assert task.uncancel() == 0
    task.cancel()
    task.cancel()
    assert task.cancelling() == 2
    await turns(1)
    assert task.cancelling() == 1
    task.cancel()
    assert await task == "survived"
    assert task.cancelling() == 1


@pytest.mark.skipif(sys.version_info < (3, 13), reason="uncancel took nothing back before 3.13")
async def test_uncancel_to_zero_takes_a_cancel_back(types: Implementation) -> None:
    async def body() -> str:
        task.cancel()
        assert task._must_cancel is True
        assert task.uncancel() == 0
        assert task._must_cancel is False
        await turns(1)
        return "went on"

    task = types.Task(body())
    assert await task == "went on"


async def test_cancelling_oneself(types: Implementation) -> None:
    async def body() -> list[str]:
        log = []
        task.cancel()
        log.append("not at once")
        try:
            await turns(1)
        except asyncio.CancelledError:
            log.append("at the next await")
        return log

    task = types.Task(body())
    assert await task == ["not at once", "at the next await"]


async def test_cancelling_oneself_and_returning(types: Implementation) -> None:
    async def body() -> str:
        task.cancel()
        return "lost"

    task = types.Task(body())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_cancel_when_the_wake_up_is_on_its_way(types: Implementation) -> None:
    future = asyncio.get_running_loop().create_future()

    async def body() -> str:
        try:
            return await future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            return "cancelled"

    task = types.Task(body())
    await turns(1)
    future.set_result("result")
    assert task.cancel() is True
    assert await task == "cancelled"


async def test_another_exception_in_answer_to_cancel(types: Implementation) -> None:
    async def body() -> None:
        try:
            await forever()
        finally:
            raise LookupError("in cleanup")

    task = types.Task(body())
    await turns(1)
    task.cancel()
    with pytest.raises(LookupError, match="in cleanup"):
        await task
    assert not task.cancelled()
