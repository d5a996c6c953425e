"""The chart: a panel for each main figure of the ways, and the scheduling workloads below."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .results import CPU, MEMORY, WALL
from .tables import columns
from .wording import factor, number

if TYPE_CHECKING:
    from pathlib import Path

    from .results import Metric, Results, Variant
    from .scheduling import Scheduling

# Told apart by lightness too, so that they survive colour blindness and a grey printer.
COLOURS = {"asyncio": "#9aa3ad", "uvloop": "#2f6db3", "aioxide": "#c2410c"}
OTHERS = "#4b5563"
INK = "#22272e"
FAINT = "#d9dde2"
HINT = "#5b6670"
PANELS: tuple[tuple[Metric, str], ...] = (
    (WALL, "Wall time, seconds"),
    (CPU, "CPU time, seconds"),
    (MEMORY, "Peak memory, MiB"),
)
GAP = 0.55  # between two ways, in bars
INCHES = 0.235  # for each bar
WIDTH = 12


def draw(results: Results, scheduling: Scheduling | None, caption: str, path: Path) -> None:
    """Write the chart as PNG."""
    rows = len(scheduling.rows) if scheduling else 0
    places = _places(list(results.runs))
    crawl_height, row_height = max(places.values()) * INCHES + 2.1, 0.62
    below = rows * row_height + 1.2 if rows else 0.0
    size = (WIDTH, crawl_height + below)
    figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
    upper: Any = figure
    if scheduling and rows:
        halves: Any = figure.subfigures(2, 1, height_ratios=(crawl_height, below))
        upper, lower = halves
        _draw_scheduling(lower, scheduling)
    _draw_crawl(upper, results, places, caption)
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.14, h_pad=0.1)
    figure.savefig(path, format="png")


def _places(variants: list[Variant]) -> dict[Variant, float]:
    """Where the bar of each is, from above: the loops of a way together, a gap between ways."""
    places: dict[Variant, float] = {}
    at, before = 0.0, None
    for variant in variants:
        if before is not None:
            at += 1.0 if variant.way is before else 1.0 + GAP
        places[variant], before = at, variant.way
    return places


def _draw_crawl(figure: Any, results: Results, places: dict[Variant, float], caption: str) -> None:
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (metric, title) in zip(panels, PANELS, strict=True):
        _plain(axes)
        axes.set_title(f"{title}\n", fontsize=11, fontweight="bold", color=INK, loc="left")
        _hint(axes, "less is better")
        furthest = 0.0
        for variant, at in places.items():
            spread = results.spread(variant, metric)
            reach = [[spread.median - spread.low], [spread.high - spread.median]]
            axes.barh(at, spread.median, height=0.86, color=_colour(variant.loop))
            axes.errorbar(spread.median, at, xerr=reach, color=INK, linewidth=0.9, capsize=2)
            _label(axes, (spread.high, at), number(spread.median))
            furthest = max(furthest, spread.high)
        axes.set_xlim(0, (furthest or 1.0) * 1.18)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_ylim(max(places.values()) + 0.7, -0.7)
        axes.set_yticks(list(places.values()), [variant.title for variant in places])
    figure.suptitle(_wrapped(caption), fontsize=10, color=INK, x=0.0125, ha="left")
    loops = dict.fromkeys(variant.loop for variant in places)
    handles = [Patch(color=_colour(loop), label=loop or "without asyncio") for loop in loops]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(loops), frameon=False)


def _wrapped(caption: str) -> str:
    return "\n".join(textwrap.wrap(caption, 150))


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
            _label(axes, (value, y), text)
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
    _hint(axes, hint)


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.set_axisbelow(True)


def _hint(axes: Any, text: str) -> None:
    """A small line between the title and the bars."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(text, (0, 1), (0, 5), fontsize=9, color=HINT, **place)


def _label(axes: Any, point: tuple[float, float], text: str) -> None:
    """A figure at the end of its bar."""
    place = {"textcoords": "offset points", "ha": "left", "va": "center"}
    axes.annotate(text, point, (4, 0), fontsize=8, color=INK, **place)


def _colour(loop: str | None) -> str:
    return COLOURS.get(loop or "", OTHERS)
