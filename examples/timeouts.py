"""Timeouts and cancellation: what ends a task from outside, and how it ends well.

Cancelling throws `CancelledError` into a task where it waits. It may clean up in `finally`, and
should let the exception go on. `timeout` and `wait_for` are cancellations with a deadline, and turn
them into `TimeoutError`. `shield` protects what must not be interrupted.

Runs by `aioxide.run` with asyncio's names: cancelling is the Task's affair, and the Task is ours.
"""

from __future__ import annotations

from _support import command_line

import asyncio

import aioxide


async def slow(log: list[str]) -> str:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)  # tidying up may wait as well
        log.append("tidied up")
    return "done"


async def with_a_deadline() -> None:
    """`wait_for` is for one awaitable, `timeout` for a block, which may be given more time."""
    log: list[str] = []
    try:
        await asyncio.wait_for(slow(log), 0.01)
    except TimeoutError:
        print(f"wait_for: timed out, {log}")

    log = []
    try:
        async with asyncio.timeout(0.01) as deadline:
            deadline.reschedule(asyncio.get_running_loop().time() + 0.02)
            await slow(log)
    except TimeoutError:
        print(f"timeout: timed out, {log}, expired {deadline.expired()}")


async def from_outside() -> None:
    """Who waits for a cancelled task gets the exception."""
    log: list[str] = []
    task = asyncio.create_task(slow(log))
    await asyncio.sleep(0)
    task.cancel("no longer needed")
    try:
        await task
    except asyncio.CancelledError as error:
        print(f"cancel: {error}, {log}, cancelled {task.cancelled()}")


async def shielded() -> None:
    """The waiting is cancelled, the payment is not."""
    confirmed = asyncio.Event()

    async def payment() -> str:
        await confirmed.wait()
        return "paid"

    paying = asyncio.create_task(payment())
    try:
        async with asyncio.timeout(0.01):
            await asyncio.shield(paying)
    except TimeoutError:
        print(f"shield: timed out, but still paying: {not paying.done()}")
    confirmed.set()
    print(f"shield: {await paying}")


async def swallowed() -> None:
    """A task that survives its cancellation has to say so, or timeouts around it go wrong."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            requests, left = task.cancelling(), task.uncancel()
            return f"asked {requests} time to end, {left} requests left"
        return "not cancelled"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    print(f"uncancel: {await task}")


async def together() -> None:
    """One task of a group fails: the others are cancelled, and the block raises."""
    log: list[str] = []

    async def failing() -> None:
        raise OSError("disk full")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow(log))
            group.create_task(failing())
            await asyncio.sleep(60)  # the block itself is cancelled, too
    except* OSError as errors:
        print(f"TaskGroup: {errors.exceptions[0]}, {log}")


async def main() -> None:
    print("ends of tasks")
    for part in (with_a_deadline, from_outside, shielded, swallowed, together):
        await part()


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
