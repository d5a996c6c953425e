"""What a benchmark is, and how it is run: alone by its script, or with all others by suite.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import harness
import machine
import options as choices
from implementations import IMPLEMENTATIONS
from options import Lacking
from report import Report, publish

if TYPE_CHECKING:
    import argparse
    import contextlib

    from spread import Detail

SLICES, QUICK_SLICES = 10, 5
ROUNDS, QUICK_ROUNDS = 5, 3
PEERS = ("asyncio", "uvloop", "rloop", "rsloop", "zuvloop")
COLUMNS = (*PEERS, "aioxide")


class Row(Protocol):
    """What all rows have; how one is measured is known to the benchmark that it is of."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def usual(self) -> bool:
        """Measured when no row is asked for by name."""

    @property
    def short(self) -> bool:
        """The same with --quick."""


AnyRow = TypeVar("AnyRow", bound=Row)


def table(rows: Sequence[AnyRow]) -> dict[str, AnyRow]:
    """The rows by their names, which differ."""
    found = {row.name: row for row in rows}
    if len(found) < len(rows):
        raise ValueError("two rows have the same name")
    return found


@dataclass(frozen=True)
class Setting:
    """Where, and how long, one implementation is measured in one round of a row."""

    seconds: float
    slices: int
    cpu: int | None
    """Core of the measured process; None where nothing is pinned."""
    load_cpu: int | None
    """Core of the load."""
    options: argparse.Namespace

    @property
    def slice_seconds(self) -> float:
        return self.seconds / self.slices


OpenSession = Callable[["contextlib.ExitStack", Setting, Any, str], harness.Session]


@dataclass(frozen=True)
class Benchmark:
    """A table of rows that are measured in the same way."""

    name: str
    title: str
    about: str
    """What is measured, for the reader of the results: a sentence or two."""
    rows: Mapping[str, Row]
    open_session: OpenSession
    key: str
    """The figure of a round; less is better."""
    unit: str
    legend: str
    seconds: float = 1.0
    quick_seconds: float = 0.3
    columns: Sequence[str] = COLUMNS
    baseline: str = "uvloop"
    """The column that ratios are formed over."""
    floor: str | None = None
    """The column of a bare server, where there is one."""
    others: Sequence[str] = ()
    """Columns that are no implementations of an event loop."""
    has: Callable[[Any, str], bool] = lambda _row, _column: True
    """Whether a row has this column."""
    slices: Callable[[Any, int], int] = lambda _row, usual: usual
    detail: Detail | None = None
    """What stands beside the figure."""
    prepare: Callable[[], None] = lambda: None
    """Done once before anything is measured."""
    needs: Sequence[str] = ()
    """Packages that its children import."""
    loaded: bool = False
    """There is a load beside the measured process."""
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _parser: None
    """Adds options of its own."""


def chosen_rows(benchmark: Benchmark, options: argparse.Namespace) -> list[str]:
    """The rows that the options ask for; none if they are for another benchmark."""
    if options.workload:
        return choices.select(options.workload, list(benchmark.rows), "row")
    rows = benchmark.rows.items()
    return [name for name, row in rows if (row.short if options.quick else row.usual)]


def chosen_columns(
    benchmark: Benchmark, options: argparse.Namespace
) -> tuple[list[str], dict[str, str]]:
    """Which columns the options ask for and run here, and why the others do not."""
    known = [*IMPLEMENTATIONS, *benchmark.others]
    usual = [*benchmark.columns, *benchmark.others]
    if benchmark.floor:
        known.append(benchmark.floor)
        usual.append(benchmark.floor)
    wanted = choices.select(options.impl, known, "implementation") if options.impl else usual
    loops = [name for name in wanted if name in IMPLEMENTATIONS]
    here, missing = choices.available(loops)
    return [name for name in wanted if name in here or name not in IMPLEMENTATIONS], missing


def measure(benchmark: Benchmark, options: argparse.Namespace) -> Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    slices = QUICK_SLICES if options.quick else SLICES
    seconds = options.seconds or (benchmark.quick_seconds if options.quick else benchmark.seconds)
    absent = [name for name in benchmark.needs if importlib.util.find_spec(name) is None]
    if absent:
        raise Lacking(f"{benchmark.name} needs {', '.join(absent)}: install the extra 'bench'")
    names = chosen_rows(benchmark, options)
    rows = {name: benchmark.rows[name] for name in names}
    here, missing = chosen_columns(benchmark, options)
    columns = {
        name: [column for column in here if benchmark.has(row, column)]
        for name, row in rows.items()
    }
    if not any(columns.values()):
        reasons = "".join(f"; {name}: {reason}" for name, reason in missing.items())
        raise Lacking(f"none of these implementations runs here{reasons}")
    cpu, load_cpu = choices.cores(options.cpu, benchmark.loaded)
    benchmark.prepare()
    setting = Setting(seconds, slices, cpu, load_cpu, options)

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> harness.Session:
        return benchmark.open_session(stack, setting, rows[row], column)

    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    cells = harness.alternate(
        names,
        columns,
        rounds,
        harness.in_slices(open_session, lambda row: benchmark.slices(rows[row], slices)),
        progress,
    )
    return Report(
        benchmark=benchmark,
        titles={name: row.title for name, row in rows.items()},
        cells=cells,
        missing=missing,
        settings={
            "rounds": rounds,
            "seconds": seconds,
            "slices": slices,
            "cpu": cpu,
            "load_cpu": load_cpu,
            "quick": bool(options.quick),
        },
        where=machine.describe(benchmark.needs),
        neighbours=neighbours.record(),
        interrupted=progress.interrupted,
    )


def list_rows(benchmark: Benchmark) -> None:
    width = max(len(name) for name in benchmark.rows) + 2
    for name, row in benchmark.rows.items():
        remark = "short" if row.short else "" if row.usual else "only by name"
        sys.stdout.write(f"{name:{width}}{row.title:56}{remark}".rstrip() + "\n")


def main(benchmark: Benchmark, arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark as the command line asks; its exit status."""
    parser = choices.parser(f"{benchmark.title}: {benchmark.legend}, side by side.")
    benchmark.arguments(parser)
    options = parser.parse_args(arguments)
    if options.list:
        list_rows(benchmark)
        return 0
    with choices.explained():
        return publish(measure(benchmark, options), options)
