"""The tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from rich import box
    from rich.table import Table
except ModuleNotFoundError:
    from .plain import Table, box  # type: ignore[assignment, no-redef]

from .results import CONNECTIONS, CPU, IN_FLIGHT, MEMORY, RATE, WALL
from .wording import factor, number

if TYPE_CHECKING:
    from .results import Metric, Results, Variant
    from .scheduling import Row, Scheduling


def crawl_table(results: Results) -> Table:
    """A row for each way on each loop: the median of each metric, and its lines of code."""
    table = Table(
        title="The crawl (medians of the rounds)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    table.add_column("way", style="bold", no_wrap=True)
    table.add_column("on", no_wrap=True)
    heads = (
        "wall\ns",
        "per\nsecond",
        "CPU\ns",
        "peak\nMiB",
        "sockets",
        "in\nflight",
        "code\nlines",
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    before = None
    for variant in results.runs:
        title = variant.way.title if variant.way is not before else ""
        before = variant.way
        table.add_row(title, variant.loop or "", *cells(results, variant), _lines(variant, title))
    for variant in results.failed:
        table.add_row(variant.way.title, variant.loop or "", "[red]failed[/red]")
    return table


def cells(results: Results, variant: Variant) -> list[str]:
    """The figures of a row."""

    def median(metric: Metric) -> float:
        return results.spread(variant, metric).median

    measured = [number(median(metric)) for metric in (WALL, RATE, CPU, MEMORY)]
    return [*measured, *(f"{median(metric):.0f}" for metric in (CONNECTIONS, IN_FLIGHT))]


def _lines(variant: Variant, title: str) -> str:
    return str(variant.way.lines()) if title else ""


def scheduling_table(scheduling: Scheduling) -> Table:
    """A row per workload: CPU nanoseconds per operation, with the factor over uvloop."""
    names = columns(scheduling.rows)
    title = "Scheduling (CPU ns per operation; below: times as fast as uvloop)"
    table = Table(title=title, title_justify="left")
    table.add_column("workload", style="bold")
    for name in names:
        table.add_column(name, justify="right")
    for row in scheduling.rows:
        table.add_row(row.title, *(_figures(row, name) for name in names))
    return table


def columns(rows: list[Row]) -> list[str]:
    """Every implementation that has a figure somewhere, in the order of the record."""
    return list(dict.fromkeys(name for row in rows for name in row.nanoseconds))


def _figures(row: Row, name: str) -> str:
    if name not in row.nanoseconds:
        return "[red]failed[/red]"
    text = number(row.nanoseconds[name])
    if name == "uvloop" or name not in row.ratios:
        return text
    return f"{text}\n[dim]{factor(row.ratios[name])}[/dim]"
