"""What the person at the terminal sees: progress, tables, and where the chart is."""

from __future__ import annotations

import json
import platform
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import rounds, scheduling
from .child import ChildFailed
from .options import STDOUT
from .tables import crawl_table, scheduling_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import TaskID

    from .options import Options

BUSY_SITE = 0.9


class Bar:
    """One bar for all crawls, with the present one named before it."""

    def __init__(self, bar: Progress, options: Options) -> None:
        here, _ = rounds.available()
        self._bar = bar
        self._rounds = options.rounds
        self._documents = options.pages + options.images
        self._begun = 0
        self._task: TaskID = bar.add_task(
            "making the site", total=self._documents * len(here) * options.rounds
        )

    def begin(self, implementation: str, turn: int) -> None:
        text = f"{implementation:8} round {turn + 1} of {self._rounds}"
        self._bar.update(self._task, description=text)
        self._begun += 1

    def fetched(self, documents: int) -> None:
        before = (self._begun - 1) * self._documents
        self._bar.update(self._task, completed=before + documents)


def show(options: Options) -> int:
    """Crawl, measure, and show; returns the exit code."""
    console = Console(stderr=options.json == STDOUT, highlight=False)
    console.print(
        f"Crawling a local site of {options.pages:,} pages and {options.images:,} images, "
        f"{options.concurrency} requests at a time, {options.rounds} times on each event loop."
    )
    try:
        results = _crawl(console, options)
    except ChildFailed as error:
        sys.stderr.write(f"aioxide demo: {error}\n")
        return 1
    for name in results.missing:
        console.print(f"{name} is not installed, so it is left out (pip install {name}).")
    table = None
    if results.runs:
        console.print()
        console.print(crawl_table(results))
        console.print(_footnote(options, results))
        table = _scheduling(console, options, list(results.runs))
        _chart(console, options, results, table)
    if options.json is not None:
        _record(options.json, results.record() | {"scheduling": table.record if table else None})
    for reason in results.failed.values():
        sys.stderr.write(f"aioxide demo: {reason}\n")
    lacking = options.scheduling is not None and (table is None or table.gaps)
    return 1 if results.failed or lacking else 0


def _crawl(console: Console, options: Options) -> rounds.Results:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("documents"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with rounds.site(options) as server, bar:
        return rounds.crawl_all(options, server, Bar(bar, options))


def _scheduling(
    console: Console, options: Options, names: list[str]
) -> scheduling.Scheduling | None:
    if options.scheduling is None:
        return None
    try:
        with console.status("measuring callbacks, tasks, futures and timers ..."):
            table = scheduling.measure(options.scheduling, names)
    except ChildFailed as error:
        sys.stderr.write(f"aioxide demo: {error}\n")
        return None
    console.print()
    console.print(scheduling_table(table))
    for gap in table.gaps:
        sys.stderr.write(f"aioxide demo: no scheduling figure for {gap}\n")
    return table


def _chart(
    console: Console,
    options: Options,
    results: rounds.Results,
    table: scheduling.Scheduling | None,
) -> None:
    from .chart import draw  # matplotlib takes a second to load

    draw(results, table, _caption(options), options.output)
    console.print(f"\nchart: {options.output}", soft_wrap=True)


def _record(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
    else:
        path.write_text(text)


def _caption(options: Options) -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"Crawl of a local site with aiohttp: {options.pages:,} pages, {options.images:,} images, "
        f"{options.delay_ms:g} ms server delay, {options.concurrency} requests at a time; "
        f"{python}, median of {options.rounds} rounds, lowest to highest"
    )


def _footnote(options: Options, results: rounds.Results) -> str:
    per_page = (options.pages + options.images) / options.pages
    load = results.site_load()
    lines = [
        f"A page counts with its images: {per_page:.1f} requests on average. Every run fetched "
        f"every document once, {results.site['bytes'] / 1e6:.0f} MB in all.",
        f"The site runs on {results.site['loop']} and used up to {load:.0%} of a core.",
    ]
    if load > BUSY_SITE:
        lines.append("[yellow]That is close to a whole one: the site may be the limit.[/yellow]")
    return "\n".join(lines)
