"""The same random program of feeding, reading and cancelling, on asyncio's reader and on ours.

After each action the loop turns until nothing moves; then everything that can be seen is compared:
what every read has given, what is left, what the transport was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import Implementation, implementation, run_turns

pytestmark = pytest.mark.aioxide_only

data = st.binary(max_size=12) | st.text("ab;\n", max_size=30).map(str.encode)
reads = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 12)),
    st.tuples(st.just("readexactly"), st.integers(0, 20)),
    st.tuples(st.just("readline")),
    st.tuples(st.just("readuntil"), st.sampled_from([b";", b"a;", b"\n"])),
    st.tuples(st.just("__anext__")),
)
actions = st.one_of(
    st.tuples(st.just("feed"), data),
    st.tuples(st.just("start"), reads),
    st.tuples(st.just("start"), reads),
    st.tuples(st.just("cancel")),
    # What happens between the arrival and the step of the task that was woken.
    st.tuples(st.just("feed then cancel"), data),
    st.tuples(st.just("feed twice"), data, data),
    st.tuples(st.just("feed then end"), data),
    st.tuples(st.just("end")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("look")),
)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def seen(task: asyncio.Task[Any]) -> Any:
    """How a read has ended."""
    if not task.done():
        return "waits"
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is None:
        return task.result()
    details = [getattr(error, name, None) for name in ("partial", "expected", "consumed")]
    return type(error).__name__, str(error), details


def play(
    program: list[tuple[Any, ...]], limit: int, module: str, implementation: Implementation
) -> list[Any]:
    """Everything that can be seen of a program, action by action."""
    streams = importlib.import_module(f"{module}.streams")
    with contextlib.closing(implementation.new_event_loop()) as loop:
        reader = streams.StreamReader(limit=limit, loop=loop)
        transport = Transport()
        reader.set_transport(transport)
        tasks: list[asyncio.Task[Any]] = []
        log: list[Any] = []

        def feed(octets: bytes) -> None:
            if not reader._eof:
                reader.feed_data(octets)

        for name, *arguments in program:
            if name.startswith("feed"):
                for argument in arguments:
                    feed(argument)
            if name == "start":
                method, *rest = arguments[0]
                tasks.append(loop.create_task(getattr(reader, method)(*rest)))
            if name.endswith("cancel") and tasks:
                tasks[-1].cancel()
            if name.endswith("end"):
                reader.feed_eof()
            if name == "fail":
                reader.set_exception(OSError("gone"))
            if name == "look":
                log.append(bytes(reader._buffer))
            run_turns(loop, 6)
            log.append(([seen(task) for task in tasks], reader.at_eof(), list(transport.calls)))
        reader.feed_eof()
        run_turns(loop, 6)
        log.append([seen(task) for task in tasks])
        log.append(bytes(reader._buffer))
        return log


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.lists(actions, max_size=14), st.sampled_from([1, 4, 16, 65536]))
def test_every_step_is_the_same(program: list[tuple[Any, ...]], limit: int) -> None:
    expected = play(program, limit, "asyncio", implementation("asyncio"))
    for loop in ("aioxide", "asyncio"):
        assert play(program, limit, "aioxide", implementation(loop)) == expected
