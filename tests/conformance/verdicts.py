"""What an outcome means, given what was expected and what stock asyncio does on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from .outcomes import Outcome, TestOutcome

if TYPE_CHECKING:
    from .expectations import Expectation

OnControl = Callable[[list[str]], Mapping[str, TestOutcome]]


class Verdict(StrEnum):
    """The meaning of an outcome."""

    PASSED = "passed"
    SKIPPED = "skipped"
    EXPECTED = "expected"
    ENVIRONMENT = "environment"
    OMITTED = "omitted"
    FAILED = "failed"
    UNEXPECTED_SUCCESS = "unexpected success"
    UNEXPECTED_SKIP = "unexpected skip"
    UNUSED = "unused expectation"

    @property
    def is_failure(self) -> bool:
        """Whether this must not be."""
        return self in _FAILURES


_FAILURES = frozenset(
    {Verdict.FAILED, Verdict.UNEXPECTED_SUCCESS, Verdict.UNEXPECTED_SKIP, Verdict.UNUSED}
)


@dataclass(frozen=True)
class Judged:
    """A test, its outcome, what that means, and why."""

    test: str
    outcome: Outcome
    verdict: Verdict
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ModuleReport:
    """Everything about one module of tests."""

    module: str
    gated: bool
    seconds: float
    tests: tuple[Judged, ...] = field(default=())

    def count(self, *verdicts: Verdict) -> int:
        """How many tests have one of these verdicts."""
        counts = Counter(judged.verdict for judged in self.tests)
        return sum(counts[verdict] for verdict in verdicts)

    @property
    def failures(self) -> list[Judged]:
        """The tests that must not end as they did."""
        return [judged for judged in self.tests if judged.verdict.is_failure]


def judge(
    outcomes: Iterable[TestOutcome],
    expectations: Iterable[Expectation],
    on_control: OnControl | None,
    *,
    complete: bool = True,
) -> list[Judged]:
    """Judge the tests of one module.

    `on_control` runs tests on stock asyncio, and is asked about those that did not pass and that
    nobody expected not to: what fails or is skipped there too is a matter of the machine. With
    `complete` all tests of the module were run, so that an expectation which names none is wrong.
    """
    outcomes, expectations = list(outcomes), list(expectations)
    doubtful = [
        test.test
        for test in outcomes
        if (test.outcome.is_failure or test.outcome is Outcome.SKIPPED)
        and not _fulfilled(test, expectations)
    ]
    control = on_control(doubtful) if on_control is not None and doubtful else {}
    judged = [
        _judge_test(test, expectations, control, controlled=on_control is not None)
        for test in outcomes
    ]
    if complete:
        judged += [
            Judged(
                expectation.pattern,
                Outcome.NOT_RUN,
                Verdict.UNUSED,
                f"names no test: {expectation.reason}",
            )
            for expectation in expectations
            if not any(expectation.names(test.test) for test in outcomes)
        ]
    return judged


def _fulfilled(test: TestOutcome, expectations: Iterable[Expectation]) -> Expectation | None:
    """The expectation that the outcome fulfils. Nobody may expect a crash."""
    for expectation in expectations:
        if expectation.is_fulfilled_by(test.outcome) and expectation.names(test.test):
            return expectation
    return None


def _judge_test(
    test: TestOutcome,
    expectations: Iterable[Expectation],
    control: Mapping[str, TestOutcome],
    *,
    controlled: bool,
) -> Judged:
    verdict, reason = _verdict(test, expectations, control, controlled=controlled)
    return Judged(test.test, test.outcome, verdict, reason, test.detail, test.seconds)


def _verdict(
    test: TestOutcome,
    expectations: Iterable[Expectation],
    control: Mapping[str, TestOutcome],
    *,
    controlled: bool,
) -> tuple[Verdict, str]:
    fulfilled = _fulfilled(test, expectations)
    if fulfilled is not None:
        return Verdict.EXPECTED, fulfilled.explanation
    if test.outcome is Outcome.OMITTED:
        return Verdict.OMITTED, test.detail
    if test.outcome is Outcome.PASSED:
        for expectation in expectations:
            if expectation.names(test.test):
                return Verdict.UNEXPECTED_SUCCESS, f"expected: {expectation.explanation}"
        return Verdict.PASSED, ""
    stock = control.get(test.test)
    if test.outcome is Outcome.SKIPPED:
        if not controlled or (stock is not None and stock.outcome is Outcome.SKIPPED):
            return Verdict.SKIPPED, test.detail
        return Verdict.UNEXPECTED_SKIP, "stock asyncio does not skip it"
    if stock is not None and _as_bad(stock.outcome, test.outcome):
        return Verdict.ENVIRONMENT, "fails on stock asyncio too"
    return Verdict.FAILED, ""


def _as_bad(stock: Outcome, ours: Outcome) -> bool:
    """Whether stock asyncio does no better. A failure there does not excuse a crash here."""
    if ours in (Outcome.CRASHED, Outcome.HUNG):
        return stock in (Outcome.CRASHED, Outcome.HUNG)
    return stock.is_failure
