"""Timers: those that fire, and the many that are cancelled."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from workload import Table, WrongResult, expect

if TYPE_CHECKING:
    from implementations import Environment

FAR_AWAY = 60.0
WORKLOADS = Table()


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


@WORKLOADS.workload(
    "call_later(60) + cancel, 300,000 in one callback", operations=300_000, short=True
)
async def timer_one_callback(env: Environment, n: int) -> None:
    """The loop gets no chance to put anything away in between."""
    call_later = env.loop.call_later
    for _ in range(n - 1):
        call_later(FAR_AWAY, _must_not_fire).cancel()
    last = call_later(FAR_AWAY, _must_not_fire)
    last.cancel()
    expect(last.cancelled(), "cancel() did not cancel")
    await _cancelled_timers_stay_silent(env)


@WORKLOADS.workload("call_later(60) + cancel, 100 to a callback", unit=100, short=True)
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


@WORKLOADS.workload("the same, 1,000 in flight", unit=10_000)
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
