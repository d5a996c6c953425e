"""What to learn from the experiment: five sentences, each true of the figures just measured.

Every sentence is chosen by comparing them, whoever comes out ahead, and says what it compares. A
difference that may be chance is called none. What was not measured is said not to have been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .results import CPU, MEMORY, WALL
from .ways import LOOPS
from .wording import (
    close,
    counted,
    is_percentage,
    less,
    longer,
    much,
    percent,
    ratio,
    seconds,
    times,
)

if TYPE_CHECKING:
    from .results import Metric, Results, Spread


#: CPU time in seconds below which a crawl is too short to compare: one tick of the kernel's clock.
_SHORT_S = 0.01


@dataclass(frozen=True)
class Setting:
    """What the sentences say of how it was measured."""

    concurrency: int
    processes: int


def lessons(results: Results, setting: Setting) -> list[str]:
    """The five sentences, in the order of the ways."""
    figures = Figures(results)
    return [
        waiting(figures, setting),
        pools(figures, setting),
        readiness(figures),
        loops(figures),
        cores(figures),
    ]


class Figures:
    """The results by the names of ways."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.variants = {variant.name: variant for variant in results.runs}

    def of(self, name: str, metric: Metric) -> Spread:
        return self._results.spread(self.variants[name], metric)

    def has(self, *names: str) -> bool:
        return all(name in self.variants for name in names)

    def documents(self) -> int:
        run = next(iter(self._results.runs.values()))[0]
        return run.pages + run.images

    def title(self, name: str) -> str:
        return self.variants[name].title

    def pairs(self, one: str, other: str) -> list[tuple[str, str]]:
        """The names of each way that ran on both of these loops."""
        ways = dict.fromkeys(variant.way.name for variant in self.variants.values() if variant.loop)
        both = [(f"{way}@{one}", f"{way}@{other}") for way in ways]
        return [pair for pair in both if self.has(*pair)]


def waiting(figures: Figures, setting: Setting) -> str:
    """One after the other against the quickest of the rest."""
    if not figures.has("blocking") or len(figures.variants) < 2:
        return _unknown("how much of the time is waiting", "blocking", "some other way")
    wall = figures.of("blocking", WALL)
    start = (
        f"One after the other, {figures.documents():,} documents took {seconds(wall.median)}, and "
        f"the program kept the processor busy for {_busy(figures, 'blocking')} of that"
    )
    others = {name: figures.of(name, WALL) for name in figures.variants if name != "blocking"}
    quicker = {
        name: other.median
        for name, other in others.items()
        if other.median < wall.median and not close(wall, other)
    }
    if quicker:
        best = min(quicker, key=quicker.__getitem__)
        return (
            f"{start}; {_lower(figures.title(best))} did it in {seconds(quicker[best])} with up to "
            f"{counted(setting.concurrency, 'request', 'requests')} at a time, "
            f"{times(wall.median / quicker[best])} as fast."
        )
    if all(other.median > wall.median and not close(wall, other) for other in others.values()):
        return f"{start}; every other way took longer."
    return f"{start}; no other way was clearly quicker."


def pools(figures: Figures, setting: Setting) -> str:
    """The same blocking calls in threads and in processes."""
    if not figures.has("threads", "processes"):
        return _unknown("what threads cost beside processes", "threads", "processes")
    names = {
        "threads": counted(setting.concurrency, "thread", "threads"),
        "processes": counted(setting.processes, "process", "processes"),
    }
    return f"With the same blocking calls, {_time_and_memory(figures, names)}."


def readiness(figures: Figures) -> str:
    """To ask all sockets or to be told which are ready; and callbacks or generators."""
    parts = []
    if figures.has("spinning", "callbacks"):
        names = {"spinning": "asking the sockets without a pause", "callbacks": "a selector"}
        parts.append(_contrast(figures, CPU, names))
    if figures.has("generators", "callbacks"):
        names = {"generators": "generators over a selector", "callbacks": "callbacks"}
        parts.append(_contrast(figures, CPU, names))
    if not parts:
        return _unknown("what a selector saves", "spinning", "callbacks")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def loops(figures: Figures) -> str:
    """aioxide beside uvloop and asyncio, by CPU time, over the ways that ran on both."""
    parts = [
        _beside(figures, pairs, other)
        for other in ("uvloop", "asyncio")
        if (pairs := figures.pairs("aioxide", other))
    ]
    if not parts:
        return _unknown("how the event loops compare", "a way on aioxide", "the same on another")
    return f"By CPU time, {'; '.join(parts)}."


