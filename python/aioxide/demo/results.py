"""What was measured: runs of each way on each loop, and the figures read off them."""

from __future__ import annotations

import importlib.util
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ways import Way


@dataclass(frozen=True)
class Variant:
    """A way on one of the loops, or a way that has none."""

    way: Way
    loop: str | None

    @property
    def name(self) -> str:
        """As it is written in options: `threads`, `aiohttp-thread@uvloop`."""
        return f"{self.way.name}@{self.loop}" if self.loop else self.way.name

    @property
    def title(self) -> str:
        """As it is shown to people: "Pool of threads", "aiohttp in one thread on uvloop"."""
        return f"{self.way.title} on {self.loop}" if self.loop else self.way.title

    @property
    def needs(self) -> tuple[str, ...]:
        """The packages without which it cannot run."""
        own = (self.loop,) if self.loop not in (None, "asyncio", "aioxide") else ()
        return self.way.needs + own


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@dataclass(frozen=True)
class Run:
    """One crawl, with times in seconds; `site_cpu` is what the site used meanwhile."""

    pages: int
    images: int
    bytes: int
    signature: int
    wall: float
    cpu: float
    peak_kib: int
    connections: int
    in_flight: int
    site_cpu: float


@dataclass(frozen=True)
class Metric:
    """A column: how to read it off a run."""

    key: str
    name: str
    unit: str
    of: Callable[[Run], float]


WALL = Metric("wall_s", "Wall time", "s", lambda run: run.wall)
RATE = Metric(
    "requests_per_s", "Requests", "per second", lambda run: (run.pages + run.images) / run.wall
)
CPU = Metric("cpu_s", "CPU time", "s", lambda run: run.cpu)
MEMORY = Metric("peak_mib", "Peak memory", "MiB", lambda run: run.peak_kib / 1024)
CONNECTIONS = Metric("connections", "Connections", "", lambda run: run.connections)
IN_FLIGHT = Metric("in_flight", "In flight", "at most", lambda run: run.in_flight)
METRICS = (WALL, RATE, CPU, MEMORY, CONNECTIONS, IN_FLIGHT)


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    """All runs by variant, in the order of the ways, and what became of the rest."""

    site: dict[str, Any] = field(default_factory=dict)
    runs: dict[Variant, list[Run]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[Variant, str] = field(default_factory=dict)
    interrupted: bool = False

    def spread(self, variant: Variant, metric: Metric) -> Spread:
        figures = [metric.of(run) for run in self.runs[variant]]
        return Spread(statistics.median(figures), min(figures), max(figures))

    def site_load(self) -> float:
        """The largest share of its core that the site used in a run."""
        return max(run.site_cpu / run.wall for runs in self.runs.values() for run in runs)

    def record(self) -> dict[str, Any]:
        """Everything, for a JSON file."""
        return {
            "site": self.site,
            "interrupted": self.interrupted,
            "missing": self.missing,
            "failed": {variant.name: reason for variant, reason in self.failed.items()},
            "ways": [
                {
                    "name": variant.name,
                    "way": variant.way.name,
                    "loop": variant.loop,
                    "title": variant.title,
                    "lines": variant.way.lines(),
                    "figures": {
                        metric.key: {
                            name: round(value, 4)
                            for name, value in asdict(self.spread(variant, metric)).items()
                        }
                        for metric in METRICS
                    },
                    "runs": [asdict(run) for run in runs],
                }
                for variant, runs in self.runs.items()
            ],
        }
