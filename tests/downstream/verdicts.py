"""What two runs of one suite say about aioxide. Pure: records in, verdicts out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .table import Exclusion, Suite

#: Outcomes of a test with which its authors are content.
GOOD = frozenset({"passed", "skipped", "xfailed"})


@dataclass(frozen=True)
class Outcome:
    """What one test came to in one run."""

    outcome: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Neither failed nor crashed."""
        return self.outcome in GOOD


@dataclass
class Record:
    """One run of one suite."""

    tests: dict[str, Outcome] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    #: What went wrong outside of any test.
    trouble: list[str] = field(default_factory=list)


class Verdict(enum.Enum):
    """What counts is what asyncio can do and aioxide cannot."""

    PASSED = "passed"
    SKIPPED = "skipped"
    BOTH = "failed on both"
    FAILED = "failed on aioxide only"
    MISSING = "not run on aioxide"
    BETTER = "passed on aioxide only"
    FLAKY = "flaky"
    EXCLUDED = "excluded"
    NOT_EXCLUDED = "excluded, yet it passes"

    @property
    def is_failure(self) -> bool:
        """Whether it fails the run."""
        return self in {Verdict.FAILED, Verdict.MISSING, Verdict.NOT_EXCLUDED}


@dataclass(frozen=True)
class Judged:
    """One test with its verdict."""

    test: str
    verdict: Verdict
    detail: str = ""


@dataclass
class Report:
    """Everything about one suite."""

    suite: Suite
    tests: list[Judged]
    trouble: list[str]
    seconds: dict[str, float]
    loops: dict[str, dict[str, int]]

    def count(self, verdict: Verdict) -> int:
        """How many tests ended so."""
        return sum(judged.verdict is verdict for judged in self.tests)

    @property
    def failed(self) -> bool:
        """Whether anything is not as it ought to be."""
        return bool(self.trouble) or any(judged.verdict.is_failure for judged in self.tests)


def exclusion_of(test: str, exclusions: Iterable[Exclusion]) -> Exclusion | None:
    """The first entry that names a test."""
    return next((each for each in exclusions if each.matching(test)), None)


def undecided(suite: Suite, stock: Record | None, ours: Record) -> list[str]:
    """The tests that are worth a second run on both: those in which the two runs differ."""
    if stock is None:
        names = [name for name, outcome in ours.tests.items() if not outcome.good]
    else:
        names = [
            name
            for name in stock.tests.keys() | ours.tests.keys()
            if name in stock.tests
            and name in ours.tests
            and stock.tests[name].good != ours.tests[name].good
        ]
    return sorted(name for name in names if exclusion_of(name, suite.exclusions) is None)


def judge(
    suite: Suite,
    stock: Record | None,
    ours: Record,
    again: Mapping[str, tuple[Outcome | None, Outcome | None]],
) -> list[Judged]:
    """Every test of either run; `again` has the second outcomes (stock, aioxide)."""
    names = dict.fromkeys([*(stock.tests if stock else ()), *ours.tests])
    return [
        _judge(
            name,
            stock.tests.get(name) if stock else None,
            ours.tests.get(name),
            again.get(name, (None, None)),
            exclusion_of(name, suite.exclusions),
        )
        for name in names
    ]


def _judge(
    name: str,
    stock: Outcome | None,
    ours: Outcome | None,
    again: tuple[Outcome | None, Outcome | None],
    exclusion: Exclusion | None,
) -> Judged:
    if exclusion is not None:
        if ours is not None and ours.outcome == "passed" and not exclusion.skip:
            return Judged(name, Verdict.NOT_EXCLUDED, exclusion.reason)
        return Judged(name, Verdict.EXCLUDED, exclusion.reason)
    if ours is None:
        return Judged(name, Verdict.MISSING)
    if ours.good and (stock is None or stock.good):
        # Skipped here and run there would be a hole.
        if stock is not None and stock.outcome == "passed" and ours.outcome == "skipped":
            return Judged(name, Verdict.MISSING, f"skipped: {ours.detail}")
        passed = ours.outcome == "passed"
        return Judged(name, Verdict.PASSED if passed else Verdict.SKIPPED)
    stock_again, ours_again = again
    if not ours.good:
        if stock is not None and not stock.good:
            return Judged(name, Verdict.BOTH, stock.detail)
        if ours_again is not None and ours_again.good:
            return Judged(name, Verdict.FLAKY, f"failed on aioxide, then passed\n{ours.detail}")
        if stock_again is not None and not stock_again.good:
            return Judged(name, Verdict.BOTH, f"passed on asyncio, then failed\n{ours.detail}")
        return Judged(name, Verdict.FAILED, ours.detail)
    assert stock is not None
    if stock_again is not None and stock_again.good:
        return Judged(name, Verdict.FLAKY, f"failed on asyncio, then passed\n{stock.detail}")
    return Judged(name, Verdict.BETTER, stock.detail)


OURS = "aioxide.events.EventLoop"


def loop_trouble(suite: Suite, stock: Record | None, ours: Record) -> list[str]:
    """Why it cannot be said that the suite ran on aioxide; nothing if it can."""
    found = []
    mine = ours.loops.get(OURS, 0)
    others = {name: count for name, count in ours.loops.items() if name != OURS}
    if mine == 0:
        found.append("no loop of aioxide was made")
    if others and not suite.other_loops:
        found.append(f"loops that are not aioxide's were made: {others}")
    if suite.other_loops and not others:
        found.append(f"only aioxide's loops were made: other_loops ({suite.other_loops}) is stale")
    if stock is not None:
        if stock.loops.get(OURS):
            found.append("the control ran on aioxide")
        usual = sum(stock.loops.values())
        if mine + sum(others.values()) < usual * 0.9:
            found.append(f"{usual} loops were made on asyncio, and {ours.loops} on aioxide")
    return found


def unused_patterns(suite: Suite, ours: Record, stock: Record | None) -> list[str]:
    """Patterns of exclusions that name no test: a typing error, or a test that is gone."""
    names = ours.tests.keys() | (stock.tests.keys() if stock else set())
    return [
        f"exclusion {pattern!r} names no test"
        for exclusion in suite.exclusions
        if not exclusion.skip
        for pattern in exclusion.tests
        if not any(pattern in exclusion.matching(name) for name in names)
    ]
