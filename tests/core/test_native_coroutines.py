"""Native coroutines are coroutines to `inspect`, `isinstance`, debuggers and warnings.

Each test takes a coroutine of asyncio as the control, made on asyncio's loop, and one of ours.
"""

from __future__ import annotations

import asyncio
import asyncio.selector_events
import collections.abc
import copy
import gc
import importlib
import inspect
import pickle
import re
import sys
import traceback
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation

Call = Callable[[Any, asyncio.AbstractEventLoop], Coroutine[Any, Any, Any]]


def namespace(name: str, *modules: str) -> Any:
    found = types.SimpleNamespace()
    for module in modules or ("locks", "queues", "streams", "tasks", "timeouts"):
        for public in importlib.import_module(f"{name}.{module}").__all__:
            setattr(found, public, getattr(importlib.import_module(f"{name}.{module}"), public))
    return found


#: One coroutine of each kind of native object.
CALLS: dict[str, Call] = {
    "Queue.get": lambda aio, loop: aio.Queue().get(),
    "Queue.put": lambda aio, loop: aio.Queue().put(1),
    "Queue.join": lambda aio, loop: aio.Queue().join(),
    "Lock.acquire": lambda aio, loop: aio.Lock().acquire(),
    "Semaphore.acquire": lambda aio, loop: aio.Semaphore().acquire(),
    "Event.wait": lambda aio, loop: aio.Event().wait(),
    "Condition.wait": lambda aio, loop: aio.Condition().wait(),
    "Barrier.wait": lambda aio, loop: aio.Barrier(2).wait(),
    "StreamReader.read": lambda aio, loop: aio.StreamReader(loop=loop).read(),
    "StreamReader.readline": lambda aio, loop: aio.StreamReader(loop=loop).readline(),
    "StreamReader.readexactly": lambda aio, loop: aio.StreamReader(loop=loop).readexactly(1),
    "sleep": lambda aio, loop: aio.sleep(0),
    "wait": lambda aio, loop: aio.wait({loop.create_future()}),
    "wait_for": lambda aio, loop: aio.wait_for(loop.create_future(), 1),
    "getaddrinfo": lambda aio, loop: loop.getaddrinfo("127.0.0.1", 1),
}


