"""The scheduling benchmark measures what it says: sound loops pass, broken ones are found out.

    pytest benchmarks

Every workload runs with a small n on every implementation installed; then each is given a loop or
a primitive with a fault that would make it faster, and has to refuse the result.
"""

from __future__ import annotations

import asyncio
import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from implementations import IMPLEMENTATIONS, Environment, environment, new_loop
from workload import Workload, WrongResult
from workloads import WORKLOADS

INSTALLED = [
    # What a peer leaves unclosed is not what is tested here.
    pytest.param(
        each,
        id=each.name,
        marks=()
        if each.module in ("asyncio", "aioxide")
        else pytest.mark.filterwarnings("ignore::ResourceWarning"),
    )
    for each in IMPLEMENTATIONS.values()
    if each.version() is not None
]


def small(workload: Workload) -> int:
    """Few operations, but more than one round of each."""
    return 3000 if workload.operations is not None else max(2 * workload.unit, 2000)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A stock loop; what a refused workload left behind is put away."""
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(lambda _loop, _context: None)
    yield loop
    vars(loop).pop("create_task", None)
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.wait(left)) if left else None
    loop.close()


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("implementation", INSTALLED)
def test_workload_accepts_a_sound_loop(implementation: Any, name: str) -> None:
    loop = new_loop(implementation)
    unexpected: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: unexpected.append(context))
    try:
        workload = WORKLOADS[name]
        env = environment(implementation, loop)
        loop.run_until_complete(workload.run(env, small(workload)))
    finally:
        loop.close()
    assert not unexpected


Counter = Callable[[], None]
Counted = Callable[[Environment, Counter], Environment]


def of_loop(method: str) -> Counted:
    """Counts the calls of this method of the loop, from outside or inside."""

    def counted(env: Environment, count: Counter) -> Environment:
        real = getattr(env.loop, method)

        def call(*args: Any, **keywords: Any) -> Any:
            count()
            return real(*args, **keywords)

        setattr(env.loop, method, call)
        return dataclasses.replace(env, create_future=env.loop.create_future)

    return counted


def of_primitive(name: str, method: str = "") -> Counted:
    """Counts the calls of this name of asyncio, or of this method of its instances."""

    def counted(env: Environment, count: Counter) -> Environment:
        real = getattr(asyncio, name)

        def call(*args: Any, **keywords: Any) -> Any:
            if not method:
                count()
                return real(*args, **keywords)
            instance = real(*args, **keywords)
            bound = getattr(instance, method)

            def counting(*args: Any, **keywords: Any) -> Any:
                count()
                return bound(*args, **keywords)

            setattr(instance, method, counting)
            return instance

        names = types.SimpleNamespace(**{**vars(asyncio), name: call})
        return dataclasses.replace(env, aio=names)

    return counted


def awaits(env: Environment, count: Counter) -> Environment:
    class Future(asyncio.Future[Any]):
        def __await__(self) -> Any:
            count()
            return super().__await__()

    return dataclasses.replace(env, create_future=lambda: Future(loop=env.loop))


# The call that each workload makes once per operation, whatever it makes beside them.
COUNTED = {
    "call-soon-chain": of_loop("call_soon"),
    "call-soon-burst": of_loop("call_soon"),
    "call-soon-arg": of_loop("call_soon"),
    "sleep0-one": of_primitive("sleep"),
    "sleep0-hundred": of_primitive("sleep"),
    "task-one": of_loop("create_task"),
    "task-burst": of_loop("create_task"),
    "gather-thousand": of_loop("create_task"),
    "sleeping-tasks": of_primitive("sleep"),
    "future-ping-pong": of_loop("create_future"),
    "queue-ping-pong": of_primitive("Queue", "put"),
    "queue-bounded": of_primitive("Queue", "get"),
    "queue-unbounded": of_primitive("Queue", "get"),
    "queue-priority": of_primitive("PriorityQueue", "get"),
    "await-done": awaits,
    "timer-one-callback": of_loop("call_later"),
    "timer-hundred": of_loop("call_later"),
    "timer-in-flight": of_loop("call_later"),
    "lock-uncontended": of_primitive("Lock", "acquire"),
    "lock-hand-over": of_primitive("Lock", "acquire"),
    "semaphore-hand-over": of_primitive("Semaphore", "acquire"),
    "event-hand-over": of_primitive("Event", "wait"),
    "condition-hand-over": of_primitive("Condition", "wait"),
    "timeout-unused": of_primitive("timeout"),
    "task-group-thousand": of_loop("create_task"),
    "wait-hundred": of_loop("create_task"),
    "wait-for-done": of_primitive("wait_for"),
    "wait-for-coroutine": of_primitive("wait_for"),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_performs_n_operations(loop: asyncio.AbstractEventLoop, name: str) -> None:
    """Doubling n adds n operations: what a workload does beside them does not grow with it."""
    workload = WORKLOADS[name]
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    env = COUNTED[name](Environment(loop, asyncio, loop.create_future), count)
    n = small(workload)
    loop.run_until_complete(workload.run(env, n))
    first, calls = calls, 0
    loop.run_until_complete(workload.run(env, 2 * n))
    # Beside the operations: a future and a last callback for each batch.
    beside = calls - first - n
    assert 0 <= beside <= 2 * n // 1000, f"{calls - first} calls for {n} operations more"


# Faults. Each makes work disappear, which is how a broken loop would look fast.

Fault = Callable[[Environment], Environment]


def replace(env: Environment, method: Callable[..., Any]) -> None:
    """Put the function in the place of the loop's method of the same name."""
    setattr(env.loop, method.__name__, method)


