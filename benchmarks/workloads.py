"""The scheduling workloads: one operation each, repeated n times, every one checking its own work.

A workload is `async def name(env, n)`, run to completion on the loop under test. It performs
exactly n operations and raises `WrongResult` when it finds out that fewer, more or other things
happened, so that a broken loop cannot look fast. Checks cost next to nothing per operation: a
counter that is needed anyway, or a look every thousandth time. What cannot be seen from inside
(a callback that never comes) shows as a hang, which the parent's time limit turns into a failure.

All callbacks and coroutines are Python functions, because that is what users schedule.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from implementations import Environment

BATCH = 1000
FAR_AWAY = 60.0


class WrongResult(AssertionError):
    """The loop under test did not do what the workload asked."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise WrongResult(what)


@dataclass(frozen=True)
class Workload:
    """One row of the table."""

    name: str
    title: str
    run: Callable[[Environment, int], Awaitable[None]]
    unit: int = 1
    """n must be a multiple of it."""
    operations: int | None = None
    """A fixed n, where the number itself is part of the workload; otherwise calibrated."""
    short: bool = False
    """Part of the short table."""
    usual: bool = True


WORKLOADS: dict[str, Workload] = {}


def workload(
    title: str, *, unit: int = 1, operations: int | None = None, short: bool = False
) -> Callable[[Callable[[Environment, int], Awaitable[None]]], Any]:
    """Enter the function into the table under its own name, `_` written as `-`."""

    def enter(run: Callable[[Environment, int], Awaitable[None]]) -> Any:
        name = run.__name__.replace("_", "-")
        WORKLOADS[name] = Workload(name, title, run, unit, operations, short)
        return run

    return enter


# Callbacks


@workload("call_soon chain", short=True)
async def call_soon_chain(env: Environment, n: int) -> None:
    """Each callback schedules the next one: a turn of the loop per operation."""
    call_soon = env.loop.call_soon
    finished = env.create_future()
    left = n

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            call_soon(step)
        else:
            finished.set_result(None)

    call_soon(step)
    expect(left == n, "call_soon ran its callback at once")
    await finished
    await env.aio.sleep(0)
    expect(left == 0, f"{n - left} callbacks ran, {n} were scheduled")


@workload("call_soon burst of 100,000", unit=100_000, short=True)
async def call_soon_burst(env: Environment, n: int) -> None:
    """100,000 callbacks are scheduled before the first of them runs."""
    call_soon = env.loop.call_soon
    ran = 0

    def callback() -> None:
        nonlocal ran
        ran += 1

    for wanted in range(100_000, n + 1, 100_000):
        finished = env.create_future()
        for _ in range(100_000):
            call_soon(callback)
        expect(ran == wanted - 100_000, "call_soon ran its callback at once")
        call_soon(finished.set_result, None)
        await finished
        expect(ran == wanted, f"{ran} callbacks ran, {wanted} were scheduled")


