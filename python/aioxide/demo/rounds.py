"""The crawls: implementations take turns, and every run is checked against the site.

Taking turns (A B C, B C A, ...) makes a noisy minute of the machine hit all of them, and the
median over the rounds drops it.
"""

from __future__ import annotations

import importlib.util
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .child import Child, ChildFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .options import Options

IMPLEMENTATIONS = ("asyncio", "uvloop", "aioxide")
CRAWLER = Path(__file__).with_name("crawl.py")


@dataclass(frozen=True)
class Metric:
    """A column: how to read it off a run, and which way is better."""

    name: str
    unit: str
    of: Callable[[Run], float]
    more_is_better: bool = False


@dataclass(frozen=True)
class Run:
    """One crawl, with times in seconds; `site_cpu` is what the site used meanwhile."""

    pages: int
    images: int
    bytes: int
    signature: int
    wall: float
    cpu: float
    p50: float
    p99: float
    peak_kib: int
    site_cpu: float


METRICS = (
    Metric("Pages", "per second", lambda run: run.pages / run.wall, more_is_better=True),
    Metric("CPU", "ms per 1,000 pages", lambda run: run.cpu * 1e6 / run.pages),
    Metric("Latency p50", "ms", lambda run: run.p50 * 1e3),
    Metric("Latency p99", "ms", lambda run: run.p99 * 1e3),
    Metric("Peak memory", "MiB", lambda run: run.peak_kib / 1024),
)


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    """All runs by implementation, and what became of the rest."""

    site: dict[str, Any]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def spread(self, implementation: str, metric: Metric) -> Spread:
        figures = [metric.of(run) for run in self.runs[implementation]]
        return Spread(statistics.median(figures), min(figures), max(figures))

    def site_load(self) -> float:
        """The largest share of its core that the site used in a run."""
        return max(run.site_cpu / run.wall for runs in self.runs.values() for run in runs)

    def record(self) -> dict[str, Any]:
        """Everything, for a JSON file."""
        return {
            "site": self.site,
            "missing": self.missing,
            "failed": self.failed,
            "implementations": {
                name: {
                    "medians": {
                        f"{metric.name} ({metric.unit})": round(self.spread(name, metric).median, 3)
                        for metric in METRICS
                    },
                    "runs": [asdict(run) for run in runs],
                }
                for name, runs in self.runs.items()
            },
        }


class Progress(Protocol):
    """Who is told how the crawls go on."""

    def begin(self, implementation: str, turn: int) -> None: ...
    def fetched(self, documents: int) -> None: ...


def available() -> tuple[list[str], list[str]]:
    """The implementations that are installed, and those that are not."""
    here = [name for name in IMPLEMENTATIONS if importlib.util.find_spec(name) is not None]
    return here, [name for name in IMPLEMENTATIONS if name not in here]


def site(options: Options) -> Child:
    """The site, not yet started."""
    numbers = {"pages": options.pages, "images": options.images, "delay-ms": options.delay_ms}
    arguments = [f"--{name}={number}" for name, number in numbers.items()]
    return Child("the site", ["-m", "aioxide.demo.site", *arguments])


def turns(implementations: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Who runs when: in each round another one is first."""
    for turn in range(rounds):
        first = turn % len(implementations)
        for name in (*implementations[first:], *implementations[:first]):
            yield turn, name


def crawl_all(options: Options, server: Child, progress: Progress) -> Results:
    """Run every crawl. An implementation that fails is not tried again."""
    here, missing = available()
    results = Results(site=server.hear(), missing=missing)
    for turn, name in turns(here, options.rounds):
        if name in results.failed:
            continue
        progress.begin(name, turn)
        try:
            run = crawl(name, options, server, results.site, progress)
        except ChildFailed as error:
            results.failed[name] = str(error)
            results.runs.pop(name, None)
        else:
            results.runs.setdefault(name, []).append(run)
    # In the order of the table, whoever happened to finish first.
    results.runs = {name: results.runs[name] for name in here if name in results.runs}
    return results


def crawl(
    name: str, options: Options, server: Child, offer: dict[str, Any], progress: Progress
) -> Run:
    """One crawl in a fresh process, checked."""
    server.tell("report")
    before = server.hear()
    url = f"http://127.0.0.1:{offer['port']}"
    # -P: the folder of the file must not get in front of the standard library.
    words = ["-P", str(CRAWLER), name, url, str(options.concurrency)]
    last: dict[str, Any] = {}
    with Child(f"the crawl on {name}", words) as child:
        for last in child.listen():
            if "fetched" in last:
                progress.fetched(last["fetched"])
        child.finish()
    server.tell("report")
    after = server.hear()
    check(name, last, offer, after)
    progress.fetched(offer["pages"] + offer["images"])
    return Run(**last, site_cpu=after["cpu"] - before["cpu"])


def check(name: str, found: dict[str, Any], offer: dict[str, Any], asked: dict[str, Any]) -> None:
    """Every document fetched, once, and whole: by the crawler's account and by the site's."""
    for what in ("pages", "images", "bytes", "signature"):
        if found.get(what) != offer[what]:
            raise ChildFailed(
                f"the crawl on {name} is wrong: {what} {found.get(what)}, not {offer[what]}"
            )
    documents = offer["pages"] + offer["images"]
    if (asked["requests"], asked["documents"], asked["strays"]) != (documents, documents, 0):
        raise ChildFailed(
            f"the crawl on {name} is wrong: {asked['requests']} requests for "
            f"{asked['documents']} documents and {asked['strays']} for others, not {documents}"
        )