def lossy_call_soon(env: Environment) -> Environment:
    """Forgets every 997th Python function it is given."""
    real, given = env.loop.call_soon, 0

    def call_soon(callback: Any, *args: Any, **keywords: Any) -> asyncio.Handle:
        nonlocal given
        given += isinstance(callback, types.FunctionType)
        handle = real(callback, *args, **keywords)
        if isinstance(callback, types.FunctionType) and given % 997 == 0:
            handle.cancel()
        return handle

    replace(env, call_soon)
    return env


def immediate_call_soon(env: Environment) -> Environment:
    """Calls the first Python function where it stands instead of scheduling it."""
    real, called = env.loop.call_soon, False

    def call_soon(callback: Any, *args: Any, **keywords: Any) -> asyncio.Handle:
        nonlocal called
        if isinstance(callback, types.FunctionType) and not called:
            called = True
            callback(*args)
            return asyncio.Handle(lambda: None, (), env.loop)
        return real(callback, *args, **keywords)

    replace(env, call_soon)
    return env


def wrong_argument(env: Environment) -> Environment:
    real = env.loop.call_soon

    def call_soon(callback: Any, *args: Any, **keywords: Any) -> asyncio.Handle:
        return real(callback, *[0 if arg == 7 else arg for arg in args], **keywords)

    replace(env, call_soon)
    return env


def primitive(name: str) -> Callable[[Any], Fault]:
    """A fault that puts another thing in the place of one of asyncio's names."""

    def with_replacement(replacement: Any) -> Fault:
        def fault(env: Environment) -> Environment:
            names = types.SimpleNamespace(**{**vars(asyncio), name: replacement})
            return dataclasses.replace(env, aio=names)

        return fault

    return with_replacement


async def sleep_at_once(_delay: float) -> None:
    """Does not give way."""


async def short_gather(*awaitables: Any) -> list[Any]:
    return (await asyncio.gather(*awaitables))[:-1]


async def wait_for_nothing(awaitable: Any, _limit: float) -> None:
    if asyncio.iscoroutine(awaitable):
        awaitable.close()


async def wait_for_none(tasks: Any, timeout: float) -> Any:
    return set(), set(tasks)


def timeout_at_once(_delay: float) -> asyncio.Timeout:
    return asyncio.timeout(0)


class OpenLock(asyncio.Lock):
    async def acquire(self) -> Any:
        return True

    def release(self) -> None:
        pass


class OpenSemaphore(asyncio.Semaphore):
    async def acquire(self) -> Any:
        return True


class OpenEvent(asyncio.Event):
    async def wait(self) -> Any:
        return True


class HastyCondition(asyncio.Condition):
    async def wait(self) -> Any:
        return True


class LifoQueue(asyncio.LifoQueue[Any]):
    """Another order."""


