"""What finalizers, weak-reference callbacks and log records see: the current task, and the context.

A program makes tasks and values that die at some point. Each death notes `current_task()` and a
context variable; the notes must be the same on asyncio and on aioxide.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import signal
import socket
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from helpers import implementation

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default=None)


class Notes(logging.Handler):
    """What has died or was logged, with the task and the context that were current."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.lib = library(name)
        self.loop = implementation(name).new_event_loop()
        self.loop.set_debug(False)  # docs/differences.md: there the order of finalizers differs
        self.notes: list[Any] = []
        self.references: list[Any] = []
        notes = self

        class Dying:
            def __init__(self, name: str) -> None:
                self.name = name

            def __del__(self) -> None:
                notes.note("deleted", self.name)

        self.Dying = Dying

    def note(self, what: str, name: str) -> None:
        task = asyncio.current_task(self.loop)
        self.notes.append((what, name, task and task.get_name(), str(variable.get())))

    def emit(self, record: logging.LogRecord) -> None:
        self.note("logged", record.getMessage().partition("\n")[0])
        # From 3.12 on; it needs a running loop.
        self.notes.append(getattr(record, "taskName", None))

    def task(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(coroutine, name=name)
        callback = lambda reference, self=self, name=name: self.note("unreferenced", name)  # noqa: E731
        self.references.append(weakref.ref(task, callback))
        return task

    async def nap(self, name: str, times: int) -> None:
        variable.set(name)
        for _ in range(times):
            await self.lib.sleep(0)

    async def give(self, name: str, times: int = 1) -> Any:
        await self.nap(name, times)
        return self.Dying(f"result of {name}")

    async def fail(self, name: str, times: int = 1) -> None:
        local = self.Dying(f"local of {name}")
        await self.nap(name, times)
        raise ValueError(local)


def library(name: str) -> Any:
    if name == "asyncio":
        return asyncio
    import aioxide

    return aioxide


async def failed_tasks(notes: Notes) -> None:
    notes.task("a", notes.fail("a", 0))
    notes.task("b", notes.fail("b", 2))
    notes.task("c", notes.nap("c", 4))


async def results(notes: Notes) -> None:
    notes.task("a", notes.give("a"))
    notes.task("b", notes.give("b"))
    notes.task("c", notes.nap("c", 3))


async def failed_task_before_a_callback(notes: Notes) -> None:
    notes.task("a", notes.fail("a"))
    await notes.lib.sleep(0)
    notes.loop.call_soon(notes.note, "called", "callback")


async def failed_task_dropped_by_a_callback(notes: Notes) -> None:
    tasks = [notes.task("a", notes.fail("a"))]
    notes.task("b", notes.nap("b", 9))
    await notes.lib.sleep(0.001)
    notes.loop.call_soon(tasks.clear)


async def failed_future(notes: Notes) -> None:
    future = notes.loop.create_future()
    future.set_exception(ValueError(notes.Dying("exception")))
    notes.loop.call_soon(lambda future: None, future)
    notes.task("b", notes.nap("b", 3))


async def awaited_future(notes: Notes) -> None:
    async def wait(future: asyncio.Future[Any]) -> None:
        variable.set("waiter")
        await future

    future = notes.loop.create_future()
    notes.task("a", wait(future))
    notes.task("b", notes.nap("b", 5))
    await notes.lib.sleep(0)
    notes.loop.call_soon(future.set_result, notes.Dying("value"))


async def weakly_referenced_future(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        future = notes.loop.create_future()
        notes.loop.call_soon(future.set_result, None)
        callback = lambda reference: notes.note("unreferenced", "future")  # noqa: E731
        notes.references.append(weakref.ref(future, callback))
        box = [future]
        del future
        await box.pop()

    notes.task("a", wait())
    notes.task("b", notes.nap("b", 5))


async def awaited_task(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        await notes.task("inner", notes.give("inner", 2))

    notes.task("a", wait())
    notes.task("b", notes.nap("b", 5))


async def sleep_with_a_result(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        await notes.lib.sleep(0.001, notes.Dying("value"))
        notes.note("slept", "a")
        await notes.lib.sleep(0)

    notes.task("a", wait())
    notes.task("b", notes.nap("b", 5))


async def cancelled_timers(notes: Notes) -> None:
    context = contextvars.copy_context()
    context.run(variable.set, notes.Dying("value of a context"))
    notes.loop.call_later(0.001, lambda value: None, notes.Dying("argument"))
    notes.loop.call_later(0.0005, lambda: None, context=context).cancel()
    notes.loop.call_soon(lambda: None, context=context).cancel()
    del context
    notes.task("b", notes.nap("b", 5))


async def gathered(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        await notes.lib.gather(notes.give("x"), notes.give("y", 2))
        notes.note("gathered", "a")
        await notes.lib.sleep(0)

    notes.task("a", wait())
    notes.task("b", notes.nap("b", 5))


async def task_group(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        try:
            async with notes.lib.TaskGroup() as group:
                for name, coroutine in [
                    ("x", notes.give("x")),
                    ("y", notes.fail("y", 2)),
                    ("z", notes.nap("z", 5)),
                ]:
                    group.create_task(coroutine, name=name)
        except ExceptionGroup:
            notes.note("caught", "a")
        await notes.lib.sleep(0)

    notes.task("a", wait())
    notes.task("b", notes.nap("b", 8))


async def cancelled_shield(notes: Notes) -> None:
    async def wait() -> None:
        variable.set("waiter")
        await notes.lib.shield(notes.fail("x", 3))

    task = notes.task("a", wait())
    notes.task("b", notes.nap("b", 8))
    await notes.nap("main", 2)
    task.cancel()


async def queue(notes: Notes) -> None:
    queue = notes.lib.Queue()

    async def get() -> None:
        variable.set("getter")
        await queue.get()
        notes.note("got", "a")
        await notes.lib.sleep(0)

    async def put() -> None:
        variable.set("putter")
        await notes.lib.sleep(0)
        await queue.put(notes.Dying("item"))

    notes.task("a", get())
    notes.task("b", put())
    notes.task("c", notes.nap("c", 5))


async def reader(notes: Notes) -> None:
    ours, peer = socket.socketpair()

    def read(value: object) -> None:
        notes.note("read", "reader")
        notes.loop.remove_reader(ours)
        ours.close()
        peer.close()

    notes.loop.add_reader(ours, read, notes.Dying("argument"))
    notes.task("b", notes.nap("b", 5))
    peer.send(b"x")


async def signal_handler(notes: Notes) -> None:
    def handle(value: object) -> None:
        notes.note("handled", "signal")
        notes.loop.remove_signal_handler(signal.SIGUSR1)

    notes.loop.add_signal_handler(signal.SIGUSR1, handle, notes.Dying("argument"))
    notes.task("b", notes.nap("b", 5))
    signal.raise_signal(signal.SIGUSR1)


async def derived_tasks(notes: Notes) -> None:
    class Derived(notes.lib.Task):  # type: ignore[misc, name-defined]
        pass

    notes.loop.set_task_factory(lambda loop, coro, **kw: Derived(coro, loop=loop, **kw))
    await failed_tasks(notes)
    await results(notes)


async def eager_tasks(notes: Notes) -> None:
    if sys.version_info >= (3, 12):
        notes.loop.set_task_factory(asyncio.eager_task_factory)
    notes.task("x", notes.fail("x", 1))
    await results(notes)


async def exception_handler_that_raises(notes: Notes) -> None:
    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        notes.note("handled", context["message"])
        raise RuntimeError

    notes.loop.set_exception_handler(handle)
    await failed_tasks(notes)
    notes.loop.call_soon(lambda: 1 / 0)


PROGRAMS: list[Callable[[Notes], Coroutine[Any, Any, None]]] = [
    failed_tasks,
    results,
    failed_task_before_a_callback,
    failed_task_dropped_by_a_callback,
    failed_future,
    awaited_future,
    weakly_referenced_future,
    awaited_task,
    sleep_with_a_result,
    cancelled_timers,
    gathered,
    task_group,
    cancelled_shield,
    queue,
    reader,
    signal_handler,
    derived_tasks,
    eager_tasks,
    exception_handler_that_raises,
]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("asyncio")
    before = (logger.handlers[:], logger.propagate)
    logger.propagate = False
    yield logger
    logger.handlers[:], logger.propagate = before


def notes_of(name: str, program: Callable[[Notes], Any], logger: logging.Logger) -> list[Any]:
    notes = Notes(name)

    async def main() -> None:
        variable.set("main")
        await program(notes)
        await notes.lib.sleep(0.01)

    logger.handlers[:] = [notes]
    gc.collect()
    gc.disable()
    try:
        notes.loop.run_until_complete(notes.loop.create_task(main(), name="main"))
        notes.note("end", "main")
    finally:
        gc.enable()
        notes.loop.close()
        logger.handlers.clear()
    # A copy: what only the collector frees comes later.
    return notes.notes[:]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_current_task_is_the_same(program: Any, logger: logging.Logger) -> None:
    expected = notes_of("asyncio", program, logger)
    assert any(note is not None and note[0] in ("deleted", "unreferenced") for note in expected)
    assert notes_of("aioxide", program, logger) == expected
