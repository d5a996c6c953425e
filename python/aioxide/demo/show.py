"""What the person at the terminal sees: progress, tables, lessons, and where the files are."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

try:
    from rich.console import Console
    from rich.padding import Padding
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
except ModuleNotFoundError:  # only with --only
    from .plain import (  # type: ignore[assignment]
        BarColumn,
        Console,
        MofNCompleteColumn,
        Padding,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

from . import rounds, scheduling
from .child import ChildFailed
from .interrupts import interrupts
from .lessons import Setting, lessons
from .options import STDOUT
from .results import Results, installed
from .tables import crawl_table, scheduling_table
from .ways import LOOPS
from .wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .options import Options
    from .results import Variant

BUSY_SITE = 0.9
WIDEST = max(len(variant.title) for variant in rounds.variants())
RECORDED = ("pages", "images", "delay_ms", "concurrency", "processes", "rounds")


class Bars:
    """One bar for everything, and one below it for the present crawl.

    Where nobody looks on, as in a log, a line for each round.
    """

    def __init__(self, bars: Progress, options: Options, crawls: int) -> None:
        self._bars = bars
        self._rounds = options.rounds
        self._documents = options.pages + options.images
        self._all = bars.add_task("all ways", total=crawls * options.rounds)
        self._one = bars.add_task("making the site", total=None)
        self._turn = -1

    def begin(self, variant: Variant, turn: int) -> None:
        which = f"round {turn + 1} of {self._rounds}"
        if turn != self._turn and not self._bars.console.is_terminal:
            self._bars.console.print(which)
        self._turn = turn
        self._bars.reset(self._one, description=variant.title, total=self._documents)
        self._bars.update(self._all, description=which)

    def fetched(self, documents: int) -> None:
        self._bars.update(self._one, completed=documents)

    def end(self) -> None:
        self._bars.advance(self._all)


def show(options: Options) -> int:
    """Crawl, measure, and show; returns the exit code."""
    console = Console(stderr=options.json == STDOUT, highlight=False)
    variants, missing = rounds.chosen(options.only)
    results = Results(missing=missing)
    for package, names in missing.items():
        text = f"Without {package}, left out: {', '.join(names)} (pip install {package})."
        console.print(text, soft_wrap=True)
    if not variants:
        return _complain("nothing is left to crawl with", code=2)
    console.print(f"Crawling {_setup(options)}.")
    table = None
    try:
        _crawl(console, options, variants, results)
        table = _scheduling(console, options, results)
    except ChildFailed as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        results.interrupted = True
    try:
        if results.interrupted:
            _present(console, options, results, table)  # Ctrl-C again, and there is an end of it
        else:
            with interrupts.held():
                _present(console, options, results, table)
    except OSError as error:
        return _complain(f"cannot write {error.filename}: {error.strerror}")
    for reason in results.failed.values():
        _complain(reason)
    if results.interrupted:
        return _complain("interrupted", code=130)
    lacking = options.scheduling is not None and (table is None or table.gaps)
    return 1 if results.failed or lacking else 0


def _complain(message: str, code: int = 1) -> int:
    sys.stderr.write(f"aioxide demo: {message}\n")
    return code


def _crawl(
    console: Console, options: Options, variants: Sequence[Variant], results: Results
) -> None:
    bars = Progress(
        TextColumn(f"{{task.description:{WIDEST}}}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bars:
        rounds.crawl_all(options, variants, Bars(bars, options, len(variants)), results)


def _scheduling(
    console: Console, options: Options, results: Results
) -> scheduling.Scheduling | None:
    if options.scheduling is None:
        return None
    names = [loop for loop in LOOPS if installed(loop)]
    try:
        with console.status("measuring callbacks, tasks, futures and timers ..."):
            return scheduling.measure(options.scheduling, names)
    except ChildFailed as error:
        _complain(str(error))
        return None


def _present(
    console: Console,
    options: Options,
    results: Results,
    table: scheduling.Scheduling | None,
) -> None:
    """Everything there is to show, on the terminal and as files."""
    sentences: list[str] = []
    if results.runs or results.failed:
        console.print()
        console.print(crawl_table(results))
    if results.runs:
        sentences = lessons(results, _setting(options))
        console.print(_footnote(options, results))
        console.print("\nWhat to learn from it")
        for sentence in sentences:
            console.print(Padding(f"- {sentence}", (0, 0, 0, 1)))
    if table:
        console.print()
        console.print(scheduling_table(table))
        for gap in table.gaps:
            _complain(f"no scheduling figure for {gap}")
    if results.runs:
        console.print()
        _write_files(console, options, results, table, sentences)
    if options.json is not None and (results.runs or results.failed):
        setup = {name: getattr(options, name) for name in RECORDED}
        record = {
            "setup": setup | {"python": platform.python_version(), "cores": os.cpu_count()},
            **results.record(),
            "lessons": sentences,
            "scheduling": table.record if table else None,
        }
        _record(options.json, record)


def _write_files(
    console: Console,
    options: Options,
    results: Results,
    table: scheduling.Scheduling | None,
    sentences: list[str],
) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    caption = f"{_setup(options)}; {_where()}"
    if installed("matplotlib"):
        from .chart import draw  # matplotlib takes a second to load

        path = options.output / "experiment.png"
        draw(results, table, caption[0].upper() + caption[1:], path)
        console.print(f"chart: {path}", soft_wrap=True)
    else:
        console.print("Without matplotlib there is no chart (pip install matplotlib).")
    if installed("jinja2"):
        from .page import page

        path = options.output / "experiment.html"
        text = page(results, table, f"{caption[0].upper()}{caption[1:]}.", sentences)
        path.write_text(text, encoding="utf-8")
        console.print(f"page:  {path}", soft_wrap=True)
    else:
        console.print("Without jinja2 there is no page (pip install jinja2).")


def _record(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def _setting(options: Options) -> Setting:
    return Setting(options.concurrency, options.processes)


def _setup(options: Options) -> str:
    rounds = "once" if options.rounds == 1 else f"{options.rounds} times"
    return (
        f"a local site of {counted(options.pages, 'page', 'pages')} and "
        f"{counted(options.images, 'image', 'images')}, {options.delay_ms:g} ms of delay, up to "
        f"{counted(options.concurrency, 'request', 'requests')} at a time or "
        f"{counted(options.processes, 'process', 'processes')}, each way {rounds}"
    )


def _where() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{os.cpu_count()} cores, medians of the rounds"
    )


def _footnote(options: Options, results: Results) -> str:
    load = results.site_load()
    megabytes = results.site["bytes"] / 1e6
    lines = [
        f"Every way fetched every document once, {megabytes:.1f} MB in all; ways that took longer "
        f"than {rounds.LONG:g} s did so once only. CPU and memory are those of all processes of a "
        "way, and memory that they share counts in each. On aioxide the ways run as under "
        "`aioxide run`.",
        f"The site runs on {results.site['loop']} and used up to {load:.0%} of a core.",
    ]
    if load > BUSY_SITE:
        lines.append("[yellow]That is close to a whole one: the site may be the limit.[/yellow]")
    return "\n".join(lines)
