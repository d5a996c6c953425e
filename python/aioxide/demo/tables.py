"""The tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .rounds import METRICS

if TYPE_CHECKING:
    from .rounds import Metric, Results
    from .scheduling import Row, Scheduling

BASELINE = "asyncio"


def crawl_table(results: Results) -> Table:
    """A row per implementation: the median of each metric, with the factor over asyncio."""
    table = Table(title="The crawl (median of the rounds)", title_justify="left")
    table.add_column("on", style="bold")
    for metric in METRICS:
        table.add_column(f"{metric.name}\n{metric.unit}", justify="right")
    for name in results.runs:
        table.add_row(name, *(_cell(results, name, metric) for metric in METRICS))
    return table


def _cell(results: Results, name: str, metric: Metric) -> str:
    figure = results.spread(name, metric).median
    text = number(figure)
    if name == BASELINE or BASELINE not in results.runs:
        return text
    baseline = results.spread(BASELINE, metric).median
    return f"{text}\n[dim]{factor(figure / baseline)}[/dim]"


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


def number(value: float) -> str:
    """With as many decimals as three digits leave room for."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def factor(value: float) -> str:
    return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"
