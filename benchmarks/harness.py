"""What the benchmarks share: options, alternation, paired ratios, table and record.

The rule of measuring: implementations take turns, by rounds in fresh processes and within a round
by short slices (A B C, A B C, ...), and a ratio is formed only between figures of the same row in
the same round. Noise then meets all alike; what is left of it shows as spread between the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import machine
from child import Failed, run_python
from implementations import IMPLEMENTATIONS

HERE = Path(__file__).resolve().parent
SLICES, QUICK_SLICES = 10, 5
ROUNDS, QUICK_ROUNDS = 5, 3
BASELINE = "uvloop"
QUIET = 0.1
"""Share of the machine that others may use before a table says that it is doubtful."""

Values = Mapping[str, Any]


# Alternation


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


# Statistics


@dataclass(frozen=True)
class Spread:
    """Median of some figures with the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread | None:
        if not figures:
            return None
        return cls(statistics.median(figures), min(figures), max(figures))

    def as_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("median", "low", "high")}


def spread(figures: Sequence[float | None]) -> Spread | None:
    return Spread.of([each for each in figures if each is not None])


def paired_ratio(
    baseline: Sequence[float | None], figures: Sequence[float | None]
) -> Spread | None:
    """How many times less than the baseline, formed within each round that has both."""
    return Spread.of(
        [
            base / figure
            for base, figure in zip(baseline, figures, strict=False)
            if base is not None and figure
        ]
    )


# Options


def options_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "-w", "--workload", action="append", metavar="GLOB", help="only rows of this name"
    )
    parser.add_argument(
        "-i", "--impl", action="append", metavar="NAME", help="only these implementations"
    )
    parser.add_argument("--rounds", type=int, help="rounds of alternation (5, quick 3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement")
    parser.add_argument("--quick", action="store_true", help="few rows, short measurements")
    parser.add_argument(
        "--cpu", type=int, help="core to pin the measured process to (default: the last allowed)"
    )
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--json", metavar="PATH", help="write the record there, - for stdout")
    parser.add_argument(
        "--record", action="store_true", help="write the record into benchmarks/records"
    )
    return parser


def select(patterns: Sequence[str] | None, names: Sequence[str], what: str) -> list[str]:
    """The names that match one of the patterns, in their own order; all without patterns."""
    for pattern in patterns or ():
        if not fnmatch.filter(names, pattern):
            raise SystemExit(f"no {what} is called {pattern!r}; there are: {', '.join(names)}")
    return [
        name for name in names if not patterns or any(fnmatch.fnmatch(name, p) for p in patterns)
    ]