class ReturnedBall(asyncio.Queue[Any]):
    async def put(self, item: Any) -> None:
        await super().put(0 if item == 5 else item)


def no_task_body(env: Environment) -> Environment:
    """Ends every 97th task without running it, once the workload itself is under way."""
    real, made = env.loop.create_task, 0

    async def nothing() -> None:
        pass

    def create_task(coro: Any, **keywords: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        if made % 97 == 0:
            coro.close()
            coro = nothing()
        return real(coro, **keywords)

    replace(env, create_task)
    return env


def timers_not_cancelled(env: Environment) -> Environment:
    """cancel() that does nothing."""
    real = env.loop.call_later

    class Timer(asyncio.TimerHandle):
        def cancel(self) -> None:
            pass

    def call_later(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        timer = Timer(env.loop.time() + delay, callback, args, env.loop)
        real(delay, lambda: timer._run() if not timer.cancelled() else None)
        return timer

    replace(env, call_later)
    return env


def timers_never_fire(env: Environment) -> Environment:
    """call_later() that only pretends, except for what ends the workload."""
    real = env.loop.call_later

    def call_later(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        if args and isinstance(args[0], str):
            return asyncio.TimerHandle(env.loop.time() + delay, callback, args, env.loop)
        return real(delay, callback, *args)

    replace(env, call_later)
    return env


def other_results(env: Environment) -> Environment:
    class Future(asyncio.Future[Any]):
        def set_result(self, result: Any) -> None:
            super().set_result(result if result is None else 0)

    return dataclasses.replace(env, create_future=lambda: Future(loop=env.loop))


no_sleep = primitive("sleep")(sleep_at_once)
FAULTS: list[tuple[str, Fault]] = [
    ("call-soon-chain", immediate_call_soon),
    ("call-soon-burst", lossy_call_soon),
    ("call-soon-burst", immediate_call_soon),
    ("call-soon-arg", lossy_call_soon),
    ("call-soon-arg", wrong_argument),
    ("sleep0-one", no_sleep),
    ("sleep0-hundred", no_sleep),
    ("task-one", no_task_body),
    ("task-burst", no_task_body),
    ("gather-thousand", primitive("gather")(short_gather)),
    ("sleeping-tasks", no_sleep),
    ("sleeping-tasks", no_task_body),
    ("future-ping-pong", other_results),
    ("queue-ping-pong", primitive("Queue")(ReturnedBall)),
    ("queue-bounded", primitive("Queue")(LifoQueue)),
    ("queue-unbounded", primitive("Queue")(LifoQueue)),
    ("queue-priority", primitive("PriorityQueue")(LifoQueue)),
    ("await-done", other_results),
    ("timer-one-callback", timers_not_cancelled),
    ("timer-one-callback", timers_never_fire),
    ("timer-hundred", timers_not_cancelled),
    ("timer-hundred", timers_never_fire),
    ("timer-in-flight", timers_not_cancelled),
    ("timer-in-flight", timers_never_fire),
    ("lock-uncontended", primitive("Lock")(OpenLock)),
    ("lock-hand-over", primitive("Lock")(OpenLock)),
    ("semaphore-hand-over", primitive("Semaphore")(OpenSemaphore)),
    ("event-hand-over", primitive("Event")(OpenEvent)),
    ("condition-hand-over", primitive("Condition")(HastyCondition)),
    ("timeout-unused", primitive("timeout")(timeout_at_once)),
    ("task-group-thousand", no_task_body),
    ("wait-hundred", primitive("wait")(wait_for_none)),
    ("wait-for-done", primitive("wait_for")(wait_for_nothing)),
    ("wait-for-coroutine", primitive("wait_for")(wait_for_nothing)),
]


def test_every_workload_has_a_fault() -> None:
    assert {name for name, _ in FAULTS} == set(WORKLOADS)


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_workload_refuses_a_broken_loop(
    loop: asyncio.AbstractEventLoop, name: str, fault: Fault
) -> None:
    workload = WORKLOADS[name]
    env = fault(Environment(loop, asyncio, loop.create_future))

    async def bounded() -> None:
        # A stock time limit around it: a workload that hangs has not refused anything.
        async with asyncio.timeout(20):
            await workload.run(env, small(workload))

    with pytest.raises(WrongResult):
        loop.run_until_complete(bounded())
