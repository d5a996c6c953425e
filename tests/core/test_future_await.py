"""Awaiting a future: its iterator, by hand and from a coroutine."""

from __future__ import annotations

import asyncio
import types as python_types
from collections.abc import Generator
from typing import Any

import pytest

from helpers import Implementation, outcome

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it


@pytest.fixture
def future(loop: asyncio.AbstractEventLoop, types: Implementation) -> Any:
    """A pending future of the type under test on the loop under test."""
    return types.Future(loop=loop)


def test_awaiting_a_done_future_does_not_yield(
    loop: asyncio.AbstractEventLoop, future: Any
) -> None:
    async def body() -> list[str]:
        log: list[str] = []
        loop.call_soon(log.append, "turned")
        assert await future == "result"
        return list(log)

    future.set_result("result")
    assert loop.run_until_complete(body()) == []


@pytest.mark.parametrize("result", [None, 1, (), (1, 2), StopIteration(3), KeyError("value")])
def test_results_come_through_await_unchanged(
    loop: asyncio.AbstractEventLoop, types: Implementation, result: Any
) -> None:
    async def body() -> Any:
        return await future

    for early in (True, False):
        future = types.Future(loop=loop)
        if early:
            future.set_result(result)
        else:
            loop.call_soon(future.set_result, result)
        assert loop.run_until_complete(body()) is result


def test_iterator_protocol(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    future = types.Future(loop=loop)
    iterator: Any = iter(future)
    assert next(iterator) is future
    assert future._asyncio_future_blocking is True
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        next(iterator)  # resumed without a result
    future._asyncio_future_blocking = False
    iterator = future.__await__()
    assert iterator.send(None) is future
    future._asyncio_future_blocking = False
    future.set_result(7)
    with pytest.raises(StopIteration) as info:
        iterator.send(None)
    assert info.value.value == 7


def test_iterator_throw_and_close(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    def started() -> Any:
        future._asyncio_future_blocking = False
        iterator: Any = future.__await__()
        assert next(iterator) is future
        return iterator

    future = types.Future(loop=loop)
    iterator = started()
    error = LookupError("thrown")
    with pytest.raises(LookupError) as info:
        iterator.throw(error)
    assert info.value is error
    if types.name != "asyncio":  # where the stock iterator of 3.14.8 crashes
        assert outcome(lambda: next(iterator)) is StopIteration
    assert started().close() is None
    assert outcome(lambda: started().throw(LookupError)) is LookupError
    assert outcome(lambda: started().throw(1)) is TypeError
    assert outcome(lambda: started().throw(int)) is TypeError
    assert outcome(lambda: started().throw()) is TypeError
    assert not future.done()


@python_types.coroutine
def by_generator(future: Any) -> Generator[Any, Any, Any]:
    return (yield from future)


def test_generator_based_await(loop: asyncio.AbstractEventLoop, future: Any) -> None:
    async def body() -> Any:
        return await by_generator(future)

    loop.call_soon(future.set_result, 5)
    assert loop.run_until_complete(body()) == 5


def test_wrap_and_chain(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    """asyncio's own helpers take our futures for futures."""

    async def body() -> None:
        future = types.Future(loop=loop)
        assert asyncio.ensure_future(future) is future
        assert asyncio.wrap_future(future) is future
        shielded = asyncio.shield(future)
        gathered = asyncio.gather(future, shielded)
        waiting = asyncio.wait_for(future, 10)
        loop.call_soon(future.set_result, 1)
        assert await waiting == 1
        assert await gathered == [1, 1]

    loop.run_until_complete(body())
