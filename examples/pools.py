"""Work for threads and processes: `as_completed`, `wait`, callbacks, and what blocks.

A call that blocks, or that computes, would stop the loop. `to_thread` and `run_in_executor` hand it
to a pool and give something to await. Threads are for what waits; processes are for Python code
that computes, since each has a GIL of its own.

Runs by `aioxide.run` with asyncio's names: executors are the loop's affair.
"""

from __future__ import annotations

from _support import command_line, process_pool

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import aioxide


def collatz(start: int) -> tuple[int, int]:
    """Of the thousand numbers from `start`, the one with the longest way to 1, and its length."""
    best = (0, 0)
    for number in range(start, start + 1000):
        at, steps = number, 0
        while at != 1:
            at = at // 2 if at % 2 == 0 else 3 * at + 1
            steps += 1
        best = max(best, (steps, number))
    return best[1], best[0]


def blocking(barrier: threading.Barrier, name: str) -> str:
    """Wait until as many threads are here as the barrier is for."""
    barrier.wait()
    return f"{name} in {threading.current_thread().name.rstrip('_0123456789')}"


async def in_threads() -> None:
    """All of them wait at once, and the loop does not."""
    loop = asyncio.get_running_loop()
    barrier = threading.Barrier(4)
    told: list[str] = []
    with ThreadPoolExecutor(4, thread_name_prefix="pool") as pool:
        calls = [loop.run_in_executor(pool, blocking, barrier, name) for name in "abcd"]
        for call in calls:
            call.add_done_callback(lambda done: told.append(done.result()))
        await asyncio.wait(calls)  # callbacks run in the order in which they were added
    print(f"threads: {sorted(told)}")


async def in_processes() -> None:
    """Take results as they come, in whatever order."""
    loop = asyncio.get_running_loop()
    with process_pool(2) as pool:
        calls = [loop.run_in_executor(pool, collatz, start) for start in range(1, 8000, 1000)]
        longest, steps = 0, 0
        for call in asyncio.as_completed(calls):
            number, length = await call
            if length > steps:
                longest, steps = number, length
        print(f"processes: below 8001, {longest} has the longest way to 1, {steps} steps")


async def first_of_many() -> None:
    """Stop waiting at the first result; threads cannot be interrupted, but they can be asked."""
    enough = threading.Event()
    stopped: list[int] = []

    def search(number: int) -> int:
        if number != 2:
            enough.wait()
            stopped.append(number)
        return number

    searches = [asyncio.create_task(asyncio.to_thread(search, number)) for number in range(4)]
    try:
        done, pending = await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
        print(f"first: {[task.result() for task in done]}, {len(pending)} still search")
    finally:
        enough.set()  # also if this task is cancelled: the end of the loop waits for its threads
    await asyncio.wait(pending)
    print(f"asked to stop: {sorted(stopped)}")


async def main() -> None:
    print("pools of threads and of processes")
    await in_threads()
    await in_processes()
    await first_of_many()


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
