"""Lock, Event, Condition and Semaphore: order, cancellation, what can be seen and replaced."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation

Make = Callable[[Any], Any]

# What can be acquired, made so that it is taken.
HELD: dict[str, Make] = {
    "Lock": lambda aio: aio.Lock(),
    "Condition": lambda aio: aio.Condition(),
    "Semaphore": lambda aio: aio.Semaphore(1),
    "BoundedSemaphore": lambda aio: aio.BoundedSemaphore(1),
}


@pytest.fixture(params=HELD)
def held(request: pytest.FixtureRequest, aio: Any) -> Any:
    """Something that is about to be acquired once."""
    return HELD[request.param](aio)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_acquired_in_the_order_asked(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    order: list[int] = []

    async def member(number: int) -> None:
        async with held as value:
            assert value is None
            order.append(number)
            await turns()

    await asyncio.gather(*map(member, range(6)))
    assert order == list(range(6))
    assert not held.locked()


async def test_acquire_gives_true(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    assert await held.acquire() is True
    waiting = asyncio.create_task(held.acquire())
    await turns()
    assert held.release() is None
    assert await waiting is True
    held.release()


async def test_a_cancelled_waiter_passes_it_on(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    await held.acquire()
    first, second = (asyncio.create_task(held.acquire()) for _ in range(2))
    await turns()
    held.release()  # the first is woken
    first.cancel()  # and cancelled before it runs
    assert await second is True
    assert first.cancelled()
    held.release()
    assert not held.locked()


async def test_nobody_jumps_the_queue(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    order: list[str] = []
    await held.acquire()

    async def member(name: str) -> None:
        async with held:
            order.append(name)

    patient = asyncio.create_task(member("patient"))
    await turns()
    held.release()
    await asyncio.gather(member("late"), patient)
    assert order == ["patient", "late"]


async def test_time_limit(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    await held.acquire()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(held.acquire(), 0.001)
    assert held.locked()
    held.release()
    assert await asyncio.wait_for(held.acquire(), 10) is True
    held.release()


async def test_acquire_is_a_coroutine(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    call = held.acquire()
    assert asyncio.iscoroutine(call)
    assert inspect.isawaitable(call)
    assert not held.locked()  # nothing happens before it is awaited
    call.close()
    assert not held.locked()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await call
    assert list(await asyncio.gather(held.acquire())) == [True]
    held.release()


async def test_never_awaited(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    with pytest.warns(RuntimeWarning, match=r"acquire' was never awaited"):
        held.acquire()


async def test_closed_while_it_waits(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    await held.acquire()
    call = held.acquire()
    waiter = call.send(None)
    assert asyncio.isfuture(waiter)
    waited_for = getattr(held, "_lock", held)
    assert "waiters:1" in repr(waited_for)
    call.close()
    assert "waiters" not in repr(waited_for)
    held.release()
    waiter.cancel()


async def test_thrown_into(loop: asyncio.AbstractEventLoop, held: Any) -> None:
    await held.acquire()
    call = held.acquire()
    waiter = call.send(None)
    with pytest.raises(KeyError, match="thrown"):
        call.throw(KeyError("thrown"))
    assert "waiters" not in repr(getattr(held, "_lock", held))
    held.release()
    assert not held.locked()
    waiter.cancel()


async def test_exit_without_enter(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    with pytest.raises(RuntimeError, match=r"Lock is not acquired\."):
        await aio.Lock().__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match=r"Lock is not acquired\."):
        aio.Lock().release()
    with pytest.raises(ValueError, match="BoundedSemaphore released too many times"):
        aio.BoundedSemaphore(1).release()


async def test_exit_can_be_awaited_like_any_coroutine(
    loop: asyncio.AbstractEventLoop, aio: Any
) -> None:
    lock = aio.Lock()
    for run in (asyncio.create_task, asyncio.gather, lambda call: asyncio.wait_for(call, 1)):
        await lock.acquire()
        await run(lock.__aexit__(None, None, None))
        assert not lock.locked()


async def test_waiters_can_be_seen_and_changed(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    lock = aio.Lock()
    assert lock._waiters is None
    await lock.acquire()
    first = asyncio.create_task(lock.acquire())
    await turns()
    assert isinstance(lock._waiters, deque)
    assert [waiter.done() for waiter in lock._waiters] == [False]
    second = asyncio.create_task(lock.acquire())
    await turns()
    assert len(lock._waiters) == 2
    lock._waiters.rotate(1)  # the second is first now
    lock.release()
    await turns()
    assert (first.done(), second.done()) == (False, True)
    assert len(lock._waiters) == 1
    lock._locked = False
    lock._wake_up_first()
    assert await first is True


async def test_event_wakes_everybody_in_order(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    event = aio.Event()
    order: list[int] = []

    async def member(number: int) -> None:
        assert await event.wait() is True
        order.append(number)

    tasks = [asyncio.create_task(member(number)) for number in range(4)]
    await turns()
    tasks[1].cancel()
    event.set()
    event.clear()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 2, 3]
    assert not event.is_set()
    event._value = True
    assert await event.wait() is True
    assert type(event._waiters) is deque


async def test_condition_with_another_lock(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    lock = aio.Lock()
    condition = aio.Condition(lock=lock)
    assert condition._lock is lock
    async with condition:
        assert lock.locked()
    await lock.acquire()
    assert condition.locked()
    condition.release()
    assert not lock.locked()


class AnyLock:
    """A lock of somebody else's, which counts."""

    def __init__(self) -> None:
        self.taken = False
        self.calls: list[str] = []

    def locked(self) -> bool:
        return self.taken

    async def acquire(self) -> bool:
        await asyncio.sleep(0)
        self.calls.append("acquire")
        self.taken = True
        return True

    def release(self) -> None:
        self.calls.append("release")
        self.taken = False