@workload("call_soon(f, arg), 1,000 at a time", unit=BATCH)
async def call_soon_arg(env: Environment, n: int) -> None:
    """Short bursts of callbacks with an argument."""
    call_soon = env.loop.call_soon
    total = 0

    def add(value: int) -> None:
        nonlocal total
        total += value

    for _ in range(n // BATCH):
        finished = env.create_future()
        for value in range(BATCH):
            call_soon(add, value)
        call_soon(finished.set_result, None)
        await finished
    expect(total == n // BATCH * sum(range(BATCH)), "arguments lost or changed on the way")


# Tasks


@workload("sleep(0), 1 task", unit=BATCH, short=True)
async def sleep0_one(env: Environment, n: int) -> None:
    """One task giving way again and again, nobody else there."""
    sleep = env.aio.sleep
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    for wanted in range(1, n // BATCH + 1):
        env.loop.call_soon(turn)
        await sleep(0)
        expect(turns == wanted, "sleep(0) came back without a turn of the loop")
        for _ in range(BATCH - 1):
            await sleep(0)


@workload("sleep(0), 100 tasks", unit=200)
async def sleep0_hundred(env: Environment, n: int) -> None:
    """A hundred tasks taking turns."""
    sleep = env.aio.sleep
    rounds = n // 100
    steps = 0

    async def member() -> int:
        nonlocal steps
        for _ in range(rounds):
            steps += 1
            await sleep(0)
        return steps

    tasks = [env.loop.create_task(member()) for _ in range(100)]
    # In fair turns, all have made their last step before the first is back from its last sleep.
    for task in tasks:
        expect(await task == n, "the tasks did not take turns")


@workload("create_task + await, one by one", unit=BATCH, short=True)
async def task_one(env: Environment, n: int) -> None:
    """A task is created and awaited before the next one."""
    create_task = env.loop.create_task
    ran = 0

    async def child() -> None:
        nonlocal ran
        ran += 1

    for wanted in range(BATCH, n + 1, BATCH):
        for _ in range(BATCH):
            await create_task(child())
        expect(ran == wanted, f"{ran} tasks ran, {wanted} were awaited")


@workload("create_task x 1,000, then await", unit=BATCH, short=True)
async def task_burst(env: Environment, n: int) -> None:
    """A thousand tasks are created before the first of them runs."""
    create_task = env.loop.create_task
    ran = 0

    async def child() -> None:
        nonlocal ran
        ran += 1

    for wanted in range(BATCH, n + 1, BATCH):
        tasks = [create_task(child()) for _ in range(BATCH)]
        expect(ran == wanted - BATCH, "create_task ran its coroutine at once")
        for task in tasks:
            await task
        expect(ran == wanted, f"{ran} tasks ran, {wanted} were awaited")


@workload("gather of 1,000", unit=BATCH)
async def gather_thousand(env: Environment, n: int) -> None:
    """Per coroutine given to gather()."""
    gather = env.aio.gather
    expected = list(range(BATCH))

    async def child(value: int) -> int:
        return value

    for _ in range(n // BATCH):
        results = await gather(*[child(value) for value in expected])
        expect(results == expected, "gather returned other results or another order")


@workload("100,000 tasks in sleep(0.1 to 10 ms)", operations=100_000)
async def sleeping_tasks(env: Environment, n: int) -> None:
    """Many timers at once; creation, sleep and end of each task are in the figure."""
    sleep, create_task = env.aio.sleep, env.loop.create_task
    chance = random.Random(20)  # the same delays for everyone
    woke = 0

    async def sleeper(delay: float) -> None:
        nonlocal woke
        await sleep(delay)
        woke += 1

    async def watched(delay: float) -> None:
        nonlocal woke
        began = time.monotonic()
        await sleep(delay)
        woke += 1
        # Loops with a millisecond clock wake up to a millisecond early; that is not judged here.
        expect(time.monotonic() - began > delay - 0.002, "a sleep came back far too early")

    tasks = [
        create_task(sleeper(chance.uniform(0.0001, 0.01)) if each % BATCH else watched(0.01))
        for each in range(n)
    ]
    for task in tasks:
        await task
    expect(woke == n, f"{woke} of {n} tasks woke up")


# Futures and queues


@workload("future set_result ping-pong", unit=2, short=True)
async def future_ping_pong(env: Environment, n: int) -> None:
    """Two tasks, each waiting for a future that the other one sets: one hand-over per operation."""
    create_future, create_task = env.create_future, env.loop.create_task
    inbox = [create_future(), create_future()]

    async def player(own: int, other: int) -> None:
        for _ in range(n // 2):
            ball = await inbox[own]
            inbox[own] = create_future()
            inbox[other].set_result(ball + 1)

    players = [create_task(player(0, 1)), create_task(player(1, 0))]
    inbox[0].set_result(0)
    for task in players:
        await task
    expect(inbox[0].result() == n, f"the ball came back as {inbox[0].result()}, not as {n}")


@workload("Queue ping-pong", unit=2)
async def queue_ping_pong(env: Environment, n: int) -> None:
    """Two tasks and two queues: one put and one waiting get per operation."""
    create_task = env.loop.create_task
    there, back = env.aio.Queue(), env.aio.Queue()

    async def player(own: Any, other: Any) -> None:
        for _ in range(n // 2):
            ball = await own.get()
            await other.put(ball + 1)

    players = [create_task(player(there, back)), create_task(player(back, there))]
    await there.put(0)
    for task in players:
        await task
    expect(there.qsize() == 1 and back.empty(), "items lost or doubled")
    expect(there.get_nowait() == n, "the ball did not cross the net n times")


@workload("Queue(100), producer and consumer", unit=100, short=True)
async def queue_bounded(env: Environment, n: int) -> None:
    """Per item through a queue that fills up and runs dry."""
    queue = env.aio.Queue(100)

    async def produce() -> None:
        put = queue.put
        for item in range(n):
            await put(item)

    async def consume() -> None:
        get = queue.get
        for expected in range(n):
            if await get() != expected:
                raise WrongResult("items lost or out of order")

    producer = env.loop.create_task(produce())
    await consume()
    await producer
    expect(queue.empty(), "items doubled")


@workload("Queue(), 1,000 in and out", unit=BATCH)
async def queue_unbounded(env: Environment, n: int) -> None:
    """Per item through a queue that never makes anybody wait."""
    queue = env.aio.Queue()
    put, get = queue.put, queue.get
    for _ in range(n // BATCH):
        for item in range(BATCH):
            await put(item)
        expect(queue.qsize() == BATCH, "items lost or doubled")
        for expected in range(BATCH):
            if await get() != expected:
                raise WrongResult("items out of order")


@workload("PriorityQueue(100), producer and consumer", unit=100)
async def queue_priority(env: Environment, n: int) -> None:
    """Per item through a heap that fills up and runs dry."""
    queue = env.aio.PriorityQueue(100)

    async def produce() -> None:
        put = queue.put
        for item in range(n):
            await put(item * 7919 % 1009)

    producer = env.loop.create_task(produce())
    get, total, lowest = queue.get, 0, 0
    for number in range(n):
        item = await get()
        total += item
        if number % 100 == 0:
            lowest = item
        elif number % 100 == 1:  # the first of a hundred in the heap, and the second
            expect(item >= lowest, "an item before one that is lower")
    await producer
    expect(total == sum(item * 7919 % 1009 for item in range(n)), "items lost, doubled or changed")


@workload("await of a done future", unit=BATCH)
async def await_done(env: Environment, n: int) -> None:
    """Nothing to wait for: the future already has its result."""
    answer = object()
    future = env.create_future()
    future.set_result(answer)
    for _ in range(n // BATCH):
        for _ in range(BATCH):
            got = await future
        expect(got is answer, "await gave another result")


# Timers


async def _cancelled_timers_stay_silent(env: Environment) -> None:
    """One timer left alone fires, its cancelled twin does not."""
    fired: list[str] = []
    due = env.create_future()
    env.loop.call_later(0.002, fired.append, "cancelled").cancel()
    env.loop.call_later(0.002, fired.append, "kept")
    env.loop.call_later(0.004, due.set_result, None)
    await due
    expect(fired == ["kept"], f"fired: {fired}")


def _must_not_fire() -> None:
    raise WrongResult("a cancelled timer fired")


@workload("call_later(60) + cancel, 300,000 in one callback", operations=300_000, short=True)
async def timer_one_callback(env: Environment, n: int) -> None:
    """The loop gets no chance to put anything away in between."""
    call_later = env.loop.call_later
    for _ in range(n - 1):
        call_later(FAR_AWAY, _must_not_fire).cancel()
    last = call_later(FAR_AWAY, _must_not_fire)
    last.cancel()
    expect(last.cancelled(), "cancel() did not cancel")
    await _cancelled_timers_stay_silent(env)


@workload("call_later(60) + cancel, 100 to a callback", unit=100, short=True)
async def timer_hundred(env: Environment, n: int) -> None:
    """As programs do: some timeouts set and lifted in each turn."""
    call_later, call_soon = env.loop.call_later, env.loop.call_soon
    finished = env.create_future()
    left = n

    def turn() -> None:
        nonlocal left
        for _ in range(99):
            call_later(FAR_AWAY, _must_not_fire).cancel()
        last = call_later(FAR_AWAY, _must_not_fire)
        last.cancel()
        left -= 100
        if not last.cancelled():
            finished.set_exception(WrongResult("cancel() did not cancel"))
        elif left:
            call_soon(turn)
        else:
            finished.set_result(None)

    call_soon(turn)
    await finished
    expect(left == 0, "not as many turns as asked for")
    await _cancelled_timers_stay_silent(env)


@workload("the same, 1,000 in flight", unit=10_000)
async def timer_in_flight(env: Environment, n: int) -> None:
    """The oldest of a thousand pending timeouts is lifted, a new one set; 100 to a callback.

    The thousand set before and those lifted after are one thousand of the n operations.
    """
    call_later, call_soon = env.loop.call_later, env.loop.call_soon
    finished = env.create_future()
    pending: deque[asyncio.TimerHandle] = deque()
    left = n - 1000

    def turn() -> None:
        nonlocal left
        for _ in range(100):
            oldest = pending.popleft()
            oldest.cancel()
            pending.append(call_later(FAR_AWAY, _must_not_fire))
        left -= 100
        if not oldest.cancelled():
            finished.set_exception(WrongResult("cancel() did not cancel"))
        elif left:
            call_soon(turn)
        else:
            finished.set_result(None)

    pending.extend(call_later(FAR_AWAY, _must_not_fire) for _ in range(1000))
    call_soon(turn)
    try:
        await finished
    finally:
        for handle in pending:
            handle.cancel()
    expect(left == 0, "not as many turns as asked for")
    await _cancelled_timers_stay_silent(env)


# Locks and time limits


@workload("async with Lock, uncontended", unit=BATCH)
async def lock_uncontended(env: Environment, n: int) -> None:
    """Acquire and release a lock that nobody else wants."""
    lock = env.aio.Lock()
    for _ in range(n // BATCH):
        for _ in range(BATCH - 1):
            async with lock:
                pass
        async with lock:
            expect(lock.locked(), "inside `async with` the lock is not held")
        expect(not lock.locked(), "after `async with` the lock is still held")


class Ball:
    """Goes back and forth between two tasks; each looks now and then whether it is its turn."""

    def __init__(self) -> None:
        self.hits = 0

    def look(self, step: int, player: int) -> None:
        expect(self.hits == 2 * step + player, "the tasks did not take turns")


@workload("Lock, handed over", unit=2)
async def lock_hand_over(env: Environment, n: int) -> None:
    """Two tasks, each waiting for a lock that the other one releases."""
    locks, ball = [env.aio.Lock(), env.aio.Lock()], Ball()
    for lock in locks:
        await lock.acquire()

    async def player(number: int, own: Any, other: Any) -> None:
        for step in range(n // 2):
            await own.acquire()
            if step % BATCH == 1:
                ball.look(step, number)
            ball.hits += 1
            other.release()

    tasks = [env.loop.create_task(player(0, *locks)), env.loop.create_task(player(1, *locks[::-1]))]
    await env.aio.sleep(0)
    locks[0].release()
    for task in tasks:
        await task
    expect(ball.hits == n, f"{ball.hits} times handed over, not {n} times")


@workload("Semaphore, handed over", unit=2)
async def semaphore_hand_over(env: Environment, n: int) -> None:
    """Two tasks, each waiting for a unit that the other one releases."""
    semaphores, ball = [env.aio.Semaphore(0), env.aio.Semaphore(0)], Ball()

    async def player(number: int, own: Any, other: Any) -> None:
        for step in range(n // 2):
            await own.acquire()
            if step % BATCH == 1:
                ball.look(step, number)
            ball.hits += 1
            other.release()

    tasks = [
        env.loop.create_task(player(0, *semaphores)),
        env.loop.create_task(player(1, *semaphores[::-1])),
    ]
    await env.aio.sleep(0)
    semaphores[0].release()
    for task in tasks:
        await task
    expect(ball.hits == n, f"{ball.hits} times handed over, not {n} times")


@workload("Event, handed over", unit=2)
async def event_hand_over(env: Environment, n: int) -> None:
    """Two tasks, each waiting for an event that the other one sets."""
    events, ball = [env.aio.Event(), env.aio.Event()], Ball()

    async def player(number: int, own: Any, other: Any) -> None:
        for step in range(n // 2):
            await own.wait()
            own.clear()
            if step % BATCH == 1:
                ball.look(step, number)
            ball.hits += 1
            other.set()

    tasks = [
        env.loop.create_task(player(0, *events)),
        env.loop.create_task(player(1, *events[::-1])),
    ]
    await env.aio.sleep(0)
    events[0].set()
    for task in tasks:
        await task
    expect(ball.hits == n, f"{ball.hits} times handed over, not {n} times")


@workload("Condition, notify and wait", unit=2)
async def condition_hand_over(env: Environment, n: int) -> None:
    """Two tasks, each waiting until the other one notifies it, under one lock."""
    condition, ball = env.aio.Condition(), Ball()

    async def player(number: int) -> None:
        async with condition:
            for step in range(n // 2):
                if step % BATCH == 1:
                    ball.look(step, number)
                ball.hits += 1
                condition.notify()
                await condition.wait()
            condition.notify()

    for task in [env.loop.create_task(player(0)), env.loop.create_task(player(1))]:
        await task
    expect(ball.hits == n, f"{ball.hits} times notified, not {n} times")


@workload("wait_for(done future)", unit=100)
async def wait_for_done(env: Environment, n: int) -> None:
    """A time limit around something that is already there; a turn of the loop after each 100."""
    wait_for, sleep = env.aio.wait_for, env.aio.sleep
    answer = object()
    future = env.create_future()
    future.set_result(answer)
    for _ in range(n // 100):
        for _ in range(100):
            got = await wait_for(future, FAR_AWAY)
        expect(got is answer, "wait_for gave another result")
        await sleep(0)


@workload("wait_for(coroutine that yields once)", unit=BATCH)
async def wait_for_coroutine(env: Environment, n: int) -> None:
    """A time limit around a coroutine that needs one more turn of the loop."""
    wait_for, sleep = env.aio.wait_for, env.aio.sleep
    ran = 0

    async def child() -> int:
        nonlocal ran
        await sleep(0)
        ran += 1
        return ran

    for wanted in range(BATCH, n + 1, BATCH):
        for _ in range(BATCH):
            got = await wait_for(child(), FAR_AWAY)
        expect(got == ran == wanted, f"{ran} coroutines ran, {wanted} were waited for")


@workload("async with timeout(60)", unit=100)
async def timeout_unused(env: Environment, n: int) -> None:
    """A time limit around a body that needs none; a turn of the loop after each 100."""
    timeout, sleep = env.aio.timeout, env.aio.sleep
    for _ in range(n // 100):
        for _ in range(99):
            async with timeout(FAR_AWAY):
                pass
        async with timeout(FAR_AWAY) as limit:
            expect(limit.when() > env.loop.time() + 1, "the deadline is not in the future")
        expect(not limit.expired(), "a timeout that was left has expired")
        await sleep(0)


@workload("TaskGroup of 1,000", unit=BATCH)
async def task_group_thousand(env: Environment, n: int) -> None:
    """Per task of a group."""
    group_class = env.aio.TaskGroup
    ran = 0

    async def child() -> None:
        nonlocal ran
        ran += 1

    for wanted in range(BATCH, n + 1, BATCH):
        async with group_class() as group:
            for _ in range(BATCH):
                group.create_task(child())
            expect(ran == wanted - BATCH, "create_task ran its coroutine at once")
        expect(ran == wanted, f"{ran} tasks ran, {wanted} were in the groups")


@workload("wait for 100 tasks", unit=100)
async def wait_hundred(env: Environment, n: int) -> None:
    """Per task given to wait(), with a time limit."""
    wait, create_task = env.aio.wait, env.loop.create_task

    async def child() -> None:
        pass

    for _ in range(n // 100):
        done, pending = await wait([create_task(child()) for _ in range(100)], timeout=FAR_AWAY)
        expect(len(done) == 100 and not pending, "wait returned before all were done")
