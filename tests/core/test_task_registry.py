"""current_task, all_tasks, enter/leave and eager start, for each type on each loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
import weakref
from typing import Any

import pytest

import aioxide
from helpers import (
    Contexts,
    Implementation,
    cancelled_and_done,
    collect,
    forever,
    outcome,
    run_turns,
    turns,
    value,
)

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
HAS_CONTEXT = sys.version_info >= (3, 12)
EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager start is new in 3.12")


async def test_current_task(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    async def body() -> None:
        assert asyncio.current_task() is task
        await turns(1)
        assert asyncio.current_task() is task
        assert asyncio.current_task(loop) is task
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await turns(2)

    main = asyncio.current_task()
    seen: list[Any] = []
    task = types.Task(body())
    await task
    assert seen == [None]
    assert asyncio.current_task() is main


def test_no_current_task_outside(loop: asyncio.AbstractEventLoop) -> None:
    assert asyncio.current_task(loop) is None
    assert outcome(asyncio.current_task) is RuntimeError
    seen: list[Any] = []
    future = loop.create_future()
    future.add_done_callback(lambda f: seen.append(asyncio.current_task()))
    loop.call_later(0, lambda: seen.append(asyncio.current_task()))
    loop.call_soon_threadsafe(lambda: seen.append(asyncio.current_task()))
    future.set_result(None)
    run_turns(loop, 2)
    assert seen == [None] * 3


async def test_current_task_is_of_its_loop(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """Another loop in another thread has another current task."""

    async def elsewhere() -> None:
        mine.append(asyncio.current_task())
        mine.append(asyncio.current_task(loop))

    def run() -> None:
        other = implementation.new_event_loop()
        mine.append(other.run_until_complete(elsewhere()))
        other.close()

    mine: list[Any] = []
    thread = threading.Thread(target=run)
    main = asyncio.current_task()
    thread.start()
    thread.join()
    assert mine[0] is not main
    assert mine[1] is main


async def test_all_tasks(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    main: Any = asyncio.current_task()
    tasks = {types.Task(forever()) for _ in range(20)}
    assert asyncio.all_tasks() == tasks | {main}
    gone = tasks.pop()
    await cancelled_and_done(gone)
    assert asyncio.all_tasks(loop) == tasks | {main}
    for task in tasks:
        await cancelled_and_done(task)
    assert asyncio.all_tasks(loop) == {main}


async def test_all_tasks_from_another_thread(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    """Listing never fails while the loop creates and ends tasks."""

    def look() -> None:
        found.extend(waiting <= asyncio.all_tasks(loop) for _ in range(50))
        loop.call_soon_threadsafe(stop.set)

    waiting: set[Any] = {types.Task(forever()) for _ in range(5)}
    found: list[bool] = []
    stop = asyncio.Event()
    thread = threading.Thread(target=look)
    thread.start()
    while not stop.is_set():
        await asyncio.gather(*(types.Task(value()) for _ in range(10)))
    thread.join()
    assert all(found)
    for task in waiting:
        await cancelled_and_done(task)


async def test_all_tasks_does_not_keep_them(types: Implementation) -> None:
    task = types.Task(value())
    reference = weakref.ref(task)
    await task
    del task
    await turns(2)
    collect()
    assert reference() is None


async def test_register_and_enter_by_hand(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    """Libraries call asyncio's protected functions with tasks of their own."""
    tasks: Any = asyncio.tasks
    task = types.Task(forever())
    main = asyncio.current_task()
    tasks._leave_task(loop, main)
    tasks._enter_task(loop, task)
    assert asyncio.current_task() is task
    assert outcome(lambda: tasks._enter_task(loop, main)) is RuntimeError
    assert outcome(lambda: tasks._leave_task(loop, main)) is RuntimeError
    tasks._leave_task(loop, task)
    tasks._enter_task(loop, main)
    await cancelled_and_done(task)


async def test_tasks_of_other_libraries_are_listed(loop: asyncio.AbstractEventLoop) -> None:
    """What registers itself as a task is one, wherever it comes from."""

    class Own:
        def done(self) -> bool:
            return False

        def get_loop(self) -> asyncio.AbstractEventLoop:
            return loop

        _loop = loop

    tasks: Any = asyncio.tasks
    own: Any = Own()
    tasks._register_task(own)
    assert own in asyncio.all_tasks()
    tasks._unregister_task(own)
    assert own not in asyncio.all_tasks()


async def test_swapping_by_hand_within_a_step(types: Implementation) -> None:
    """anyio's and sniffio's tricks: the current task is set aside in the middle of a step."""
    if sys.version_info < (3, 12):  # _swap_current_task is new there
        pytest.skip("no _swap_current_task")
    loop = asyncio.get_running_loop()
    tasks: Any = asyncio.tasks

    async def body() -> Any:
        mine = tasks._swap_current_task(loop, None)
        seen = asyncio.current_task()
        tasks._swap_current_task(loop, mine)
        await turns(1)
        return mine, seen

    task = types.Task(body())
    assert await task == (task, None)


