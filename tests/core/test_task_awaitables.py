"""What a task may wait for: bare yields, foreign futures, generators, ducks."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types as python_types
from collections.abc import Generator, Iterable
from typing import Any

import pytest

import aioxide
from helpers import (
    Implementation,
    turns,
    value,
)

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it


class Yields:
    """An awaitable which yields one thing and gives back what it is resumed with."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __await__(self) -> Generator[object, Any, Any]:
        return (yield self.thing)


async def test_a_bare_yield_resumes_in_the_next_turn(types: Implementation) -> None:
    async def body() -> Any:
        return await Yields(None)

    assert await types.Task(body()) is None


@pytest.mark.parametrize("thing", [1, "text", object(), value, (), False])
async def test_bad_yields(types: Implementation, thing: object) -> None:
    async def body() -> str:
        with pytest.raises(RuntimeError, match="Task got bad yield: "):
            await Yields(thing)
        return "went on"

    assert await types.Task(body()) == "went on"


async def test_yielding_a_generator_or_an_idle_future(types: Implementation) -> None:
    def generator() -> Generator[None, None, None]:
        yield

    async def body() -> str:
        with pytest.raises(RuntimeError, match="yield was used instead of yield from for gener"):
            await Yields(generator())
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            await Yields(future)
        future.cancel()
        return "went on"

    assert await types.Task(body()) == "went on"


class Foreign:
    """A future that is none of asyncio's: it only speaks the protocol."""

    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.callbacks: list[tuple[Any, Any]] = []
        self.cancelled_with: list[object] = []
        self.outcome: Any = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
        self.callbacks.append((fn, context))

    def cancel(self, msg: object = None) -> bool:
        self.cancelled_with.append(msg)
        self.finish(asyncio.CancelledError())
        return True

    def finish(self, outcome: object) -> None:
        self.outcome = outcome
        for fn, context in self.callbacks:
            self._loop.call_soon(fn, self, context=context)

    def result(self) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def __await__(self) -> Generator[Foreign, None, Any]:
        self._asyncio_future_blocking = True
        yield self
        return self.result()


async def test_foreign_futures(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    async def body(future: Foreign) -> Any:
        return await future

    for result in (5, LookupError("no")):
        future = Foreign(loop)
        assert asyncio.isfuture(future)
        task = types.Task(body(future))
        await turns(1)
        assert future._asyncio_future_blocking is False
        assert task._fut_waiter is future
        (entry,) = future.callbacks
        assert isinstance(entry[1], contextvars.Context)
        future.finish(result)
        if result == 5:
            assert await task == 5
        else:
            with pytest.raises(LookupError, match="no"):
                await task


async def test_cancelling_a_foreign_future(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    future = Foreign(loop)

    async def body() -> None:
        await future

    task = types.Task(body())
    await turns(1)
    task.cancel("message")
    assert future.cancelled_with == ["message"]
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_foreign_future_of_another_loop(types: Implementation) -> None:
    async def body() -> None:
        await Foreign(object())  # type: ignore[arg-type]

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await types.Task(body())


@pytest.mark.parametrize("base", [asyncio.Future, asyncio.Task])
async def test_stock_and_own_futures_in_one_task(types: Implementation, base: Any) -> None:
    async def body() -> Any:
        return await inner

    if base is asyncio.Task:
        inner: Any = asyncio.Task(value(3))
    else:
        inner = asyncio.Future()
        asyncio.get_running_loop().call_soon(inner.set_result, 3)
    assert await types.Task(body()) == 3


async def test_generator_based_awaitables(types: Implementation) -> None:
    @python_types.coroutine
    def by_generator(future: Any) -> Generator[Any, Any, Any]:
        yield
        result = yield from future
        yield
        return result

    async def body() -> Any:
        return await by_generator(future)

    future = asyncio.get_running_loop().create_future()
    task = types.Task(body())
    await turns(3)
    future.set_result("through")
    assert await task == "through"
    if sys.version_info < (3, 12):  # generators were coroutines up to 3.11
        assert await types.Task(by_generator(asyncio.ensure_future(value(1)))) == 1


class Duck:
    """A coroutine by its methods only, as Cython's are."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps
        self.thrown: list[BaseException] = []

    def send(self, argument: None) -> Any:
        assert argument is None
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    def throw(self, exc: Any, *args: Any) -> Any:
        self.thrown.append(exc)
        raise exc

    def close(self) -> None: ...

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        return self.send(None)


async def test_a_coroutine_by_its_methods(types: Implementation) -> None:
    import collections.abc

    collections.abc.Coroutine.register(Duck)
    assert await types.Task(Duck([None, None, StopIteration("done")])) == "done"
    with pytest.raises(LookupError):
        await types.Task(Duck([None, LookupError()]))
    duck = Duck([None])
    task = types.Task(duck)
    await turns(1)
    task.cancel("msg")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(exc) for exc in duck.thrown] == [asyncio.CancelledError]


async def test_yield_from_what_coroutine_functions_give(implementation: Implementation) -> None:
    """A generator of `types.coroutine` may yield from them, as from coroutines of Python."""
    names: Any = aioxide if implementation.name == "aioxide" else asyncio

    @python_types.coroutine
    def generator(queue: Any) -> Generator[Any, Any, list[object]]:
        yield from names.sleep(0)
        got = yield from queue.get()
        lock = names.Lock()
        taken = yield from lock.acquire()
        slept = yield from names.sleep(0, "slept")
        in_time = yield from names.wait_for(names.sleep(0, "in time"), 60)
        return [got, taken, slept, in_time]

    async def put() -> None:
        await queue.put("item")

    queue = names.Queue()
    putting = asyncio.get_running_loop().create_task(put())
    assert await generator(queue) == ["item", True, "slept", "in time"]
    await putting
    waiting = names.sleep(0)
    assert not isinstance(waiting, Iterable)
    assert not hasattr(waiting, "__iter__")
    waiting.close()
