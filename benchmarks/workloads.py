"""Callbacks, tasks, futures and queues; and the table of all scheduling workloads.

All callbacks and coroutines are Python functions, because that is what users schedule.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import lock_workloads
import timer_workloads
from workload import BATCH, Table, WrongResult, expect

if TYPE_CHECKING:
    from implementations import Environment

WORKLOADS = Table()


@WORKLOADS.workload("call_soon chain", short=True)
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


@WORKLOADS.workload("call_soon burst of 100,000", unit=100_000, short=True)
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


@WORKLOADS.workload("call_soon(f, arg), 1,000 at a time", unit=BATCH)
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


@WORKLOADS.workload("sleep(0), 1 task", unit=BATCH, short=True)
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


@WORKLOADS.workload("sleep(0), 100 tasks", unit=200)
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


@WORKLOADS.workload("create_task + await, one by one", unit=BATCH, short=True)
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


@WORKLOADS.workload("create_task x 1,000, then await", unit=BATCH, short=True)
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


@WORKLOADS.workload("gather of 1,000", unit=BATCH)
async def gather_thousand(env: Environment, n: int) -> None:
    """Per coroutine given to gather()."""
    gather = env.aio.gather
    expected = list(range(BATCH))

    async def child(value: int) -> int:
        return value

    for _ in range(n // BATCH):
        results = await gather(*[child(value) for value in expected])
        expect(results == expected, "gather returned other results or another order")


@WORKLOADS.workload("100,000 tasks in sleep(0.1 to 10 ms)", operations=100_000)
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


@WORKLOADS.workload("future set_result ping-pong", unit=2, short=True)
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


@WORKLOADS.workload("Queue ping-pong", unit=2)
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


@WORKLOADS.workload("Queue(100), producer and consumer", unit=100, short=True)
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


@WORKLOADS.workload("Queue(), 1,000 in and out", unit=BATCH)
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


@WORKLOADS.workload("PriorityQueue(100), producer and consumer", unit=100)
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


@WORKLOADS.workload("await of a done future", unit=BATCH)
async def await_done(env: Environment, n: int) -> None:
    """Nothing to wait for: the future already has its result."""
    answer = object()
    future = env.create_future()
    future.set_result(answer)
    for _ in range(n // BATCH):
        for _ in range(BATCH):
            got = await future
        expect(got is answer, "await gave another result")


WORKLOADS.update(timer_workloads.WORKLOADS)
WORKLOADS.update(lock_workloads.WORKLOADS)
