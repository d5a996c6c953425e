"""A loop in a background thread, fed by a program that is not asynchronous.

`run_coroutine_threadsafe` gives a future of `concurrent.futures` to wait for, to time out or to
cancel. `call_soon_threadsafe` has the loop call a function, and gives a handle that can be
cancelled until then. Nothing else of a loop may be touched by another thread.

Runs by `aioxide.Runner` in the thread, with asyncio's names: both threads talk to the loop itself.
"""

from __future__ import annotations

from _support import LoopFactory, command_line

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Self, TypeVar

import aioxide

T = TypeVar("T")


class BackgroundLoop:
    """A context manager: a loop that runs in a thread of its own until the block ends."""

    def __init__(self, new_event_loop: LoopFactory) -> None:
        # A daemon: should Ctrl-C come before the block begins, the program does not wait for it.
        self.thread = threading.Thread(
            target=self.run, args=(new_event_loop,), name="background loop", daemon=True
        )
        self.ready = threading.Event()

    def run(self, new_event_loop: LoopFactory) -> None:
        # The runner cancels what is left unfinished, and closes the loop.
        with aioxide.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self.until_stopped())

    async def until_stopped(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        self.ready.set()
        await self.stopped.wait()

    def __enter__(self) -> Self:
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join()

    def submit(self, coro: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine in the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(coro, self.loop)


async def square(number: int) -> int:
    await asyncio.sleep(0.01)
    return number * number


async def wait_for_ever(started: threading.Event, left: list[str]) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        left.append(threading.current_thread().name)
        raise


def main(new_event_loop: LoopFactory) -> None:
    print("a loop runs in the background")
    called: list[str] = []
    with BackgroundLoop(new_event_loop) as background:
        squares = [background.submit(square(number)) for number in range(10)]
        print(f"squares {[each.result() for each in squares]}")

        # The loop is kept busy, so that the handle's call is still to come when it is cancelled.
        go_on = threading.Event()
        try:
            background.loop.call_soon_threadsafe(go_on.wait)
            handle = background.loop.call_soon_threadsafe(called.append, "cancelled in time")
            background.loop.call_soon_threadsafe(called.append, "not cancelled")
            handle.cancel()
        finally:
            go_on.set()

        started = threading.Event()
        endless = background.submit(wait_for_ever(started, called))
        started.wait()
        try:
            endless.result(timeout=0.01)
        except TimeoutError:
            print("no result yet; the coroutine still runs")
        endless.cancel()
        try:
            endless.result()
        except CancelledError:
            print("cancelled from this thread")
    print(f"what the loop was told: {called}")
    print(f"the thread has ended: {not background.thread.is_alive()}")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        main(loop_factory)
