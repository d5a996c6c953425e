"""TaskGroup: what runs per task is ours, the rest asyncio's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from helpers import forever, turns, value


async def boom() -> None:
    await turns(1)
    raise ValueError("boom")


async def test_waits_for_all(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async with aio.TaskGroup() as group:
        assert isinstance(group, asyncio.TaskGroup)
        tasks = [group.create_task(value(number), name=f"n{number}") for number in range(5)]
        assert repr(group) == "<TaskGroup tasks=5 entered>"
        assert "TaskGroup._on_task_done" in repr(tasks[0])
    assert [task.result() for task in tasks] == list(range(5))
    assert [task.get_name() for task in tasks] == [f"n{number}" for number in range(5)]
    assert repr(group) == "<TaskGroup entered>"


async def test_many_one_after_another(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    async with aio.TaskGroup() as group:
        for number in range(50):
            assert await group.create_task(value(number)) == number
            await turns(1)
        assert repr(group) == "<TaskGroup entered>"


async def test_one_fails(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    others: list[asyncio.Task[None]] = []

    async def body() -> None:
        async with aio.TaskGroup() as group:
            group.create_task(boom())
            others.append(group.create_task(forever()))

    with pytest.raises(BaseExceptionGroup) as caught:
        await body()
    assert [type(each) for each in caught.value.exceptions] == [ValueError]
    assert [other.cancelled() for other in others] == [True]
    mine = asyncio.current_task()
    assert mine is not None
    # The group cancels its own task to get it out of the block; 3.11 leaves it counted.
    assert mine.cancelling() == (0 if sys.version_info >= (3, 12) else 1)


async def test_cancelled_from_outside(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    children: list[asyncio.Task[None]] = []

    async def body() -> None:
        async with aio.TaskGroup() as group:
            children.extend(group.create_task(forever()) for _ in range(3))

    task = loop.create_task(body())
    await turns(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(children) == 3
    assert all(child.cancelled() for child in children)


async def test_when_it_takes_no_task(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    group = aio.TaskGroup()
    coro = value(1)
    with pytest.raises(RuntimeError, match="not been entered"):
        group.create_task(coro)
    coro.close()
    async with group:
        pass
    coro = value(1)
    with pytest.raises(RuntimeError, match="is finished"):
        group.create_task(coro)
    coro.close()


async def test_a_derived_class_is_asked(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    seen: list[str] = []

    class Watching(aio.TaskGroup):  # type: ignore[misc]
        def create_task(self, coro: Any, **options: Any) -> Any:
            seen.append("created")
            return super().create_task(coro, **options)

        def _on_task_done(self, task: Any) -> None:
            seen.append("done")
            super()._on_task_done(task)

    async with Watching() as group:
        group.create_task(value(1))
        group.create_task(value(2))
    assert seen == ["created", "created", "done", "done"]


async def test_a_context_for_the_task(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    import contextvars

    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()

    async def child() -> None:
        variable.set(1)

    async with aio.TaskGroup() as group:
        group.create_task(child(), context=context)
    assert variable.get() == 0
    assert context[variable] == 1
