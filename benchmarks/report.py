"""What a finished run says: a table for the terminal, and a record with every raw value."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import machine
from spread import figure, paired_ratio, spread, times

if TYPE_CHECKING:
    import argparse

    from benchmark import Benchmark
    from harness import Cell, Cells

HERE = Path(__file__).resolve().parent
QUIET = 0.1
"""Share of the machine that others may use before a table says that it is doubtful."""
LOADED = 0.9
"""Share of its core that a load may need before a row says that it is doubtful."""
ABSENT = "NotImplementedError"
"""How a loop says that it does not have this."""
OURS = ("asyncio", "aioxide")
"""A failure of these ends a run with status 1; one of a peer is reported."""


@dataclass(frozen=True)
class Report:
    """Everything a finished run says, as table and as record."""

    benchmark: Benchmark
    titles: Mapping[str, str]
    cells: Cells
    missing: Mapping[str, str]
    settings: Mapping[str, Any]
    where: Mapping[str, Any]
    neighbours: Mapping[str, Any]
    interrupted: bool = False

    def base(self, row: str) -> Sequence[float | None]:
        cell = self.cells[row].get(self.benchmark.baseline)
        return cell.figures(self.benchmark.key) if cell else []

    @staticmethod
    def overloaded(cell: Cell) -> bool:
        """Whether the load may have been slower than what it loaded."""
        share = spread([None if each is None else each.get("load_share") for each in cell.rounds])
        return share is not None and share.median > LOADED

    def errors(self) -> list[str]:
        return [
            f"{row} on {column}: {cell.error}"
            for row, columns in self.cells.items()
            for column, cell in columns.items()
            if cell.error and not cell.error.startswith(ABSENT)
        ]

    def failed(self) -> bool:
        """Whether something failed that has to work; what a peer lacks is only told."""
        return any(
            cell.error and column.startswith(OURS)
            for columns in self.cells.values()
            for column, cell in columns.items()
        )

    def record(self) -> dict[str, Any]:
        rows = []
        for row, columns in self.cells.items():
            measured = {}
            for column, cell in columns.items():
                figures = cell.figures(self.benchmark.key)
                own, ratio = spread(figures), paired_ratio(self.base(row), figures)
                measured[column] = {
                    self.benchmark.key: own.as_dict() if own else None,
                    f"ratio_over_{self.benchmark.baseline}": ratio.as_dict() if ratio else None,
                    "error": cell.error,
                    "rounds": cell.rounds,
                }
            rows.append({"name": row, "title": self.titles[row], "implementations": measured})
        return {
            "benchmark": self.benchmark.name,
            "title": self.benchmark.title,
            "about": self.benchmark.about,
            "key": self.benchmark.key,
            "unit": self.benchmark.unit,
            "baseline": self.benchmark.baseline,
            "floor": self.benchmark.floor,
            "detail": dataclasses.asdict(self.benchmark.detail) if self.benchmark.detail else None,
            "legend": self.benchmark.legend,
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
            return ("not there", "") if cell.error.startswith(ABSENT) else ("failed", "see below")
        figures = cell.figures(self.benchmark.key)
        own = spread(figures)
        if own is None:
            return "", ""
        first = f"{figure(own.median)} {self.benchmark.unit}"
        if self.overloaded(cell):
            first += " *"
        if self.benchmark.detail is not None:
            first += f" {self.benchmark.detail.of(cell.rounds)}"
        ratio = paired_ratio(self.base(row), figures)
        if ratio is None or column == self.benchmark.baseline:
            return first, f"{figure(own.low)} to {figure(own.high)}"
        return first, f"{times(ratio.median)}x ({times(ratio.low)} to {times(ratio.high)})"

    def table(self) -> tuple[list[str], list[list[tuple[str, str]]]]:
        columns: list[str] = []
        for cells in self.cells.values():
            columns += [column for column in cells if column not in columns]
        body = [
            [(self.titles[row], ""), *(self.text_of(row, column) for column in columns)]
            for row in self.cells
        ]
        return ["", *columns], body


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


def publish(report: Report, options: argparse.Namespace, out: TextIO | None = None) -> int:
    """Table, remarks and record; the exit status, 1 if a measurement of ours failed."""
    out = out or (sys.stderr if options.json == "-" else sys.stdout)
    out.write(machine.short_description(dict(report.where)) + "\n")
    print_table(*report.table(), out)
    ratio = (
        f"times less than {report.benchmark.baseline}, paired by round: median (lowest to highest)"
    )
    out.write(
        f"First line: {report.benchmark.legend}, median of the rounds. Second line: {ratio}.\n"
    )
    if any(report.overloaded(cell) for row in report.cells.values() for cell in row.values()):
        out.write(f"* The load generator used more than {LOADED:.0%} of its core.\n")
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
        target = HERE / "records" / f"{report.benchmark.name}-{version}-{day}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        out.write(f"record: {target}\n")
    return 1 if report.failed() else 0
