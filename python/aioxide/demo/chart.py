"""The chart: a panel for each metric of the crawl, and the scheduling workloads below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .rounds import IMPLEMENTATIONS, METRICS
from .tables import columns, factor, number

if TYPE_CHECKING:
    from pathlib import Path

    from .rounds import Metric, Results
    from .scheduling import Scheduling

# Told apart by lightness too, so that they survive colour blindness and a grey printer.
COLOURS = {"asyncio": "#9aa3ad", "uvloop": "#2f6db3", "aioxide": "#c2410c"}
OTHERS = "#5b6670"
INK = "#22272e"
FAINT = "#d9dde2"
PANELS: tuple[tuple[str, str, tuple[Metric, ...]], ...] = (
    ("Pages per second", "more is better", METRICS[0:1]),
    ("CPU, ms per 1,000 pages", "less is better", METRICS[1:2]),
    ("Latency, ms", "less is better", METRICS[2:4]),
    ("Peak memory, MiB", "less is better", METRICS[4:5]),
)


def draw(results: Results, scheduling: Scheduling | None, caption: str, path: Path) -> None:
    """Write the chart as PNG."""
    rows = len(scheduling.rows) if scheduling else 0
    crawl_height, row_height = 3.9, 0.62
    below = rows * row_height + 1.2 if rows else 0.0
    height = crawl_height + below
    figure = Figure(figsize=(12, height), dpi=150, facecolor="white", layout="constrained")
    upper: Any = figure
    if scheduling and rows:
        halves: Any = figure.subfigures(2, 1, height_ratios=(crawl_height, below))
        upper, lower = halves
        _draw_scheduling(lower, scheduling)
    _draw_crawl(upper, results, caption)
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.14, h_pad=0.1)
    figure.savefig(path, format="png")


def _draw_crawl(figure: Any, results: Results, caption: str) -> None:
    names = list(results.runs)
    widths = [len(metrics) + 0.6 for _, _, metrics in PANELS]
    panels = figure.subplots(1, len(PANELS), width_ratios=widths)
    for axes, (title, hint, metrics) in zip(panels, PANELS, strict=True):
        _plain(axes)
        axes.set_title(f"{title}\n", fontsize=11, fontweight="bold", color=INK, loc="left")
        axes.text(0, 1.03, hint, transform=axes.transAxes, fontsize=9, color=OTHERS)
        highest = 0.0
        for at, metric in enumerate(metrics):
            for place, name in enumerate(names):
                spread = results.spread(name, metric)
                x = at * (len(names) + 1) + place
                reach = [[spread.median - spread.low], [spread.high - spread.median]]
                axes.bar(x, spread.median, width=0.86, color=_colour(name))
                axes.errorbar(x, spread.median, yerr=reach, color=INK, linewidth=0.9, capsize=2.5)
                _label(axes, (x, spread.high), number(spread.median), above=True)
                highest = max(highest, spread.high)
        axes.set_ylim(0, (highest or 1.0) * 1.14)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        middles = [at * (len(names) + 1) + (len(names) - 1) / 2 for at in range(len(metrics))]
        several = len(metrics) > 1
        axes.set_xticks(middles, [metric.name.split()[-1] if several else "" for metric in metrics])
    figure.suptitle(caption, fontsize=10, color=INK, x=0.0125, ha="left")
    handles = [Patch(color=_colour(name), label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), frameon=False)


def _draw_scheduling(figure: Any, scheduling: Scheduling) -> None:
    """How many times as fast as uvloop; without uvloop, the CPU time itself."""
    relative = any(row.ratios for row in scheduling.rows)
    names = columns(scheduling.rows)
    axes = figure.subplots()
    _plain(axes)
    thickness = 0.8 / max(1, len(names))
    furthest = 0.0
    for at, row in enumerate(scheduling.rows):
        figures = row.ratios if relative else row.nanoseconds
        for place, name in enumerate(names):
            if name not in figures:
                continue
            value, nanoseconds = figures[name], row.nanoseconds[name]
            y = at + (place - (len(names) - 1) / 2) * thickness
            axes.barh(y, value, height=thickness * 0.9, color=_colour(name))
            text = f"{number(nanoseconds)} ns"
            if relative:
                text = f"{factor(value)}  ({text})"
            _label(axes, (value, y), text, above=False)
            furthest = max(furthest, value)
    axes.set_yticks(range(len(scheduling.rows)), [row.title for row in scheduling.rows])
    axes.set_ylim(len(scheduling.rows) - 0.45, -0.55)
    axes.set_xlim(0, (furthest or 1.0) * 1.16)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    title, hint = "Scheduling: CPU ns per operation", "less is better"
    if relative:
        title = "Scheduling: times as fast as uvloop, by CPU time"
        hint = "more is better; in brackets the CPU time of one operation"
    axes.set_title(f"{title}\n", fontsize=11, fontweight="bold", color=INK, loc="left")
    axes.text(0, 1.012, hint, transform=axes.transAxes, fontsize=9, color=OTHERS)


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.set_axisbelow(True)


def _label(axes: Any, point: tuple[float, float], text: str, *, above: bool) -> None:
    place = {"xytext": (0, 3), "ha": "center", "va": "bottom"}
    if not above:
        place = {"xytext": (4, 0), "ha": "left", "va": "center"}
    axes.annotate(text, point, textcoords="offset points", fontsize=8, color=INK, **place)


def _colour(name: str) -> str:
    assert set(COLOURS) == set(IMPLEMENTATIONS)
    return COLOURS.get(name, OTHERS)
