"""Executors, other threads calling in, and loops side by side."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
import time

import pytest

from helpers import Contexts, Implementation, run_turns, turns, value

pytestmark = pytest.mark.usefixtures("loop")


async def test_run_in_executor(loop: asyncio.AbstractEventLoop) -> None:
    def work(*args: object) -> tuple[object, ...]:
        return (threading.get_ident(), *args)

    def fails() -> None:
        raise LookupError("in the thread")

    thread, *args = await loop.run_in_executor(None, work, 1, 2)
    assert thread != threading.get_ident()
    assert args == [1, 2]
    with pytest.raises(LookupError, match="in the thread"):
        await loop.run_in_executor(None, fails)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, work) != (threading.get_ident(),)
        loop.set_default_executor(pool)
        assert await loop.run_in_executor(None, value_of, 3) == 3
        await loop.shutdown_default_executor()
    with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
        loop.run_in_executor(None, work)
    loop._executor_shutdown_called = False  # type: ignore[attr-defined]


def value_of(argument: object) -> object:
    return argument


async def test_set_default_executor_wants_a_thread_pool(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TypeError):
        loop.set_default_executor(object())


async def test_threads_in_a_tight_loop_do_not_starve_the_loop(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Neither timers nor memory: what threads add is run about as fast as they add it."""
    most = 2_000_000
    going = True
    added = [0, 0]
    ran: list[list[int]] = [[], []]

    def produce(number: int) -> None:
        run = ran[number].append
        while going and added[number] < most:
            loop.call_soon_threadsafe(run, added[number])
            added[number] += 1

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        await asyncio.sleep(0.01)
    going = False
    for thread in threads:
        while thread.is_alive():
            await turns(1)
    assert max(added) < most
    await turns(2)
    assert ran == [list(range(count)) for count in added]


async def test_many_executor_results(loop: asyncio.AbstractEventLoop) -> None:
    results = await asyncio.gather(
        *(loop.run_in_executor(None, value_of, number) for number in range(500))
    )
    assert results == list(range(500))


async def test_cancelling_does_not_stop_the_thread(loop: asyncio.AbstractEventLoop) -> None:
    started, go = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go.wait()
        finished.append(1)

    finished: list[int] = []
    future = loop.run_in_executor(None, work)
    await loop.run_in_executor(None, started.wait)
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future
    assert finished == []
    go.set()
    await loop.shutdown_default_executor()
    assert finished == [1]


async def test_to_thread_copies_the_context(loop: asyncio.AbstractEventLoop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(5)
    assert await asyncio.to_thread(variable.get) == 5


def test_many_threads_call_in(loop: asyncio.AbstractEventLoop) -> None:
    got: dict[int, list[int]] = {number: [] for number in range(8)}
    count = 500

    def work(number: int) -> None:
        for i in range(count):
            loop.call_soon_threadsafe(note, number, i)

    def note(number: int, i: int) -> None:
        got[number].append(i)
        if sum(map(len, got.values())) == count * len(got):
            loop.stop()

    threads = [threading.Thread(target=work, args=(number,)) for number in got]
    for thread in threads:
        loop.call_soon(thread.start)
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert all(entries == list(range(count)) for entries in got.values())


def test_ping_pong_with_a_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Every wake-up counts: one lost leaves both sides waiting."""

    def work() -> None:
        for number in range(300):
            answer: concurrent.futures.Future[int] = concurrent.futures.Future()
            loop.call_soon_threadsafe(answer.set_result, number)
            assert answer.result() == number
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


def test_threadsafe_handles_can_be_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    log: list[int] = []

    def work() -> None:
        for number in range(100):
            handle = loop.call_soon_threadsafe(log.append, number)
            handle.cancel()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    loop.run_forever()
    assert log == []


def test_threadsafe_exceptions(loop: asyncio.AbstractEventLoop, contexts: Contexts) -> None:
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(lambda: 1 / 0))
    thread.start()
    thread.join()
    run_turns(loop, 2)
    assert isinstance(contexts.take_one()["exception"], ZeroDivisionError)


def test_threadsafe_context(loop: asyncio.AbstractEventLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    got: list[str] = []

    def work() -> None:
        variable.set("of the thread")
        loop.call_soon_threadsafe(lambda: got.append(variable.get()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    run_turns(loop, 2)
    assert got == ["of the thread"]


def test_run_coroutine_threadsafe(loop: asyncio.AbstractEventLoop) -> None:
    async def fails() -> None:
        raise LookupError("no")

    def work() -> None:
        try:
            for number in range(100):
                future = asyncio.run_coroutine_threadsafe(value(number), loop)
                assert future.result() == number
            with pytest.raises(LookupError, match="no"):
                asyncio.run_coroutine_threadsafe(fails(), loop).result()
            future = asyncio.run_coroutine_threadsafe(turns(10**9), loop)
            future.cancel()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result()
            passed.append(1)
        finally:
            loop.call_soon_threadsafe(loop.stop)

    passed: list[int] = []
    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()
    run_turns(loop, 3)
    assert passed == [1]


def test_loops_side_by_side(implementation: Implementation) -> None:
    """Loops in several threads work at once and know themselves from each other."""

    async def body(number: int) -> int:
        loop = asyncio.get_running_loop()
        for _ in range(200):
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return number + await loop.create_task(value(1))

    def run(number: int) -> None:
        loop = implementation.new_event_loop()
        try:
            results[number] = loop.run_until_complete(body(number))
        finally:
            loop.close()

    results: dict[int, int] = {}
    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: number + 1 for number in range(6)}


def test_a_loop_moves_between_threads(loop: asyncio.AbstractEventLoop) -> None:
    def run() -> None:
        got.append(loop.run_until_complete(value("there")))

    got: list[str] = []
    assert loop.run_until_complete(value("here")) == "here"
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert got == ["there"]
    assert loop.run_until_complete(value("back")) == "back"


def test_the_gil_is_free_while_the_loop_sleeps(loop: asyncio.AbstractEventLoop) -> None:
    """A thread gets on with its work although the loop waits for a long time."""
    counted: list[int] = []

    def work() -> None:
        while len(counted) < 10_000:
            counted.append(len(counted))
        time.sleep(0)
        loop.call_soon_threadsafe(loop.stop)

    far = loop.call_later(3600, len, ())
    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()
    far.cancel()
    assert len(counted) == 10_000