def _beside(figures: Figures, pairs: list[tuple[str, str]], other: str) -> str:
    """In how many ways aioxide took less, and where the difference was largest."""
    gaps: list[tuple[float, str, str]] = []
    for ours, theirs in pairs:
        one, two = figures.of(ours, CPU), figures.of(theirs, CPU)
        if not _alike(CPU, one, two):
            winner = "aioxide" if one.median < two.median else other
            gaps.append((ratio(one, two), winner, figures.variants[ours].way.title))
    of = counted(len(pairs), "way", "ways")
    if not gaps:
        return f"aioxide and {other} were too close to call in {of}"
    wins = sum(winner == "aioxide" for _, winner, _ in gaps)
    by, winner, title = max(gaps)
    text = f"aioxide was ahead of {other} in {wins} of {of}, behind in {len(gaps) - wins}"
    return f"{text} (the widest gap: {winner} took {less(by)} less, {title})"


def cores(figures: Figures) -> str:
    """aiohttp in one thread and in processes, on the loop that was quickest in one thread."""
    both = [
        (f"aiohttp-thread@{loop}", f"aiohttp-processes@{loop}")
        for loop in LOOPS
        if figures.has(f"aiohttp-thread@{loop}", f"aiohttp-processes@{loop}")
    ]
    if not both:
        return _unknown(
            "what more processes bring to a loop", "aiohttp-thread", "aiohttp-processes"
        )
    one, many = min(both, key=lambda names: figures.of(names[0], WALL).median)
    names = {one: "that thread", many: "a loop in each of several processes"}
    return (
        f"{figures.title(one)} kept a core busy for {_busy(figures, one)} of its "
        f"{seconds(figures.of(one, WALL).median)}; {_time_and_memory(figures, names)}."
    )


def _time_and_memory(figures: Figures, names: dict[str, str]) -> str:
    """Two ways beside each other, by both."""
    orders = []
    for metric in (WALL, MEMORY):
        figure = {name: figures.of(name, metric) for name in names}
        small, large = sorted(names, key=lambda name: figure[name].median)
        orders.append(None if close(figure[small], figure[large]) else (small, large))
    time, memory = _contrast(figures, WALL, names), _contrast(figures, MEMORY, names)
    if orders[0] is None or orders[0] != orders[1]:
        return f"{time}, and {memory}"
    small, large = orders[0]
    by = ratio(figures.of(small, MEMORY), figures.of(large, MEMORY))
    return f"{time} and needed {much(by, 'memory')}"


_SAME = {
    WALL.key: "took about the same time",
    CPU.key: "took about the same CPU time",
    MEMORY.key: "needed about the same memory",
}


def _contrast(figures: Figures, metric: Metric, names: dict[str, str]) -> str:
    """Two ways beside each other, under the names that the sentence has for them."""
    one, other = names
    figure = {name: figures.of(name, metric) for name in names}
    if _alike(metric, figure[one], figure[other]):
        return f"{names[one]} and {names[other]} {_SAME[metric.key]}"
    small, large = sorted(names, key=lambda name: figure[name].median)
    by = ratio(figure[small], figure[large])
    if metric is WALL:
        return f"{names[large]} took {longer(by)} {names[small]}"
    verb, noun = ("took", "CPU time") if metric is CPU else ("needed", "memory")
    joint = "than" if is_percentage(by) else "of"
    return f"{names[large]} {verb} {much(by, noun)} {joint} {names[small]}"


def _alike(metric: Metric, one: Spread, other: Spread) -> bool:
    """Tell whether two figures differ by no more than chance, or than the clock can tell."""
    is_short = metric is CPU and max(one.median, other.median) < _SHORT_S
    return is_short or close(one, other)


def _busy(figures: Figures, name: str) -> str:
    """The share of its wall time in which a way of one thread used the processor."""
    return percent(min(1.0, figures.of(name, CPU).median / figures.of(name, WALL).median))


def _lower(title: str) -> str:
    """A title in the middle of a sentence."""
    return title[0].lower() + title[1:]


def _unknown(what: str, one: str, other: str) -> str:
    return f"Nothing can be said of {what}: that takes figures of both {one} and {other}."
