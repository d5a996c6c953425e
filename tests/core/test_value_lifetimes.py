"""An awaited value dies when its last user lets go of it, at the same point as on asyncio.

A program awaits a value, deletes it, and says whether it is gone: at once, and after each of two
more iterations. Each runs on asyncio and on aioxide.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType
from typing import Any

import pytest

from helpers import implementation

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control


class Value:
    """Something to await."""


async def value(pause: float | None = None) -> Value:
    if pause is not None:
        await asyncio.sleep(pause)
    return Value()


async def failing(pause: float | None = None) -> Value:
    if pause is not None:
        await asyncio.sleep(pause)
    raise ValueError(Value())


Gone = list[list[bool]]
Program = Callable[[Any, float | None], Coroutine[Any, Any, list[Any]]]
PAUSES = [None, 0, 0.001]


def resolved(result: Any = None, exception: BaseException | None = None) -> asyncio.Future[Any]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(result) if exception is None else future.set_exception(exception)
    return future


def soon(action: Callable[[], Any]) -> None:
    asyncio.get_running_loop().call_soon(action)


async def queue_that_has_one(lib: Any, pause: float | None) -> list[Any]:
    queue = lib.Queue()
    queue.put_nowait(Value())
    return [await queue.get()]


async def queue_that_gets_one(lib: Any, pause: float | None) -> list[Any]:
    queue = lib.LifoQueue()
    soon(lambda: queue.put_nowait(Value()))
    return [await queue.get()]


async def wait_for(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.wait_for(value(pause), 5)]


async def wait_for_without_limit(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.wait_for(value(pause), None)]


async def wait_for_a_task(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.wait_for(asyncio.create_task(value(pause)), 5)]


async def wait_for_a_future_that_is_done(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.wait_for(resolved(Value()), 5)]


async def task(lib: Any, pause: float | None) -> list[Any]:
    return [await asyncio.create_task(value(pause))]


async def future(lib: Any, pause: float | None) -> list[Any]:
    future = asyncio.get_running_loop().create_future()
    soon(lambda: future.set_result(Value()))
    return [await future]


async def future_that_is_done(lib: Any, pause: float | None) -> list[Any]:
    return [await resolved(Value())]


async def result(lib: Any, pause: float | None) -> list[Any]:
    return [resolved(Value()).result()]


async def gather(lib: Any, pause: float | None) -> list[Any]:
    return list(await lib.gather(value(pause), value(pause)))


async def gather_with_exceptions(lib: Any, pause: float | None) -> list[Any]:
    found = await lib.gather(value(pause), failing(pause), return_exceptions=True)
    return [found[0], found[1], found[1].args[0]]


async def wait(lib: Any, pause: float | None) -> list[Any]:
    done, _ = await lib.wait([asyncio.create_task(value(pause)) for _ in range(2)])
    return [*done, *(task.result() for task in done)]


async def shield(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.shield(value(pause))]


async def task_group(lib: Any, pause: float | None) -> list[Any]:
    async with lib.TaskGroup() as group:
        task = group.create_task(value(pause))
    return [group, task, task.result()]


async def timeout(lib: Any, pause: float | None) -> list[Any]:
    async with lib.timeout(5) as limit:
        return [limit, await value(pause)]


async def sleep(lib: Any, pause: float | None) -> list[Any]:
    return [await lib.sleep(pause or 0, Value())]


async def condition(lib: Any, pause: float | None) -> list[Any]:
    async def notify() -> None:
        async with condition:
            condition.notify_all()

    condition = lib.Condition()
    answers = iter([False, Value()])
    async with condition:
        task = asyncio.create_task(notify())
        found = await condition.wait_for(lambda: next(answers))
    await task
    return [found]


async def exception_of_a_task(lib: Any, pause: float | None) -> list[Any]:
    try:
        await asyncio.create_task(failing(pause))
    except ValueError as error:
        return [error, error.args[0], error.__traceback__]
    return []


async def exception_of_a_future(lib: Any, pause: float | None) -> list[Any]:
    try:
        await resolved(exception=ValueError(Value()))
    except ValueError as error:
        return [error, error.args[0]]
    return []


async def exception_in_wait_for(lib: Any, pause: float | None) -> list[Any]:
    try:
        await lib.wait_for(failing(pause), 5)
    except ValueError as error:
        return [error, error.args[0]]
    return []


async def cancel_message(lib: Any, pause: float | None) -> list[Any]:
    future = asyncio.get_running_loop().create_future()
    soon(lambda: future.cancel(Value()))
    try:
        await lib.wait_for(future, 5)
    except asyncio.CancelledError as error:
        return [error.args[0]]
    return []


PROGRAMS: list[Program] = [
    queue_that_has_one,
    queue_that_gets_one,
    wait_for,
    wait_for_without_limit,
    wait_for_a_task,
    wait_for_a_future_that_is_done,
    task,
    future,
    future_that_is_done,
    result,
    gather,
    gather_with_exceptions,
    wait,
    shield,
    task_group,
    timeout,
    sleep,
    condition,
    exception_of_a_task,
    exception_of_a_future,
    exception_in_wait_for,
    cancel_message,
]


def library(name: str) -> Any:
    if name == "asyncio":
        return asyncio
    import aioxide

    return aioxide


def weak(found: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(found)
    except TypeError:  # tracebacks
        return lambda: None


def run(name: str, program: Program, pause: float | None, eager: bool) -> Gone:
    lib = library(name)

    async def main() -> Gone:
        # No frame of a helper may hold the value when it is asked for.
        found = await program(lib, pause)
        references = [weak(one) for one in found]
        del found
        gone = []
        for _ in range(3):
            gone.append([reference() is None for reference in references])
            await asyncio.sleep(0)
        return gone

    loop = implementation(name).new_event_loop()
    if eager:
        loop.set_task_factory(asyncio.eager_task_factory)
    gc.disable()
    try:
        return loop.run_until_complete(main())
    finally:
        gc.enable()
        loop.close()


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_it_dies_at_the_same_point(program: Program, pause: float | None, eager: bool) -> None:
    if eager and sys.version_info < (3, 12):
        pytest.skip("eager tasks are new in 3.12")
    ours, theirs = run("aioxide", program, pause, eager), run("asyncio", program, pause, eager)
    if sys.version_info >= (3, 14) and eager and program in (gather, gather_with_exceptions):
        # asyncio's gather() holds children that are done at once for longer there.
        pairs = zip(itertools.chain(*ours), itertools.chain(*theirs), strict=True)
        assert all(gone or not gone_there for gone, gone_there in pairs)
    else:
        assert ours == theirs


def test_what_a_stream_reader_gives_is_held_once() -> None:
    async def main(lib: Any) -> list[int]:
        reader = lib.StreamReader()
        reader.feed_data(b"hello\nworld\n" + b"x" * 200_000)
        held = []
        reads: list[Callable[[], Awaitable[bytes]]] = [
            reader.readline,
            lambda: reader.readexactly(3),
            lambda: reader.read(2),
            lambda: reader.readexactly(100_000),
            lambda: reader.read(1000),
        ]
        for read in reads:
            data = await read()
            held.append(sys.getrefcount(data))
            del data
        return held

    def on(name: str) -> list[int]:
        loop = implementation(name).new_event_loop()
        try:
            return loop.run_until_complete(main(library(name)))
        finally:
            loop.close()

    assert on("aioxide") == on("asyncio")


@pytest.mark.parametrize("before", ["nothing", "awaits"])
async def test_a_trace_function_sees_stop_iteration(
    loop: asyncio.AbstractEventLoop, before: str
) -> None:
    """Debuggers leave out `StopIteration` by comparing the class."""

    async def awaits() -> None:
        import aioxide

        queue: Any = aioxide.Queue()
        queue.put_nowait(1)
        assert await queue.get() == 1

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "exception":
            seen.append(arg[0])
        return trace

    seen: list[type[BaseException]] = []
    if before == "awaits":
        await awaits()
    old = sys.gettrace()
    sys.settrace(trace)
    try:
        await awaits()
    finally:
        sys.settrace(old)
    await awaits()
    assert set(seen) == {StopIteration}


def test_awaiting_inside_the_deallocation_of_an_awaited_value() -> None:
    """The object that carries a value is in use while a finalizer awaits the next."""

    class Awaits:
        def __init__(self, depth: int) -> None:
            self.depth = depth

        def __del__(self) -> None:
            if self.depth:
                seen.append(self.depth)
                with pytest.raises(StopIteration):
                    get(Awaits(self.depth - 1)).send(None)

    async def get(one: object) -> None:
        import aioxide

        queue: Any = aioxide.Queue()
        queue.put_nowait(one)
        del one
        await queue.get()

    seen: list[int] = []
    loop = implementation("aioxide").new_event_loop()
    try:
        loop.run_until_complete(get(Awaits(20)))
    finally:
        loop.close()
    assert seen == list(range(20, 0, -1))
