"""An exception of a callback reaches the loop's exception handler, whatever the callback did.

Each program runs on asyncio and on aioxide; both must report the same contexts, and nothing may go
to `sys.unraisablehook`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from helpers import implementation

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

SOURCES = [
    "call_soon",
    "call_soon, three arguments",
    "call_soon, five arguments",
    "call_later",
    "call_at",
    "call_soon_threadsafe",
    "reader",
    "writer",
    "signal",
    "future",
    "task",
]
ACTIONS = ["nothing", "cancel", "remove", "replace", "stop", "drop", "cancel its task"]


def normalised(value: object) -> str:
    """Leave out addresses, times and the lines that made something, in debug mode."""
    return re.sub(r"0x[0-9a-f]+|when=[\d.]+|\w+\.\.\.\w+\.py:\d+", "", repr(value))


class Program:
    """One callback that acts on what called it, and then raises."""

    def __init__(self, name: str, action: str, debug: bool) -> None:
        self.loop = implementation(name).new_event_loop()
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(self.handle)
        self.action = action
        self.contexts: list[dict[str, str]] = []
        self.handle_to_cancel: asyncio.Handle | None = None
        self.task: asyncio.Task[None] | None = None
        self.ours, self.peer = socket.socketpair()
        self.called = 0

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        context.pop("source_traceback", None)
        handle = context.pop("handle", None)
        # In debug mode its repr names the line of the implementation.
        shown = normalised(handle).partition(" created at ")[0]
        self.contexts.append({**{k: normalised(v) for k, v in context.items()}, "handle": shown})

    def fail(self, *args: object) -> None:
        self.called += 1
        loop = self.loop
        if self.action == "cancel" and self.handle_to_cancel is not None:
            self.handle_to_cancel.cancel()
        if self.action in ("remove", "replace") or self.called > 1:
            loop.remove_reader(self.ours)
            loop.remove_writer(self.ours)
            loop.remove_signal_handler(signal.SIGUSR1)
        if self.action == "replace":
            for add in (loop.add_reader, loop.add_writer):
                add(self.ours, self.fail)
        if self.action == "stop":
            loop.stop()
        if self.action == "drop":
            self.handle_to_cancel = None
        if self.action == "cancel its task" and self.task is not None:
            self.task.cancel()
        raise ValueError(args)

    def start(self, source: str) -> None:
        loop, fail = self.loop, self.fail
        calls: dict[str, Callable[[], Any]] = {
            "call_soon": lambda: loop.call_soon(fail),
            "call_soon, three arguments": lambda: loop.call_soon(fail, 1, 2, 3),
            "call_soon, five arguments": lambda: loop.call_soon(fail, 1, 2, 3, 4, 5),
            "call_later": lambda: loop.call_later(0, fail, 1),
            "call_at": lambda: loop.call_at(loop.time(), fail, 1),
            "call_soon_threadsafe": lambda: loop.call_soon_threadsafe(fail, 1),
            "reader": lambda: loop.add_reader(self.ours, fail, 1),
            "writer": lambda: loop.add_writer(self.ours, fail, 1),
            "signal": self.start_signal,
            "future": self.start_future,
            "task": self.start_task,
        }
        self.handle_to_cancel = calls[source]()
        self.peer.send(b"x")

    def start_signal(self) -> Any:
        self.loop.add_signal_handler(signal.SIGUSR1, self.fail, 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        return self.loop._signal_handlers[signal.SIGUSR1]  # type: ignore[attr-defined]

    def start_future(self) -> None:
        future = self.loop.create_future()
        future.add_done_callback(lambda future: self.fail(future.result()))
        future.set_result(1)

    def start_task(self) -> None:
        async def nothing() -> None:
            pass

        self.task = self.loop.create_task(nothing())
        self.task.add_done_callback(lambda task: self.fail(task.result()))

    def run(self, source: str) -> list[dict[str, str]]:
        async def main() -> None:
            self.start(source)
            while not self.contexts and not unraisable:
                await asyncio.sleep(0)
            self.loop.remove_reader(self.ours)
            self.loop.remove_writer(self.ours)

        unraisable: list[object] = []
        hook = sys.unraisablehook
        sys.unraisablehook = unraisable.append
        try:
            task = self.loop.create_task(main())
            while not task.done():
                self.loop.call_soon(self.loop.stop)
                self.loop.run_forever()
            task.result()
        finally:
            sys.unraisablehook = hook
            self.loop.close()
            self.ours.close()
            self.peer.close()
        assert not unraisable
        return self.contexts[:1]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_handler_gets_the_same_context(source: str, action: str, debug: bool) -> None:
    expected = Program("asyncio", action, debug).run(source)
    assert expected[0]["exception"].startswith("ValueError")
    assert Program("aioxide", action, debug).run(source) == expected