# --- eager start


@EAGER
async def test_eager_runs_at_once(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    async def body() -> str:
        log.append("ran")
        return "result"

    log: list[str] = []
    task = types.Task(body(), loop=loop, eager_start=True)
    assert log == ["ran"]
    assert task.done()
    assert task.result() == "result"
    if types.name != "asyncio":  # where the stock one of 3.12.1 crashes
        assert task.get_coro() is None
    assert task not in asyncio.all_tasks()
    assert repr(task).startswith("<Task finished ")
    assert await task == "result"


@EAGER
async def test_eager_until_the_first_wait(types: Implementation) -> None:
    async def body() -> str:
        log.append("first")
        await turns(1)
        log.append("second")
        return "result"

    log: list[str] = []
    task = types.Task(body(), loop=asyncio.get_running_loop(), eager_start=True)
    assert log == ["first"]
    assert not task.done()
    assert task in asyncio.all_tasks()
    assert await task == "result"
    assert log == ["first", "second"]


@EAGER
async def test_eager_current_task_and_context(types: Implementation) -> None:
    async def body() -> None:
        seen.append((asyncio.current_task() is main, variable.get()))
        variable.set("inside")
        seen.append(variable.get())

    seen: list[Any] = []
    main = asyncio.current_task()
    variable.set("outside")
    task = types.Task(body(), loop=asyncio.get_running_loop(), eager_start=True)
    assert asyncio.current_task() is main
    assert variable.get() == "outside"
    assert seen == [(False, "outside"), "inside"]
    await task


@EAGER
async def test_eager_exceptions(types: Implementation) -> None:
    async def fails() -> None:
        raise LookupError("no")

    async def cancels() -> None:
        raise asyncio.CancelledError("me")

    task = types.Task(fails(), loop=asyncio.get_running_loop(), eager_start=True)
    assert task.done()
    assert isinstance(task.exception(), LookupError)
    stopped = types.Task(cancels(), loop=asyncio.get_running_loop(), eager_start=True)
    assert stopped.cancelled()


@EAGER
@pytest.mark.parametrize("base", [SystemExit, KeyboardInterrupt])
async def test_eager_exits(
    types: Implementation, contexts: Contexts, base: type[BaseException]
) -> None:
    async def leaves() -> None:
        raise base("out")

    main = asyncio.current_task()
    with pytest.raises(base, match="out"):
        types.Task(leaves(), loop=asyncio.get_running_loop(), eager_start=True)
    assert asyncio.current_task() is main
    collect()  # the task that nobody got has something to tell
    assert isinstance(contexts.take_one()["exception"], base)


@EAGER
async def test_eager_done_callbacks_are_not_called_within(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    log: list[str] = []
    task = types.Task(value(), loop=asyncio.get_running_loop(), eager_start=True)
    task.add_done_callback(lambda t: log.append("called"))
    assert log == []
    await turns(1)
    assert log == ["called"]


@EAGER
async def test_eager_blocks_on_a_future(types: Implementation) -> None:
    async def body() -> Any:
        return await gate

    gate = asyncio.get_running_loop().create_future()
    task = types.Task(body(), loop=asyncio.get_running_loop(), eager_start=True)
    assert task._fut_waiter is gate
    gate.set_result(4)
    assert await task == 4


@EAGER
async def test_eager_nested(types: Implementation) -> None:
    async def level(depth: int) -> list[Any]:
        me = asyncio.current_task()
        if depth == 0:
            return [me]
        task = types.Task(level(depth - 1), loop=asyncio.get_running_loop(), eager_start=True)
        assert asyncio.current_task() is me
        return [me, *await task]

    chain = await types.Task(level(20), loop=asyncio.get_running_loop(), eager_start=True)
    assert len(set(chain)) == 21


@EAGER
async def test_eager_cancelled_while_waiting(types: Implementation) -> None:
    task = types.Task(forever(), loop=asyncio.get_running_loop(), eager_start=True)
    await cancelled_and_done(task)
    assert task.cancelled()


def begun(loop: asyncio.AbstractEventLoop, make: Any) -> tuple[Any, Any]:
    """Whether an eager task is done at once, and its result; or what refused to make it."""
    coroutine = value(1)
    made = outcome(lambda: make(coroutine, eager_start=True))
    if isinstance(made, asyncio.Task):
        return made.done(), loop.run_until_complete(made)
    coroutine.close()
    return made, None


@EAGER
def test_eager_outside_a_running_loop(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    """Without a running loop the task is scheduled instead; a few versions refuse."""
    ours, stock = (functools.partial(cls, loop=loop) for cls in (types.Task, asyncio.Task))
    assert begun(loop, ours) == begun(loop, stock)


@EAGER
async def test_eager_task_factory(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    factory = asyncio.create_eager_task_factory(types.Task)  # type: ignore[attr-defined]
    loop.set_task_factory(factory)
    try:
        task = asyncio.create_task(value(2), name="eager")
        assert type(task) is types.Task
        assert task.done()
        assert task.get_name() == "eager"
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(turns(2))
        assert waiting.done()
        assert await asyncio.gather(value(1), value(2)) == [1, 2]
    finally:
        loop.set_task_factory(None)


def passes_eager_start(function: Any) -> bool:
    """Whether the running Python's function gives keywords on to the task."""
    return "kwargs" in inspect.signature(function).parameters


LOOP_EAGER = pytest.mark.skipif(
    not passes_eager_start(asyncio.BaseEventLoop.create_task),
    reason="the loop's create_task passes keywords on since 3.13.3",
)


@LOOP_EAGER
@pytest.mark.parametrize("debug", [False, True])
async def test_eager_by_the_loop(loop: asyncio.AbstractEventLoop, debug: bool) -> None:
    """The first step runs inside create_task, with its name and in its context."""

    async def body() -> str:
        task = asyncio.current_task()
        assert task is not None
        seen.append((task.get_name(), variable.get()))
        await turns(1)
        return "result"

    seen: list[Any] = []
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    main = asyncio.current_task()
    loop.set_debug(debug)
    make: Any = loop.create_task
    task = make(body(), name="eager", context=context, eager_start=True)
    assert seen == [("eager", "given")]
    assert asyncio.current_task() is main
    assert not task.done()
    assert await task == "result"
    done = make(value(1), eager_start=True)
    assert (done.done(), done.result()) == (True, 1)
    assert done not in asyncio.all_tasks()
    for falsy in (False, None, 0):
        later = make(value(2), eager_start=falsy)
        assert not later.done()
        assert await later == 2
    coroutine = value(3)
    assert outcome(lambda: make(coroutine, eager_start=True, other=1)) is TypeError
    coroutine.close()
    assert outcome(lambda: make(None, eager_start=True)) is TypeError
    loop.set_debug(False)


class Untrue:
    def __bool__(self) -> bool:
        raise LookupError("neither")


@LOOP_EAGER
async def test_neither_eager_nor_not(loop: asyncio.AbstractEventLoop) -> None:
    make: Any = loop.create_task
    coroutine = value(1)
    assert outcome(lambda: make(coroutine, eager_start=Untrue())) is LookupError
    coroutine.close()
    await turns(2)


@LOOP_EAGER
def test_eager_before_the_loop_runs(loop: asyncio.AbstractEventLoop) -> None:
    """Nothing runs yet: the task is scheduled, or refused, as by the running Python's task."""
    assert begun(loop, loop.create_task) == begun(loop, functools.partial(asyncio.Task, loop=loop))


@LOOP_EAGER
async def test_eager_given_to_a_task_factory(loop: asyncio.AbstractEventLoop) -> None:
    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        given.append(kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)

    given: list[Any] = []
    loop.set_task_factory(factory)
    make: Any = loop.create_task
    task = make(value(1), eager_start=True, name="made")
    loop.set_task_factory(None)
    assert task.done()
    assert given == [{"eager_start": True, "name": "made"}]


async def test_create_task_by_name(loop: asyncio.AbstractEventLoop) -> None:
    """asyncio's and aioxide's create_task: keywords, those that are new, and wrong ones."""
    for module in (asyncio, aioxide):
        make: Any = module.create_task
        context = contextvars.copy_context()
        context.run(variable.set, "given")
        task = make(value(1), name="one", context=context)
        assert (task.get_name(), task.get_context() if HAS_CONTEXT else context) == ("one", context)
        assert await task == 1
        coroutine = value(2)
        made = outcome(lambda m=make, c=coroutine: m(c, eager_start=True))
        if passes_eager_start(asyncio.create_task):
            assert made.result() == 2
        else:
            assert made is TypeError
            coroutine.close()
        other = value(3)
        assert outcome(lambda m=make, c=other: m(c, unknown=True)) is TypeError
        other.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="awaited_by is new in 3.14")
async def test_awaited_by(types: Implementation) -> None:
    async def inner() -> None:
        await gate

    async def outer() -> None:
        await child

    gate = types.Future()
    child = types.Task(inner())
    parent = types.Task(outer())
    await turns(2)
    assert gate._asyncio_awaited_by == {child}
    assert child._asyncio_awaited_by == {parent}
    assert parent._asyncio_awaited_by is None
    graph: Any = asyncio.capture_call_graph(gate)  # type: ignore[attr-defined]
    assert graph.future is gate
    (waiting,) = graph.awaited_by
    assert waiting.future is child
    assert waiting.awaited_by[0].future is parent
    assert "inner" in asyncio.format_call_graph(gate)  # type: ignore[attr-defined]
    gate.set_result(None)
    await parent
    assert gate._asyncio_awaited_by is None
    assert child._asyncio_awaited_by is None
