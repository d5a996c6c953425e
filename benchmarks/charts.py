"""The charts of docs/benchmarks.md: one mark for each implementation in each row.

The axis is the ratio over uvloop, logarithmic; right of the line is better than uvloop. Colours and
a background that is transparent are chosen for light pages and dark ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spread import paired_ratio
from verdict import figures

INK = "#7d8590"
COLUMNS = {
    "asyncio": ("#8b949e", "s"),
    "uvloop": ("#3b82f6", "D"),
    "rloop": ("#a371f7", "v"),
    "zuvloop": ("#2da44e", "^"),
    "rust-epoll": ("#8b949e", "|"),
    "aioxide": ("#e8590c", "o"),
}


@dataclass(frozen=True)
class Chart:
    """One picture of some benchmarks."""

    file: str
    title: str
    benchmarks: tuple[str, ...]


CHARTS = (
    Chart("benchmarks-scheduling.png", "Callbacks, tasks, timers, primitives", ("scheduling",)),
    Chart("benchmarks-echo.png", "Echo servers", ("echo",)),
    Chart(
        "benchmarks-network.png",
        "Connections, bulk, latency, HTTP, TLS, datagrams, pipes",
        (
            "accept", "connect", "memory", "bulk", "latency", "http-servers", "http-client", "tls",
            "udp", "pipes",
        ),
    ),
)  # fmt: skip


def rows_of(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """Titles, and the median ratio over uvloop of each implementation.

    Rows of a benchmark that was measured on several Pythons say on which.
    """
    found = []
    benchmarks = [record["benchmark"] for record in records]
    for record in records:
        several = benchmarks.count(record["benchmark"]) > 1
        where = f", {record['python']['version'].rpartition('.')[0]}" if several else ""
        for row in record["rows"]:
            cells = row["implementations"]
            if record["baseline"] not in cells:
                continue
            base = figures(record, cells[record["baseline"]])
            medians = {}
            for name in COLUMNS:
                ratio = paired_ratio(base, figures(record, cells[name])) if name in cells else None
                if ratio is not None:
                    medians[name] = ratio.median
            if medians:
                found.append((row["title"] + where, medians))
    return found


def draw(chart: Chart, records: Sequence[Mapping[str, Any]], target: Path, digest: str) -> None:
    """Draw the chart; the digest of what it is made of is written into the file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = rows_of(records)
    with pyplot.rc_context(
        {
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "font.size": 9,
        }
    ):
        picture, axes_ = pyplot.subplots(figsize=(9, 0.24 * len(rows) + 1.4), layout="constrained")
        axes: Any = axes_
        for name, (colour, marker) in COLUMNS.items():
            points = [(each[name], at) for at, (_, each) in enumerate(rows) if name in each]
            if points:
                xs, ys = zip(*points, strict=True)
                size = 70 if marker == "|" else 34
                axes.scatter(xs, ys, s=size, c=colour, marker=marker, label=name, zorder=3)
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xscale("log")
        ticks = [each for each in (0.25, 0.5, 1, 2, 4, 8, 16, 32) if _within(each, rows)]
        axes.set_xticks(ticks, [f"{each:g}x" for each in ticks])
        axes.minorticks_off()
        axes.set_yticks(range(len(rows)), [title for title, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(color=INK, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("how many times less than uvloop (logarithmic; further right is better)")
        axes.legend(ncols=len(COLUMNS), frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1))
        picture.savefig(target, dpi=120, transparent=True, metadata={"Description": digest})
        pyplot.close(picture)


def _within(tick: float, rows: Sequence[tuple[str, dict[str, float]]]) -> bool:
    ratios = [ratio for _, each in rows for ratio in each.values()]
    return min(0.7, min(ratios) * 0.9) <= tick <= max(1.5, max(ratios) * 1.1)
