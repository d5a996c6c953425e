"""Task: steps, cancellation, names, identity and messages, for each type on each loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import pickle
import sys
import weakref
from collections.abc import Generator
from typing import Any

import pytest

from helpers import (
    Contexts,
    Implementation,
    cancelled_and_done,
    collect,
    forever,
    outcome,
    run_turns,
    shape,
    turns,
    value,
)

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_type(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    task = types.Task(value(), loop=loop)
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert type(task).__name__ == "Task"
    loop.run_until_complete(task)


def test_create_task_is_of_the_implementation(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    task = loop.create_task(value())
    assert type(task) is implementation.Task
    loop.run_until_complete(task)


async def test_results_and_states(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    async def fails() -> None:
        raise LookupError("no")

    good, bad = types.Task(value(1), loop=loop), types.Task(fails(), loop=loop)
    assert not good.done()
    assert outcome(good.result) is asyncio.InvalidStateError
    assert await good == 1
    with pytest.raises(LookupError, match="no"):
        await bad
    assert (good.result(), good.exception()) == (1, None)
    assert isinstance(bad.exception(), LookupError)
    for task in (good, bad):
        assert task.done()
        assert not task.cancelled()
        assert task.cancel() is False
        assert task.cancelling() == 0
        assert task.get_loop() is loop


async def test_results_are_the_coroutine_s_alone(types: Implementation) -> None:
    task = types.Task(forever())
    with pytest.raises(RuntimeError, match="Task does not support set_result operation"):
        task.set_result(1)
    with pytest.raises(RuntimeError, match="Task does not support set_exception operation"):
        task.set_exception(KeyError())
    await cancelled_and_done(task)


@pytest.mark.parametrize("junk", [1, None, "text", value, forever])
def test_only_coroutines(loop: asyncio.AbstractEventLoop, types: Implementation, junk: Any) -> None:
    with pytest.raises(TypeError, match="a coroutine was expected, got"):
        types.Task(junk, loop=loop)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="generators were coroutines up to 3.11")
async def test_generators_are_refused(types: Implementation) -> None:
    def generator() -> Generator[None, None, None]:
        yield

    with pytest.raises(TypeError, match="a coroutine was expected, got"):
        types.Task(generator())


async def test_awaiting_itself(types: Implementation) -> None:
    async def body() -> None:
        await task

    task = types.Task(body())
    with pytest.raises(RuntimeError, match="Task cannot await on itself"):
        await task


def test_a_future_of_another_loop(
    loop: asyncio.AbstractEventLoop, types: Implementation, implementation: Implementation
) -> None:
    other = implementation.new_event_loop()
    future = other.create_future()

    async def body() -> None:
        await future

    task = types.Task(body(), loop=loop)
    with pytest.raises(RuntimeError, match="attached to a different loop"):
        loop.run_until_complete(task)
    future.cancel()
    other.close()


@pytest.mark.parametrize("base", [SystemExit, KeyboardInterrupt])
def test_exits_out_of_a_step(
    loop: asyncio.AbstractEventLoop, types: Implementation, base: type[BaseException]
) -> None:
    async def leaves() -> None:
        await turns(1)
        raise base("out")

    async def watches() -> str:
        try:
            await task
        except base as exc:
            return f"saw {exc}"
        raise AssertionError

    task = types.Task(leaves(), loop=loop)
    watcher = types.Task(watches(), loop=loop)
    with pytest.raises(base, match="out"):
        loop.run_until_complete(watcher)
    assert asyncio.current_task(loop) is None
    assert loop.run_until_complete(watcher) == "saw out"
    assert isinstance(task.exception(), base)


async def test_other_base_exceptions(types: Implementation) -> None:
    class Odd(BaseException): ...

    async def body() -> None:
        raise Odd

    task = types.Task(body())
    with pytest.raises(Odd):
        await task
    assert isinstance(task.exception(), Odd)


async def test_stop_iteration_out_of_a_coroutine(types: Implementation) -> None:
    async def body() -> None:
        raise StopIteration(1)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        await types.Task(body())


async def test_deep_chains(types: Implementation) -> None:
    async def level(depth: int) -> int:
        if depth == 0:
            await turns(1)
            return 0
        return 1 + await types.Task(level(depth - 1))

    assert await types.Task(level(300)) == 300


# --- names, contexts, introspection


async def test_names(types: Implementation) -> None:
    first, second = types.Task(value()), types.Task(value(), name=None)
    prefix, number = first.get_name().rsplit("-", 1)
    assert prefix == "Task"
    assert second.get_name() == f"Task-{int(number) + 1}"
    named = types.Task(value(), name="mine")
    assert named.get_name() == "mine"
    numbered = types.Task(value(), name=123)
    assert numbered.get_name() == "123"
    named.set_name(("not", "text"))
    assert named.get_name() == str(("not", "text"))
    await asyncio.gather(first, second, named, numbered)


async def test_context_is_copied_once(types: Implementation) -> None:
    async def body() -> list[str]:
        seen = [variable.get()]
        variable.set("inside")
        await turns(1)
        seen.append(variable.get())
        return seen

    variable.set("outside")
    task = types.Task(body())
    variable.set("changed")
    assert await task == ["outside", "inside"]
    assert variable.get() == "changed"
    if sys.version_info >= (3, 12):  # get_context is new there
        assert task.get_context().run(variable.get) == "inside"


async def test_given_context(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    async def body() -> str:
        await turns(1)
        variable.set("changed")
        return "done"

    context = contextvars.copy_context()
    assert await types.Task(body(), context=context) == "done"
    assert context.run(variable.get) == "changed"
    assert variable.get() == "unset"
    await loop.create_task(body(), context=context)
    if sys.version_info >= (3, 12):
        task = types.Task(value(), context=context)
        assert task.get_context() is context
        await task


async def test_done_callbacks_run_in_the_context_they_were_added_in(
    types: Implementation,
) -> None:
    async def body() -> None:
        variable.set("of the task")

    seen: list[str] = []
    task = types.Task(body())
    task.add_done_callback(lambda t: seen.append(variable.get()))
    await task
    await turns(1)
    assert seen == ["unset"]


async def test_get_coro(types: Implementation) -> None:
    coroutine = value()
    task = types.Task(coroutine)
    assert task.get_coro() is coroutine
    await task
    assert task.get_coro() is coroutine


async def test_get_stack(types: Implementation) -> None:
    async def inner() -> None:
        await gate

    async def outer() -> None:
        await inner()

    async def fails() -> None:
        raise LookupError("here")

    gate = asyncio.get_running_loop().create_future()
    task = types.Task(outer())
    await turns(1)
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["outer"]
    assert [frame.f_code.co_name for frame in task.get_stack(limit=1)] == ["outer"]
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("Stack for <Task pending")
    assert "in outer\n    await inner()" in out.getvalue()
    gate.set_result(None)
    await task
    assert task.get_stack() == []
    failing = types.Task(fails())
    await asyncio.wait([failing])
    assert [frame.f_code.co_name for frame in failing.get_stack()][-1] == "fails"
    out = io.StringIO()
    failing.print_stack(limit=3, file=out)
    assert "LookupError: here" in out.getvalue()
    failing.exception()


@pytest.mark.parametrize("debug", [False, True])
def test_repr(loop: asyncio.AbstractEventLoop, types: Implementation, debug: bool) -> None:
    async def waits(gate: Any) -> str:
        return await gate  # type: ignore[no-any-return]

    def stages(cls: Any) -> list[str]:
        def made(coroutine: Any) -> Any:
            return cls(coroutine, loop=loop, name="n")

        gate = asyncio.Future(loop=loop)
        task, stopped, failed = (made(waits(gate)) for _ in range(3))
        task.add_done_callback(print)
        seen = [repr(task)]
        run_turns(loop)
        seen.append(repr(task))
        stopped.cancel()
        seen.append(repr(stopped))
        gate = asyncio.Future(loop=loop)
        run_turns(loop, 3)
        done = made(value("result"))
        failed = made(waits(gate))
        twice = made(waits(gate))
        twice.cancel()
        twice.cancel()
        seen.append(repr(twice))
        run_turns(loop)
        gate.set_exception(LookupError("no"))
        run_turns(loop, 3)
        seen += [repr(t) for t in (stopped, done, failed, twice, task)]
        assert isinstance(failed.exception(), LookupError)
        return [shape(text) for text in seen]

    loop.set_debug(debug)
    assert stages(types.Task) == stages(asyncio.Task)


def test_source_traceback(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    loop.set_debug(True)
    task = types.Task(value(), loop=loop)
    assert task._source_traceback[-1].name == "test_source_traceback"
    made: Any = loop.create_task(value())
    assert "test_source_traceback" in [entry.name for entry in made._source_traceback]
    loop.run_until_complete(asyncio.wait({task, made}))


async def test_attributes_and_weak_references(types: Implementation) -> None:
    task = types.Task(value())
    assert weakref.ref(task)() is task
    task.anything = 1
    assert task.anything == 1
    assert outcome(lambda: pickle.dumps(task)) is TypeError
    alias = types.Task[int]
    assert alias.__origin__ is types.Task
    assert task._log_destroy_pending is True
    task._log_destroy_pending = False
    assert task._log_destroy_pending is False
    await task


# --- objects lost


def test_destroyed_pending(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    loop.set_debug(False)  # under `python -X dev` it starts on

    async def waits() -> None:
        await loop.create_future()

    def describe(cls: Any) -> list[str]:
        task = cls(waits(), loop=loop, name="lost")
        run_turns(loop)
        # The future that it waits for is reachable by nobody else: the cycle is garbage.
        expected = shape(task)
        del task
        collect()
        context = contexts.take_one()
        assert context.keys() == {"message", "task"}
        assert context["message"] == "Task was destroyed but it is pending!"
        assert isinstance(context["task"], cls)
        context.clear()
        collect()
        return [expected]

    assert describe(types.Task) == describe(asyncio.Task)


def test_destroyed_pending_can_be_silenced(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    task = types.Task(forever(), loop=loop)
    run_turns(loop)
    task._log_destroy_pending = False
    del task
    collect()
    assert contexts == []


def test_exception_never_retrieved(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    loop.set_debug(False)  # under `python -X dev` it starts on

    async def fails() -> None:
        raise LookupError("lost")

    types.Task(fails(), loop=loop, name="loser")
    run_turns(loop)
    collect()
    context = contexts.take_one()
    assert context["message"] == "Task exception was never retrieved"
    assert context.keys() == {"message", "exception", "future"}
    assert isinstance(context["exception"], LookupError)
    assert "name='loser'" in repr(context["future"])


def test_initialising_again(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    task = types.Task(value(1), loop=loop)
    run_turns(loop)
    if sys.version_info >= (3, 15):
        with (
            contextlib.closing(value(2)) as again,
            pytest.raises(RuntimeError, match="already initialized"),
        ):
            task.__init__(again, loop=loop)
        return
    task.__init__(value(2), loop=loop)
    assert not task.done()
    assert loop.run_until_complete(task) == 2


# --- subclasses


def test_subclass(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    class Sub(types.Task):  # type: ignore[misc, name-defined]
        def __init__(self, coro: Any, **kwargs: Any) -> None:
            super().__init__(coro, **kwargs)
            self.extra = "kept"

        def cancel(self, msg: Any = None) -> bool:
            log.append(("cancel", msg))
            return super().cancel(msg)

        def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
            log.append("add_done_callback")
            super().add_done_callback(fn, context=context)

        def __del__(self) -> None:
            log.append("__del__")
            super().__del__()

    log: list[Any] = []
    task = Sub(forever(), loop=loop, name="sub")

    async def parent(task: Any) -> None:
        await task

    outer = loop.create_task(parent(task))
    run_turns(loop)
    assert log == ["add_done_callback"]
    outer.cancel("stop")
    assert log[1:] in ([("cancel", "stop")], [("cancel", None)])
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(outer)
    assert (task.extra, task.cancelled()) == ("kept", True)
    assert repr(task).startswith("<Sub cancelled name='sub'")
    log.clear()
    del task, outer
    collect()
    assert log == ["__del__"]


async def test_a_factory_of_subclasses(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    class Sub(types.Task):  # type: ignore[misc, name-defined]
        pass

    loop.set_task_factory(lambda loop, coro, **kwargs: Sub(coro, loop=loop, **kwargs))
    try:
        task = loop.create_task(value(1))
        assert type(task) is Sub
        async with asyncio.TaskGroup() as group:
            inner = group.create_task(value(2), name="grouped")
        assert (await task, inner.result(), inner.get_name()) == (1, 2, "grouped")
    finally:
        loop.set_task_factory(None)