def available(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Which implementations run here, and why the others do not."""
    here: list[str] = []
    missing: dict[str, str] = {}
    for name in wanted:
        if IMPLEMENTATIONS[name].version() is None:
            missing[name] = "not installed"
            continue
        try:
            run_python("implementations", name)
        except Failed as error:
            missing[name] = str(error)
        else:
            here.append(name)
    return here, missing


def measured_cpu(asked: int | None) -> int | None:
    """The core for the measured process; None where pinning is not allowed."""
    allowed = os.sched_getaffinity(0)
    if asked is not None and asked not in allowed:
        raise SystemExit(f"core {asked} is not one of the allowed ones: {sorted(allowed)}")
    cpu = max(allowed) if asked is None else asked
    try:
        os.sched_setaffinity(0, {cpu})
        os.sched_setaffinity(0, allowed)
    except OSError:
        return None
    return cpu


# Report


@dataclass(frozen=True)
class Report:
    """Everything a finished run says, as table and as record."""

    benchmark: str
    titles: Mapping[str, str]
    cells: Cells
    key: str
    unit: str
    missing: Mapping[str, str]
    settings: Mapping[str, Any]
    where: Mapping[str, Any]
    neighbours: Mapping[str, Any]
    legend: str
    """What a figure is."""
    detail: Callable[[Cell], str] | None = None

    def baseline(self, row: str) -> Sequence[float | None]:
        cell = self.cells[row].get(BASELINE)
        return cell.figures(self.key) if cell else []

    def errors(self) -> list[str]:
        return [
            f"{row} on {column}: {cell.error}"
            for row, columns in self.cells.items()
            for column, cell in columns.items()
            if cell.error
        ]

    def record(self) -> dict[str, Any]:
        rows = []
        for row, columns in self.cells.items():
            measured = {}
            for column, cell in columns.items():
                figures = cell.figures(self.key)
                own, ratio = spread(figures), paired_ratio(self.baseline(row), figures)
                measured[column] = {
                    self.key: own.as_dict() if own else None,
                    f"ratio_over_{BASELINE}": ratio.as_dict() if ratio else None,
                    "error": cell.error,
                    "rounds": cell.rounds,
                }
            rows.append({"name": row, "title": self.titles[row], "implementations": measured})
        return {
            "benchmark": self.benchmark,
            **self.where,
            "neighbours": self.neighbours,
            "settings": self.settings,
            "missing": self.missing,
            "rows": rows,
        }

    def text_of(self, row: str, column: str) -> tuple[str, str]:
        """The two lines of a table cell: the figure, and the ratio over the baseline."""
        cell = self.cells[row].get(column)
        if cell is None:
            return "", ""
        if cell.error is not None:
            return "failed", "see below"
        figures = cell.figures(self.key)
        own = spread(figures)
        if own is None:
            return "", ""
        digits = 0 if own.median >= 100 else 1 if own.median >= 10 else 2
        first = f"{own.median:,.{digits}f} {self.unit}"
        if self.detail is not None:
            first += f" {self.detail(cell)}"
        ratio = paired_ratio(self.baseline(row), figures)
        if ratio is None or column == BASELINE:
            return first, f"{own.low:,.{digits}f} to {own.high:,.{digits}f}"
        return first, f"{_times(ratio.median)}x ({_times(ratio.low)} to {_times(ratio.high)})"

    def table(self) -> tuple[list[str], list[list[tuple[str, str]]]]:
        columns: list[str] = []
        for cells in self.cells.values():
            columns += [column for column in cells if column not in columns]
        body = [
            [(self.titles[row], ""), *(self.text_of(row, column) for column in columns)]
            for row in self.cells
        ]
        return ["", *columns], body


def _times(ratio: float) -> str:
    digits = 0 if ratio >= 19.95 else 1 if ratio >= 9.995 else 2
    return f"{ratio:.{digits}f}"


def print_table(head: list[str], body: list[list[tuple[str, str]]], stream: TextIO) -> None:
    """With rich where it is installed, in plain columns otherwise."""
    widths = [
        max(len(head[at]), *(len(line) for row in body for line in row[at]))
        for at in range(len(head))
    ]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(head, body, widths, stream)
        return
    # Never narrower than the figures: where the terminal is, it wraps, and a pipe keeps it all.
    console = Console(file=stream, width=sum(widths) + 3 * len(widths) + 1, highlight=False)
    table = Table(show_lines=True)
    for at, name in enumerate(head):
        table.add_column(name, justify="right" if at else "left", no_wrap=True)
    for row in body:
        table.add_row(*("\n".join(line for line in cell if line) for cell in row))
    console.print(table)


def _print_plain(
    head: list[str], body: list[list[tuple[str, str]]], widths: list[int], stream: TextIO
) -> None:
    def write(cells: Sequence[str]) -> None:
        padded = [cells[0].ljust(widths[0])]
        padded += [text.rjust(width) for text, width in zip(cells[1:], widths[1:], strict=True)]
        stream.write("  ".join(padded).rstrip() + "\n")

    write(head)
    for row in body:
        write([first for first, _ in row])
        write([second for _, second in row])


def publish(report: Report, options: argparse.Namespace) -> int:
    """Table, remarks and record; the exit status, 1 if a measurement failed."""
    out = sys.stderr if options.json == "-" else sys.stdout
    out.write(machine.short_description(dict(report.where)) + "\n")
    print_table(*report.table(), out)
    ratio = f"times less than {BASELINE}, paired by round: median (lowest to highest)"
    out.write(f"First line: {report.legend}, median of the rounds. Second line: {ratio}.\n")
    neighbours = report.neighbours
    out.write(
        f"Others used {neighbours['used_by_others']:.0%} of the machine meanwhile, "
        f"its host took {neighbours['stolen']:.0%}.\n"
    )
    if neighbours["used_by_others"] > QUIET:
        out.write("That is too much to trust the figures; the ratios suffer less, see README.md.\n")
    for name, reason in report.missing.items():
        out.write(f"without {name}: {reason}\n")
    errors = report.errors()
    for error in errors:
        out.write(f"FAILED {error}\n")
    text = json.dumps(report.record(), indent=1) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
    elif options.json:
        Path(options.json).write_text(text)
    if options.record:
        version = report.where["python"]["version"]
        day = str(report.where["date"])[:10]
        target = HERE / "records" / f"{report.benchmark}-{version}-{day}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        out.write(f"record: {target}\n")
    return 1 if errors else 0
