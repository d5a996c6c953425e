"""What a workload is: one operation, repeated n times, that checks its own work.

A workload is `async def name(env, n)`, run to completion on the loop under test. It performs
exactly n operations and raises `WrongResult` when it finds out that fewer, more or other things
happened, so that a broken loop cannot look fast. Checks cost next to nothing per operation: a
counter that is needed anyway, or a look every thousandth time. What cannot be seen from inside
(a callback that never comes) shows as a hang, which the parent's time limit turns into a failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from implementations import Environment

Run = Callable[["Environment", int], Awaitable[None]]

BATCH = 1000


class WrongResult(AssertionError):
    """The loop under test did not do what the workload asked."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise WrongResult(what)


@dataclass(frozen=True)
class Workload:
    """One row of the table."""

    name: str
    title: str
    run: Run
    unit: int = 1
    """n must be a multiple of it."""
    operations: int | None = None
    """A fixed n, where the number itself is part of the workload; otherwise calibrated."""
    short: bool = False
    """Part of the short table."""
    usual: bool = True


class Table(dict[str, Workload]):
    """Workloads by name, in the order in which they were written."""

    def workload(
        self, title: str, *, unit: int = 1, operations: int | None = None, short: bool = False
    ) -> Callable[[Run], Run]:
        """Enter the function under its own name, `_` written as `-`."""

        def enter(run: Run) -> Run:
            name = run.__name__.replace("_", "-")
            self[name] = Workload(name, title, run, unit, operations, short)
            return run

        return enter
