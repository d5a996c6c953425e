"""The crawls: the ways take turns, and every crawl is checked against the site.

Each way has a process of its own on each loop, which stays for all rounds. Taking turns (A B C, B C
A, ...) makes a noisy minute of the machine hit all of them, and the median over the rounds drops
it. A crawl that took LONG is not repeated: the noise is small beside it, and the patience of who
looks on is not endless.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .child import Child, ChildFailed
from .results import Results, Run, Variant, installed
from .ways import LOOPS, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .options import Options

MEASURE = Path(__file__).with_name("measure.py")
LONG = 2.0  # seconds


class Progress(Protocol):
    """Who is told how the crawls go on."""

    def begin(self, variant: Variant, turn: int) -> None: ...
    def fetched(self, documents: int) -> None: ...
    def end(self) -> None: ...


def variants() -> list[Variant]:
    """Every way on every loop that it can run on, whether installed or not."""
    return [Variant(way, loop) for way in WAYS for loop in (LOOPS if way.on_loops else (None,))]


def chosen(only: Sequence[str]) -> tuple[list[Variant], dict[str, list[str]]]:
    """What to run, and for each package that is not installed what is left out without it."""
    here: list[Variant] = []
    missing: dict[str, list[str]] = {}
    for variant in variants():
        if only and variant.way.name not in only and variant.name not in only:
            continue
        lacking = [package for package in variant.needs if not installed(package)]
        if not lacking:
            here.append(variant)
        for package in lacking:
            missing.setdefault(package, []).append(variant.name)
    return here, missing


def site(options: Options) -> Child:
    """The site, not yet started."""
    numbers = {
        "pages": options.pages,
        "images": options.images,
        "delay-ms": options.delay_ms,
        "port": options.port,
    }
    arguments = [f"--{name}={number}" for name, number in numbers.items()]
    return Child("the site", ["-m", "aioxide.demo.site", *arguments])


def turns(variants: Sequence[Variant], rounds: int) -> Iterator[tuple[int, Variant]]:
    """Who runs when: in each round another one is first."""
    for turn in range(rounds):
        first = turn % len(variants) if variants else 0
        for variant in (*variants[first:], *variants[:first]):
            yield turn, variant


def crawl_all(
    options: Options, variants: Sequence[Variant], progress: Progress, results: Results
) -> None:
    """Run every crawl and add it to the results, which hold what there is at any moment.

    A variant that fails is not tried again, and what it did before does not count.
    """
    with ExitStack() as stack:
        server = stack.enter_context(site(options))
        results.site = server.hear()
        children: dict[Variant, Child] = {}
        for turn, variant in turns(variants, options.rounds):
            if variant in results.failed or _long(results.runs.get(variant, [])):
                progress.end()
                continue
            progress.begin(variant, turn)
            try:
                if variant not in children:
                    child = _child(variant, options, results.site)
                    children[variant] = stack.enter_context(child)
                run = _crawl(variant, children[variant], server, results.site, progress)
            except ChildFailed as error:
                results.failed[variant] = str(error)
                results.runs.pop(variant, None)
            else:
                results.runs.setdefault(variant, []).append(run)
            progress.end()


def _long(runs: Sequence[Run]) -> bool:
    return any(run.wall > LONG for run in runs)


def _child(variant: Variant, options: Options, offer: dict[str, Any]) -> Child:
    numbers = (offer["port"], options.concurrency, options.processes)
    # -P: the folder of the file must not get in front of the standard library.
    words = ["-P", str(MEASURE), variant.way.module, variant.loop or "-", *map(str, numbers)]
    return Child(variant.name, words)


def _crawl(
    variant: Variant, child: Child, server: Child, offer: dict[str, Any], progress: Progress
) -> Run:
    """One crawl, checked."""
    server.tell("report")
    before = server.hear()
    child.tell("crawl")
    while "fetched" in (found := child.hear()):
        progress.fetched(found["fetched"])
    server.tell("report")
    after = server.hear()
    check(variant.name, found, offer, after)
    return Run(
        **found,
        connections=after["connections"],
        in_flight=after["in_flight"],
        site_cpu=after["cpu"] - before["cpu"],
    )


def check(name: str, found: dict[str, Any], offer: dict[str, Any], asked: dict[str, Any]) -> None:
    """Every document fetched, once, and whole: by the crawler's account and by the site's."""
    for what in ("pages", "images", "bytes", "signature"):
        if found.get(what) != offer[what]:
            raise ChildFailed(f"{name} is wrong: {what} {found.get(what)}, not {offer[what]}")
    documents = offer["pages"] + offer["images"]
    if (asked["requests"], asked["documents"], asked["strays"]) != (documents, documents, 0):
        raise ChildFailed(
            f"{name} is wrong: {asked['requests']} requests for {asked['documents']} documents "
            f"and {asked['strays']} for others, not {documents}"
        )