@pytest.fixture(params=sorted(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


@pytest.fixture
def aio(implementation: Implementation) -> Any:
    return namespace(implementation.name)


@pytest.fixture
def made(call: Call, aio: Any, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """A coroutine that has not begun; closed after the test."""
    coroutine = call(aio, loop)
    yield coroutine
    coroutine.close()


def test_is_a_coroutine(made: Any) -> None:
    assert inspect.iscoroutine(made)
    assert inspect.isawaitable(made)
    assert asyncio.iscoroutine(made)
    assert isinstance(made, types.CoroutineType)
    assert made.__class__ is types.CoroutineType
    for kind in (Coroutine, Awaitable):
        assert isinstance(made, kind)
    for other in (collections.abc.Generator, collections.abc.Iterable, types.GeneratorType):
        assert not isinstance(made, other)
    assert not inspect.isgenerator(made)


def test_has_the_attributes_of_a_coroutine(made: Any) -> None:
    of_the_class = {"__class_getitem__"}
    for name in set(dir(types.CoroutineType)) - of_the_class:
        assert hasattr(made, name), name


def test_state_and_frame(made: Any) -> None:
    assert inspect.getcoroutinestate(made) == inspect.CORO_CREATED
    assert (made.cr_running, made.cr_suspended, made.cr_await) == (False, False, None)
    assert isinstance(made.cr_frame, types.FrameType)
    assert made.cr_frame.f_back is None
    assert isinstance(inspect.getcoroutinelocals(made), collections.abc.Mapping)
    made.close()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED
    assert made.cr_frame is None
    assert inspect.getcoroutinelocals(made) == {}


def test_code_is_that_of_asyncios_function(call: Call, loop: asyncio.AbstractEventLoop) -> None:
    shown = []
    stock = asyncio.SelectorEventLoop()
    for name, each in (("asyncio", stock), ("aioxide", loop)):
        made = call(namespace(name), each)
        code, frame = made.cr_code, made.cr_frame
        frame_code = frame.f_code
        shown.append(
            (code, frame_code.co_filename, frame_code.co_name, frame.f_lineno, made.__name__)
        )
        made.close()
    stock.close()
    theirs, ours = shown
    assert ours == theirs


def test_names_and_repr(made: Any) -> None:
    assert made.__qualname__.endswith(made.__name__)
    expected = f"<coroutine object {re.escape(made.__qualname__)} at 0x[0-9a-f]+>"
    assert re.fullmatch(expected, repr(made))
    made.__name__, made.__qualname__ = "other", "An.other"
    assert (made.__name__, made.__qualname__) == ("other", "An.other")
    assert repr(made).startswith("<coroutine object An.other at ")
    for name in ("__name__", "__qualname__"):
        with pytest.raises(TypeError, match=f"{name} must be set to a string object"):
            setattr(made, name, 1)


def test_weak_references(call: Call, aio: Any, loop: asyncio.AbstractEventLoop) -> None:
    made = call(aio, loop)
    seen: list[str] = []
    reference = weakref.ref(made, lambda _: seen.append("gone"))
    kept = weakref.WeakSet([made])
    assert reference() is made
    assert made in kept
    made.close()
    del made
    gc.collect()
    assert reference() is None
    assert seen == ["gone"]
    assert not kept
    again = call(aio, loop)  # perhaps in the memory of the one before
    assert weakref.getweakrefcount(again) == 0
    again.close()


def test_cannot_be_copied_or_pickled(made: Any) -> None:
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            refused(made)


def test_origin_is_recorded_when_it_is_asked_for(
    call: Call, aio: Any, loop: asyncio.AbstractEventLoop
) -> None:
    first = call(aio, loop)
    assert first.cr_origin is None
    for depth in (1, 2, 3):
        sys.set_coroutine_origin_tracking_depth(depth)
        try:
            made = call(aio, loop)
        finally:
            sys.set_coroutine_origin_tracking_depth(0)
        frames = traceback.extract_stack(limit=2)
        assert made.cr_origin is not None
        assert len(made.cr_origin) == depth
        assert made.cr_origin[0][0] == __file__
        assert made.cr_origin[0][2] == "<lambda>"
        if depth > 1:
            assert made.cr_origin[1][0] == __file__
            assert made.cr_origin[1][2] == frames[-1].name
        made.close()
        del made
    assert call is not None
    first.close()


def test_warning_for_one_never_awaited(
    call: Call, aio: Any, loop: asyncio.AbstractEventLoop
) -> None:
    def forget() -> None:
        call(aio, loop)  # type: ignore[unused-coroutine]
        gc.collect()

    texts = []
    for depth in (0, 2):
        sys.set_coroutine_origin_tracking_depth(depth)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                forget()
        finally:
            sys.set_coroutine_origin_tracking_depth(0)
        assert [each.category for each in caught] == [RuntimeWarning]
        texts.append(str(caught[0].message))
        assert caught[0].source is not None
        caught.clear()
    short, long = texts
    assert re.fullmatch(r"coroutine '[\w.]+' was never awaited", short)
    lines = long.splitlines()
    assert lines[0] == short
    assert lines[1] == "Coroutine created at (most recent call last)"
    assert [re.sub(r"line \d+", "line N", line) for line in lines if line.startswith("  File")] == [
        f'  File "{__file__}", line N, in forget',
        f'  File "{__file__}", line N, in <lambda>',
    ]


async def test_suspended_one_shows_what_it_awaits(
    aio: Any, loop: asyncio.AbstractEventLoop
) -> None:
    future = loop.create_future()

    async def inner() -> None:
        await future

    if sys.version_info < (3, 12):
        pytest.skip("before 3.12 wait_for makes a task")
    inside = inner()
    coroutine = aio.wait_for(inside, 100)
    task = loop.create_task(coroutine)
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
    assert coroutine.cr_suspended
    assert coroutine.cr_await is inside
    assert task.get_coro() is coroutine
    future.set_result(None)
    await task


async def test_task_of_one(aio: Any, loop: asyncio.AbstractEventLoop) -> None:
    queue = aio.Queue()
    coroutine = queue.get()
    task = loop.create_task(coroutine)
    await asyncio.sleep(0)
    assert task.get_coro() is coroutine
    running = r"coro=<Queue\.get\(\) running at .*queues\.py:\d+>"
    assert re.search(running, repr(task))
    (frame,) = task.get_stack()
    assert frame.f_code.co_name == "get"
    assert frame.f_code.co_filename.endswith("queues.py")
    queue.put_nowait(1)
    assert await task == 1
    assert "coro=<Queue.get() done, defined at" in repr(task)
    assert task.get_stack() == []


async def test_types_coroutine_and_yield_from(aio: Any, loop: asyncio.AbstractEventLoop) -> None:
    @types.coroutine
    def gives() -> Any:
        return aio.sleep(0, "slept")

    @types.coroutine
    def delegates() -> Any:
        return (yield from aio.sleep(0, "slept"))

    assert await gives() == "slept"  # type: ignore[misc]
    assert await delegates() == "slept"


async def test_maybe_a_coroutine_helper(aio: Any, loop: asyncio.AbstractEventLoop) -> None:
    async def finish(value: Any) -> Any:
        return await value if inspect.iscoroutine(value) else value

    queue = aio.Queue()
    queue.put_nowait("item")
    assert await finish(queue.get()) == "item"
