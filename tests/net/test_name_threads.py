"""Threads that look up names end with their loop, as those of asyncio's executor do."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation


def threads() -> set[str]:
    """Return the thread ids of this process, whoever started the threads."""
    return {entry.name for entry in Path("/proc/self/task").iterdir()}


def left_over(before: set[str]) -> set[str]:
    """Return the ids of new threads, once the kernel has removed those that have been joined."""
    end = time.monotonic() + 2  # far less than an idle thread lives
    while (left := threads() - before) and time.monotonic() < end:
        time.sleep(0.001)
    return left


async def look_up(count: int) -> None:
    """Ask for some names at once, then once more."""
    loop = asyncio.get_running_loop()
    for _ in range(2):
        await asyncio.gather(*(loop.getaddrinfo("localhost", 80 + port) for port in range(count)))
        await loop.getnameinfo(("127.0.0.1", 80))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("count", [1, 8])
def test_lookups(implementation: Implementation, debug: bool, count: int) -> None:
    before = threads()
    with asyncio.Runner(loop_factory=implementation.new_event_loop, debug=debug) as runner:
        runner.run(look_up(count))
    assert left_over(before) == set()
    assert not [thread for thread in threading.enumerate() if thread.name == "aioxide-names"]


def test_a_replaced_function(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = threads()
    with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
        loop = runner.get_loop()
        for host in ("one", "two"):
            assert runner.run(loop.getaddrinfo(host, 1)) == []
    assert left_over(before) == set()
    assert asked == ["one", "two"]


def test_threads_of_another_loop_come_again(implementation: Implementation) -> None:
    """A loop that closes ends the idle threads; one that goes on gets new ones."""
    with asyncio.Runner(loop_factory=implementation.new_event_loop, debug=True) as outer:
        outer.run(look_up(3))
        with asyncio.Runner(loop_factory=implementation.new_event_loop, debug=True) as inner:
            inner.run(look_up(3))
        outer.run(look_up(3))


@pytest.mark.aioxide_only  # asyncio waits for its executor's threads, up to five minutes
def test_a_lookup_that_hangs_does_not_hold_up_the_end(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        begun.set()
        go_on.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = threads()
    with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
        loop = runner.get_loop()

        async def body() -> None:
            task = asyncio.create_task(loop.getaddrinfo("slow", 1))
            while not begun.is_set():  # set by a thread
                await asyncio.sleep(0.001)
            task.cancel()

        runner.run(body())
    assert threads() - before
    go_on.set()
    assert left_over(before) == set()
