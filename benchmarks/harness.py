"""Alternation: how the implementations of a row take turns.

The rule of measuring: implementations take turns, by rounds in fresh processes and within a round
by short slices (A B C, A B C, ...), and a ratio is formed only between figures of the same row in
the same round. Noise then meets all alike; what is left of it shows as spread between the rounds.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from child import Failed

Values = Mapping[str, Any]


@dataclass
class Cell:
    """All rounds of one implementation in one row; a round that gave nothing is None."""

    rounds: list[Values | None] = field(default_factory=list)
    error: str | None = None

    def figures(self, key: str) -> list[float | None]:
        return [None if each is None else float(each[key]) for each in self.rounds]


Cells = dict[str, dict[str, Cell]]


Round = Callable[[str, Sequence[str]], Iterator[tuple[str, "Values | Failed"]]]
"""Measures a row once on each of these implementations."""


class Session(Protocol):
    """An implementation under one row, opened and warm: it sleeps except during its slices."""

    def slice(self) -> None:
        """Do the row's work for a short time, add up what it took."""

    def result(self) -> Values:
        """What all slices took."""


def in_slices(
    open_session: Callable[[contextlib.ExitStack, str, str], Session], slices: Callable[[str], int]
) -> Round:
    """A round in which the implementations run slice by slice in turns.

    What disturbs a machine lasts longer than a slice, so that it meets all of them alike.
    """

    def measure_round(row: str, columns: Sequence[str]) -> Iterator[tuple[str, Values | Failed]]:
        sessions: dict[str, Session] = {}
        failed: dict[str, Failed] = {}
        with contextlib.ExitStack() as stack:
            for column in columns:
                try:
                    sessions[column] = open_session(stack, row, column)
                except Failed as error:
                    failed[column] = error
            for _ in range(slices(row)):
                for column in [each for each in sessions if each not in failed]:
                    try:
                        sessions[column].slice()
                    except Failed as error:
                        failed[column] = error
        for column in columns:
            yield column, failed.get(column) or sessions[column].result()

    return measure_round


def alternate(
    rows: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    rounds: int,
    measure_round: Round,
    progress: Progress,
) -> Cells:
    """Measure each row on each of its columns, round by round.

    What failed once is not tried again. An interrupt ends the measuring, not the report.
    """
    cells: Cells = {row: {column: Cell() for column in columns[row]} for row in rows}
    try:
        for turn in range(rounds):
            for row in rows:
                progress.step(turn, row)
                sound = [column for column, cell in cells[row].items() if cell.error is None]
                outcomes = dict.fromkeys(cells[row], None) | dict(measure_round(row, sound))
                for column, cell in cells[row].items():
                    outcome = outcomes[column]
                    if isinstance(outcome, Failed):
                        cell.error, outcome = str(outcome), None
                    cell.rounds.append(outcome)
    except KeyboardInterrupt:
        progress.interrupted = True
        progress.note("interrupted: what follows is what was measured until then")
    finally:
        progress.close()
    return cells


class Progress:
    """Where the run is: a line that rewrites itself on a terminal, one per round elsewhere."""

    def __init__(self, steps: int, rounds: int, stream: TextIO = sys.stderr) -> None:
        self._steps, self._rounds, self._stream = steps, rounds, stream
        self._done, self._turn = 0, -1
        self._live = stream.isatty()
        self.interrupted = False

    def step(self, turn: int, row: str) -> None:
        if self._live:
            share = 100 * self._done // max(1, self._steps)
            line = f"{share:3d} %  round {turn + 1} of {self._rounds}  {row}"
            self._stream.write(f"\r\x1b[K{line}")
        elif turn != self._turn:
            self._stream.write(f"round {turn + 1} of {self._rounds}\n")
        self._turn = turn
        self._done += 1
        self._stream.flush()

    def note(self, text: str) -> None:
        self.close()
        self._stream.write(text + "\n")

    def close(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
