"""Many loops in many threads start processes at once, and do not notice each other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from helpers import Implementation, open_fds

# The filters of warnings are changed by asyncio itself, in all threads at once, at each spawn.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PIPE = subprocess.PIPE
LOOPS = 4


def in_threads(
    implementation: Implementation, body: Callable[[int], Coroutine[Any, Any, Any]]
) -> list[Any]:
    """Run a coroutine function in a loop of its own in each of some threads."""
    ends: list[Any] = [None] * LOOPS

    def run(number: int) -> None:
        try:
            with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
                together.wait()
                ends[number] = runner.run(body(number))
        except BaseException as error:
            ends[number] = error

    together = threading.Barrier(LOOPS)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.slow
def test_a_thousand_short_processes(implementation: Implementation) -> None:
    """250 from each of 4 loops in 4 threads; after them not a descriptor more is open."""
    before = open_fds()

    async def one(number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f"exit {number % 200}", stdin=subprocess.DEVNULL
        )
        return await process.wait()

    async def body(loop_number: int) -> list[int]:
        numbers = iter(range(loop_number, 250 + loop_number))
        ends = []

        async def worker() -> None:
            for number in numbers:
                assert await one(number) == number % 200
                ends.append(number)

        await asyncio.gather(*(worker() for _ in range(8)))
        return sorted(ends)

    ends = in_threads(implementation, body)
    assert ends == [list(range(number, 250 + number)) for number in range(LOOPS)]
    assert open_fds() == before


def test_everybody_s_output_is_their_own(implementation: Implementation) -> None:
    async def one(text: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        out, _ = await process.communicate(text)
        assert process.returncode == 0
        return out

    async def body(number: int) -> list[bytes]:
        texts = [b"%d %d " % (number, each) * 5000 for each in range(10)]
        assert await asyncio.gather(*map(one, texts)) == texts
        return texts[:1]

    assert in_threads(implementation, body) == [[b"%d 0 " % each * 5000] for each in range(LOOPS)]


def test_failures_in_between(implementation: Implementation) -> None:
    """Nothing of a process that could not be started is left, whoever starts others meanwhile."""

    async def body(number: int) -> list[int]:
        ends = []
        for _ in range(15):
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/no/such/program", stdin=PIPE, stdout=PIPE)
            with pytest.raises(NotADirectoryError):
                await asyncio.create_subprocess_exec("true", cwd="/etc/passwd", stderr=PIPE)
            process = await asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE)
            process.send_signal(signal.SIGUSR1 if number % 2 else signal.SIGTERM)
            ends.append(await process.wait())
        return ends

    kinds = [-signal.SIGTERM, -signal.SIGUSR1]
    assert in_threads(implementation, body) == [[kinds[number % 2]] * 15 for number in range(LOOPS)]


def test_loops_that_come_and_go(implementation: Implementation) -> None:
    """A process belongs to the loop that started it, not to the one that is made next."""

    async def one() -> int:
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3")
        return await process.wait()

    def run(_: int) -> list[int]:
        ends = []
        for _ in range(10):
            with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
                ends.append(runner.run(one()))
        return ends

    async def body(number: int) -> list[int]:
        return await asyncio.to_thread(run, number)

    assert in_threads(implementation, body) == [[3] * 10] * LOOPS


@pytest.mark.aioxide_only  # asyncio needs a watcher of the main thread's there on some versions
def test_a_loop_beside_one_with_signal_handlers(implementation: Implementation) -> None:
    """Whoever handles SIGCHLD in the main thread takes nothing from the loops in others."""
    seen = []
    loop = implementation.new_event_loop()
    loop.add_signal_handler(signal.SIGCHLD, lambda: seen.append(os.getpid()))

    async def body(number: int) -> int:
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {number}")
        return await process.wait()

    ends = loop.run_until_complete(asyncio.to_thread(in_threads, implementation, body))
    loop.run_until_complete(loop.shutdown_default_executor())
    assert ends == list(range(LOOPS))
    assert seen
    assert loop.remove_signal_handler(signal.SIGCHLD)
    loop.close()
