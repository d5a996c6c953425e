"""The page: chart, lessons, table and the ideas of the ways, in an HTML file that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .results import CONNECTIONS, CPU, IN_FLIGHT, MEMORY, METRICS, RATE, WALL
from .tables import columns
from .wording import factor, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .results import Metric, Results, Variant
    from .scheduling import Scheduling

CHARTED: tuple[tuple[Metric, str], ...] = ((WALL, "s"), (CPU, "s"), (MEMORY, "MiB"))


def page(
    results: Results, scheduling: Scheduling | None, caption: str, lessons: Sequence[str]
) -> str:
    """The HTML text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    medians = {
        variant: {metric.key: results.spread(variant, metric).median for metric in METRICS}
        for variant in results.runs
    }
    highest = {
        metric.key: max((each[metric.key] for each in medians.values()), default=0.0)
        for metric in METRICS
    }
    ways = list(dict.fromkeys(variant.way for variant in (*results.runs, *results.failed)))
    return environment.get_template("page.html.jinja").render(
        caption=caption,
        interrupted=results.interrupted,
        lessons=lessons,
        charted=[(metric.name, unit) for metric, unit in CHARTED],
        loops=list(dict.fromkeys(variant.loop for variant in results.runs)),
        groups=[
            {
                "title": way.title,
                "name": way.name,
                "idea": way.idea(),
                "lines": way.lines(),
                "rows": [
                    _row(variant, medians[variant], highest)
                    for variant in results.runs
                    if variant.way is way
                ],
                "failed": [
                    {"loop": variant.loop, "reason": reason}
                    for variant, reason in results.failed.items()
                    if variant.way is way
                ],
            }
            for way in ways
        ],
        missing=results.missing,
        megabytes=f"{results.site['bytes'] / 1e6:.1f}",
        scheduling=_scheduling(scheduling) if scheduling and scheduling.rows else None,
    )


def _row(variant: Variant, medians: dict[str, float], highest: dict[str, float]) -> dict[str, Any]:
    return {
        "loop": variant.loop,
        "bars": [
            {
                "share": round(100 * medians[metric.key] / (highest[metric.key] or 1.0), 2),
                "text": f"{number(medians[metric.key])} {unit}",
            }
            for metric, unit in CHARTED
        ],
        "cells": [
            ("wall, s", number(medians[WALL.key])),
            ("requests/s", number(medians[RATE.key])),
            ("CPU, s", number(medians[CPU.key])),
            ("peak MiB", number(medians[MEMORY.key])),
            ("connections", f"{medians[CONNECTIONS.key]:.0f}"),
            ("in flight", f"{medians[IN_FLIGHT.key]:.0f}"),
        ],
    }


def _scheduling(scheduling: Scheduling) -> dict[str, Any]:
    names = columns(scheduling.rows)
    return {
        "names": names,
        "rows": [
            (
                row.title,
                [
                    (
                        number(row.nanoseconds[name]) if name in row.nanoseconds else "failed",
                        factor(row.ratios[name]) if name in row.ratios and name != "uvloop" else "",
                    )
                    for name in names
                ],
            )
            for row in scheduling.rows
        ],
    }
