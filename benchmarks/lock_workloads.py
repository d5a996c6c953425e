"""Locks and what resembles them, limits of time, and waiting for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workload import BATCH, Table, expect

if TYPE_CHECKING:
    from implementations import Environment

FAR_AWAY = 60.0
WORKLOADS = Table()


@WORKLOADS.workload("async with Lock, uncontended", unit=BATCH)
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


@WORKLOADS.workload("Lock, handed over", unit=2)
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


@WORKLOADS.workload("Semaphore, handed over", unit=2)
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


@WORKLOADS.workload("Event, handed over", unit=2)
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


@WORKLOADS.workload("Condition, notify and wait", unit=2)
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


@WORKLOADS.workload("wait_for(done future)", unit=100)
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


@WORKLOADS.workload("wait_for(coroutine that yields once)", unit=BATCH)
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


@WORKLOADS.workload("async with timeout(60)", unit=100)
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


@WORKLOADS.workload("TaskGroup of 1,000", unit=BATCH)
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


@WORKLOADS.workload("wait for 100 tasks", unit=100)
async def wait_hundred(env: Environment, n: int) -> None:
    """Per task given to wait(), with a time limit."""
    wait, create_task = env.aio.wait, env.loop.create_task

    async def child() -> None:
        pass

    for _ in range(n // 100):
        done, pending = await wait([create_task(child()) for _ in range(100)], timeout=FAR_AWAY)
        expect(len(done) == 100 and not pending, "wait returned before all were done")
