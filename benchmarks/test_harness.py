"""Alternation: who is measured when, and what becomes of failures and interrupts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import harness
from child import Failed

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator, Sequence


class Quiet(harness.Progress):
    def __init__(self) -> None:
        super().__init__(1, 1, io.StringIO())


class Recorded:
    """A session that writes down its slices, and fails in the given one."""

    def __init__(self, log: list[str], name: str, fails_in: int) -> None:
        self.log, self.name, self.left = log, name, fails_in

    def slice(self) -> None:
        self.left -= 1
        if not self.left:
            raise Failed("a callback was lost")
        self.log.append(self.name)

    def result(self) -> harness.Values:
        return {"ns": float(self.log.count(self.name))}


def recorded(log: list[str], slices: int, fails_in: dict[str, int] | None = None) -> harness.Round:
    def open_session(_stack: contextlib.ExitStack, _row: str, column: str) -> Recorded:
        log.append(f"open {column}")
        if column == "absent":
            raise Failed("no such loop")
        return Recorded(log, column, (fails_in or {}).get(column, -1))

    return harness.in_slices(open_session, lambda _row: slices)


def test_implementations_take_turns_by_slices_and_rounds() -> None:
    log: list[str] = []
    harness.alternate(["x"], {"x": ["A", "B"]}, 2, recorded(log, 3), Quiet())
    assert log == ["open A", "open B", *["A", "B"] * 3] * 2


def test_failure_is_kept_and_not_tried_again() -> None:
    log: list[str] = []
    columns = {"x": ["A", "absent", "B"]}
    cells = harness.alternate(["x"], columns, 2, recorded(log, 3, {"B": 2}), Quiet())
    assert log == ["open A", "open absent", "open B", "A", "B", "A", "A", "open A", *["A"] * 3]
    assert cells["x"]["B"] == harness.Cell([None] * 2, "a callback was lost")
    assert cells["x"]["absent"] == harness.Cell([None] * 2, "no such loop")
    assert cells["x"]["A"].error is None


def test_interrupt_keeps_the_rounds_that_were_whole() -> None:
    rounds = 0

    def measure_round(
        _row: str, columns: Sequence[str]
    ) -> Iterator[tuple[str, harness.Values | Failed]]:
        nonlocal rounds
        rounds += 1
        yield columns[0], {"ns": 5.0}
        if rounds == 2:
            raise KeyboardInterrupt
        yield columns[1], {"ns": 5.0}

    progress = Quiet()
    cells = harness.alternate(["x"], {"x": ["A", "B"]}, 3, measure_round, progress)
    assert cells["x"]["A"].figures("ns") == cells["x"]["B"].figures("ns") == [5.0]
    assert progress.interrupted
