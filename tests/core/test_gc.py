"""Cycles are collected, and a great many of anything leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from helpers import (
    Contexts,
    Implementation,
    collect,
    live_objects,
    open_fds,
    run_turns,
    turns,
    value,
)

pytestmark = pytest.mark.usefixtures("loop")


class Token:
    """Something that can be watched dying, and called."""

    def __init__(self) -> None:
        self.link: Any = None

    def __call__(self, *args: object) -> None: ...


def dies(make: Callable[[Token], object]) -> bool:
    """Build something around a token, drop both, collect: is the token gone?"""
    token = Token()
    gone = weakref.ref(token)
    kept = make(token)
    del kept, token
    collect()
    return gone() is None


def test_cycle_through_a_handle(loop: asyncio.AbstractEventLoop) -> None:
    def make(token: Token) -> None:
        token.link = loop.call_soon(token, token)
        run_turns(loop)

    assert dies(make)


def test_cycle_through_a_timer(loop: asyncio.AbstractEventLoop) -> None:
    def make(token: Token) -> None:
        token.link = loop.call_later(0, token, token)
        run_turns(loop, 2)

    assert dies(make)


def test_cycle_through_a_stock_handle(loop: asyncio.AbstractEventLoop) -> None:
    def make(token: Token) -> None:
        token.link = asyncio.TimerHandle(1.0, token, (token,), loop)

    assert dies(make)


@pytest.mark.parametrize("place", ["callback", "result", "attribute", "exception", "context"])
def test_cycle_through_a_future(
    loop: asyncio.AbstractEventLoop, types: Implementation, place: str
) -> None:
    def make(token: Token) -> None:
        future = token.link = types.Future(loop=loop)
        if place == "callback":
            future.add_done_callback(token)
            future.add_done_callback(token)
        elif place == "result":
            future.set_result(token)
        elif place == "attribute":
            future.token = token
        elif place == "exception":
            error = LookupError(token)
            future.set_exception(error)
            assert future.exception() is error
        else:
            context = contextvars.Context()
            context.run(contextvars.ContextVar[Token]("v").set, token)
            future.add_done_callback(len, context=context)

    assert dies(make)


@pytest.mark.parametrize("stage", ["waiting", "woken", "done", "cancelled", "failed"])
def test_cycle_through_a_task(
    loop: asyncio.AbstractEventLoop, types: Implementation, stage: str, contexts: Contexts
) -> None:
    async def body(token: Token, gate: Any) -> Token:
        await gate
        if stage == "failed":
            raise LookupError(token)
        return token

    def make(token: Token) -> None:
        gate = types.Future(loop=loop)
        task = token.link = types.Task(body(token, gate), loop=loop)
        run_turns(loop)
        if stage in ("woken", "done", "failed"):
            gate.set_result(None)
            run_turns(loop, 2)
        if stage == "cancelled":
            task.cancel()
            run_turns(loop, 2)
        if stage == "failed":
            task.exception()

    assert dies(make)
    expected = ["Task was destroyed but it is pending!"] if stage == "waiting" else []
    assert [context["message"] for context in contexts.take()] == expected
    collect()  # the context had revived the task


@pytest.mark.parametrize("kind", ["Future", "Task"])
def test_cycle_through_the_class(
    loop: asyncio.AbstractEventLoop, types: Implementation, kind: str
) -> None:
    """A class defined in a function dies with its objects, which it refers to itself."""

    def make(token: Token) -> None:
        base: Any = getattr(types, kind)
        cls: Any = type("Local", (base,), {"token": token})
        one = cls(loop=loop) if kind == "Future" else cls(value(), loop=loop)
        run_turns(loop, 2)
        cls.instance = one

    assert dies(make)


def test_cycle_through_a_loop(implementation: Implementation) -> None:
    def make(token: Token) -> None:
        loop: Any = implementation.new_event_loop()
        loop.set_exception_handler(token)
        loop.set_task_factory(token)
        loop.call_soon(token, loop)
        loop.call_later(3600, token, loop)
        token.link = loop
        loop.close()

    assert dies(make)


def test_cycle_through_the_class_of_a_loop(implementation: Implementation) -> None:
    def make(token: Token) -> None:
        plain = implementation.new_event_loop()
        cls: Any = type("Local", (type(plain),), {"token": token})
        plain.close()
        cls.instance = cls()
        cls.instance.close()

    assert dies(make)


def test_cycle_through_reader_and_writer(loop: asyncio.AbstractEventLoop) -> None:
    def make(token: Token) -> None:
        one, other = socket.socketpair()
        with one, other:
            token.link = loop
            loop.add_reader(one, token, token)
            loop.add_writer(one, token, token)
            loop.remove_reader(one)
            loop.remove_writer(one)

    assert dies(make)


def test_a_loop_dropped_with_work_pending(implementation: Implementation) -> None:
    """A loop that nobody closed or can reach goes, with everything in its queues."""

    def make(token: Token) -> None:
        loop = implementation.new_event_loop()
        loop.call_soon(token, loop)
        loop.call_later(3600, token, loop)
        loop.call_soon_threadsafe(token, loop)
        loop.create_future().add_done_callback(token)

    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        assert dies(make)


@pytest.mark.parametrize("steps", range(7))
def test_tasks_cancelled_at_every_step(
    loop: asyncio.AbstractEventLoop, types: Implementation, steps: int
) -> None:
    async def inner(gate: asyncio.Future[None]) -> None:
        await gate

    async def body() -> None:
        await turns(1)
        gate = types.Future(loop=loop)
        loop.call_soon(lambda: gate.done() or gate.set_result(None))
        await inner(gate)
        child = types.Task(turns(1), loop=loop)
        try:
            await child
        finally:
            await turns(1)

    count = 10_000 // 7
    before = live_objects()
    tasks = [types.Task(body(), loop=loop) for _ in range(count)]
    watched = [weakref.ref(task) for task in tasks]
    run_turns(loop, steps)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    run_turns(loop)
    del tasks, task
    collect()
    assert [ref for ref in watched if ref() is not None] == []
    assert live_objects() == before


def test_dropping_tasks_of_a_stopped_loop(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    """Tasks that the loop still has in its queue live until it is closed."""
    coroutines = [value() for _ in range(100)]
    watched = [weakref.ref(types.Task(coroutine, loop=loop)) for coroutine in coroutines]
    collect()
    assert all(ref() is not None for ref in watched)
    loop.close()
    collect()
    assert {context["message"] for context in contexts.take()} == {
        "Task was destroyed but it is pending!"
    }
    collect()  # the contexts had revived the tasks
    assert all(ref() is None for ref in watched)
    for coroutine in coroutines:
        coroutine.close()


def resident() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_many_loops(implementation: Implementation) -> None:
    async def work(loop: asyncio.AbstractEventLoop) -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            loop.add_reader(one, len, ())
            loop.remove_reader(one)
            await loop.sock_sendall(one, b"x" * 100)
            assert len(await loop.sock_recv(other, 1000)) == 100
        loop.call_later(1000, len, ())
        loop.call_soon_threadsafe(len, ())
        await asyncio.gather(*(turns(2) for _ in range(10)))

    def round_of(count: int) -> None:
        for _ in range(count):
            loop = implementation.new_event_loop()
            loop.run_until_complete(work(loop))
            loop.close()
        del loop
        collect()

    round_of(50)  # free lists, arenas and caches grow to their size
    fds, memory, objects = open_fds(), resident(), live_objects()
    round_of(500)
    assert open_fds() == fds
    assert live_objects() == objects
    # A loop of the standard library takes some 50 KB; a leak of one of them each would be 25 MB.
    assert resident() - memory < 8 << 20


def test_ordinary_work_makes_no_garbage(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    """Awaiting, sleeping and gathering free everything by counting alone."""

    async def body() -> None:
        for _ in range(50):
            await types.Task(turns(1))
            await asyncio.sleep(0)
            await asyncio.wait_for(types.Task(value()), 10)

    loop.run_until_complete(body())
    collect()
    gc.disable()
    try:
        before = live_objects()
        loop.run_until_complete(body())
        run_turns(loop, 2)
        after = live_objects()
    finally:
        gc.enable()
    # wait_for's cancelled timers may rest in the heap until they are swept.
    for kind in ("TimerHandle",):
        before.pop(kind, None), after.pop(kind, None)
    assert after == before
