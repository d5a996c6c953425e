"""wait(): the three conditions, the time limit, what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from helpers import forever, turns, value


async def boom() -> None:
    raise ValueError("boom")


async def test_all(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    tasks = [loop.create_task(value(number)) for number in range(3)]
    done, pending = await aio.wait(tasks)
    assert (done, pending) == (set(tasks), set())
    assert type(done) is type(pending) is set
    # Done already, it still takes its turns.
    done, pending = await aio.wait(iter(tasks))
    assert done == set(tasks)


async def test_first(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    first, never = loop.create_task(value(1)), loop.create_task(forever())
    done, pending = await aio.wait({first, never}, return_when=aio.FIRST_COMPLETED)
    assert (done, pending) == ({first}, {never})
    assert "_on_completion" not in repr(never)
    never.cancel()
    await aio.wait([never])


async def test_first_exception(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    good, bad, never = map(loop.create_task, (value(1), boom(), forever()))
    done, pending = await aio.wait((good, bad, never), return_when=aio.FIRST_EXCEPTION)
    assert (done, pending) == ({good, bad}, {never})
    assert isinstance(bad.exception(), ValueError)
    never.cancel()
    await aio.wait([never])


async def test_time_limit(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    never = loop.create_task(forever())
    for timeout in (0, 0.001, -1):
        assert await aio.wait([never], timeout=timeout) == (set(), {never})
    assert not never.done()
    never.cancel()
    await aio.wait([never], timeout=60)


async def test_cancelled(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    task = loop.create_task(aio.wait([future], timeout=60))
    await turns(2)
    assert "_on_completion" in repr(future)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not future.done()
    assert not future._callbacks


async def test_what_it_refuses(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    with pytest.raises(TypeError, match="expect a list of futures"):
        await aio.wait(future)
    with pytest.raises(ValueError, match="empty"):
        await aio.wait([])
    with pytest.raises(ValueError, match="return_when"):
        await aio.wait([future], return_when="SOMETIMES")
    coro = value(1)
    with pytest.raises(TypeError, match="coroutines is forbidden"):
        await aio.wait([coro])
    coro.close()