async def test_condition_with_a_foreign_lock(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    lock = AnyLock()
    condition = aio.Condition(lock)
    woken = []

    async def member() -> None:
        async with condition:
            woken.append(await condition.wait())

    task = asyncio.create_task(member())
    await turns(5)
    async with condition:
        condition.notify()
    await task
    assert woken == [True]
    assert lock.calls == ["acquire", "release", "acquire", "release", "acquire", "release"]
    with pytest.raises(AttributeError):
        aio.Condition(object())


async def test_condition_needs_its_lock(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    condition = aio.Condition()
    with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
        await condition.wait()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify_all()


async def test_condition_takes_the_lock_again_when_cancelled(
    loop: asyncio.AbstractEventLoop, aio: Any
) -> None:
    condition = aio.Condition()
    held_after = []

    async def member() -> None:
        async with condition:
            try:
                await condition.wait()
            finally:
                held_after.append(condition.locked())

    task = asyncio.create_task(member())
    await turns()
    await condition.acquire()
    task.cancel()
    await turns()
    task.cancel()  # a second time, while it waits for the lock
    await turns()
    assert not task.done()
    condition.release()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held_after == [True]
    assert not condition.locked()


async def test_condition_wait_for(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    condition, state = aio.Condition(), [0]

    async def member() -> Any:
        async with condition:
            return await condition.wait_for(lambda: state[0] > 1 and f"at {state[0]}")

    task = asyncio.create_task(member())
    for value in (1, 2):
        await turns()
        async with condition:
            state[0] = value
            condition.notify_all()
    assert await task == "at 2"

    def fails() -> bool:
        raise ZeroDivisionError

    async with condition:
        with pytest.raises(ZeroDivisionError):
            await condition.wait_for(fails)


@pytest.mark.parametrize("value", [math.inf, 2.5, 2**70, True])
async def test_semaphore_counts_with_any_number(
    loop: asyncio.AbstractEventLoop, aio: Any, value: Any
) -> None:
    semaphore = aio.Semaphore(value)
    async with semaphore:
        assert semaphore._value == value - 1
        assert semaphore.locked() is (value - 1 == 0)
    assert semaphore._value == value
    assert type(semaphore._value) is type(value - 1 + 1)


def test_semaphore_refuses(implementation: Implementation, aio: Any) -> None:
    with pytest.raises(ValueError, match="Semaphore initial value must be >= 0"):
        aio.Semaphore(-1)
    with pytest.raises(TypeError, match="'<' not supported between instances of 'str' and 'int'"):
        aio.Semaphore("1")
    for name in ("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore"):
        with pytest.raises(TypeError, match=rf"{name}.__init__\(\) got an unexpected keyword"):
            getattr(aio, name)(loop=None)


async def test_overridden_methods_are_called(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    called: list[str] = []

    class Lock(aio.Lock):  # type: ignore[misc]
        async def acquire(self) -> bool:
            called.append("acquire")
            return bool(await super().acquire())

        def release(self) -> None:
            called.append("release")
            super().release()

        def _wake_up_first(self) -> None:
            called.append("wake")
            super()._wake_up_first()

    lock = Lock()
    async with lock:
        waiting = asyncio.create_task(lock.acquire())
        await turns()
    assert await waiting is True
    lock.release()
    assert called == ["acquire", "acquire", "release", "wake", "release", "wake"]

    class Semaphore(aio.Semaphore):  # type: ignore[misc]
        def locked(self) -> bool:
            called.append("locked")
            return bool(super().locked())

        def _wake_up_next(self) -> Any:
            called.append("wake next")
            return super()._wake_up_next()

    called.clear()
    async with Semaphore(1):
        pass
    assert called == ["locked", "wake next"]


async def test_methods_replaced_later_are_called(
    loop: asyncio.AbstractEventLoop, aio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    lock = aio.Lock()
    async with lock:
        pass
    release = lock.release

    def counted() -> None:
        called.append("instance")
        release()

    lock.release = counted
    async with lock:
        pass
    del lock.release
    async with lock:
        pass
    original = aio.Lock.release

    def patched(self: Any) -> None:
        called.append("class")
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(aio.Lock, "release", patched)
        async with lock:
            pass
    async with lock:
        pass
    assert called == ["instance", "class"]


def test_bound_to_the_loop_that_waited_first(implementation: Implementation, aio: Any) -> None:
    lock, event, semaphore = aio.Lock(), aio.Event(), aio.Semaphore(0)
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lock.acquire,
        event.wait,
        semaphore.acquire,
    ]

    async def contend() -> None:
        if not lock.locked():
            await lock.acquire()  # free: no loop is needed yet
            assert lock._loop is None
        for call in calls:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call(), 0.001)

    async def elsewhere() -> None:
        for call in calls:
            with pytest.raises(RuntimeError, match="is bound to a different event loop"):
                await call()

    with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
        runner.run(contend())
        assert lock._loop is runner.get_loop()
    with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
        runner.run(elsewhere())
    for thing in (lock, event, semaphore):
        thing._loop = None


def test_without_a_loop(implementation: Implementation, aio: Any) -> None:
    lock = aio.Lock()
    with pytest.raises(StopIteration) as stopped:
        lock.acquire().send(None)
    assert stopped.value.value is True
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'create_future'"):
        lock.acquire().send(None)


def test_attributes_weak_references_and_cycles(implementation: Implementation, aio: Any) -> None:
    for make in (aio.Lock, aio.Event, aio.Condition, aio.Semaphore, aio.Queue):
        thing = make()
        thing.myself = thing
        assert vars(thing)["myself"] is thing
        gone = weakref.ref(thing)
        del thing
        gc.collect()
        assert gone() is None


def test_init_again(implementation: Implementation, aio: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lock = aio.Lock()
        lock._locked = True
        lock.__init__()
        assert not lock.locked()
        semaphore = aio.Semaphore(1)
        semaphore.__init__(value=3)
        assert semaphore._value == 3
