"""What the user reads: a line per module, the failures, a table, and one last plain line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .verdicts import Judged, ModuleReport, Verdict

_COLUMNS = (
    ("passed", (Verdict.PASSED,)),
    ("failed", tuple(verdict for verdict in Verdict if verdict.is_failure)),
    ("skipped", (Verdict.SKIPPED,)),
    ("expected", (Verdict.EXPECTED,)),
    ("machine", (Verdict.ENVIRONMENT,)),
    ("omitted", (Verdict.OMITTED,)),
)

_LEGEND = """\
expected: explained in expectations.toml; machine: fails on stock asyncio here too;
omitted: the same test on the same loop again; internals: never fails the run"""


@dataclass(frozen=True)
class Totals:
    """The sums that count: those of the gated modules."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def totals(reports: Iterable[ModuleReport]) -> Totals:
    """Sum up. Whatever neither passed nor failed the run was, in the end, skipped."""
    gated = [report for report in reports if report.gated]
    return Totals(
        passed=sum(report.count(Verdict.PASSED) for report in gated),
        failed=sum(len(report.failures) for report in gated),
        skipped=sum(
            report.count(Verdict.SKIPPED, Verdict.EXPECTED, Verdict.ENVIRONMENT) for report in gated
        ),
    )


def module_line(report: ModuleReport) -> str:
    """One module in one line; only what there is."""
    counts = [
        f"{report.count(*verdicts)} {name}"
        for name, verdicts in _COLUMNS
        if name == "passed" or report.count(*verdicts)
    ]
    group = "" if report.gated else "  (internals)"
    return f"{report.module:<26}{report.seconds:>7.1f} s  {', '.join(counts)}{group}"


def every_test(report: ModuleReport) -> str:
    """One line for each test of the module, for `-v`."""
    return "\n".join(
        f"    {judged.test}: {judged.verdict}" + (f" ({judged.reason})" if judged.reason else "")
        for judged in report.tests
    )


def failure_text(judged: Judged) -> str:
    """A failure with all that is known about it."""
    verdict = f"{judged.verdict}: {judged.reason}" if judged.reason else str(judged.verdict)
    outcome = "" if judged.outcome.value == judged.verdict.value else f" [{judged.outcome}]"
    detail = textwrap.indent(judged.detail.rstrip(), "    ")
    return f"-- {judged.test}{outcome}\n   {verdict}\n{detail}".rstrip()


def failures_text(reports: Sequence[ModuleReport]) -> str:
    """All failures, those that do not count first, so that those that do are close to the end."""
    parts: list[str] = []
    for gated, title in ((False, "internals (not counted)"), (True, "failures")):
        failures = [
            judged for report in reports if report.gated is gated for judged in report.failures
        ]
        if failures:
            parts += [f"== {title} =="] + [failure_text(judged) for judged in failures]
    return "\n".join(parts)


def summary_table(reports: Sequence[ModuleReport]) -> str:
    """The sums by group."""
    lines = ["".join([f"{'':<12}", *(f"{name:>10}" for name, _ in _COLUMNS)])]
    for gated, title in ((True, "conformance"), (False, "internals")):
        group = [report for report in reports if report.gated is gated]
        if group:
            counts = [sum(report.count(*verdicts) for report in group) for _, verdicts in _COLUMNS]
            lines.append("".join([f"{title:<12}", *(f"{count:>10}" for count in counts)]))
    return "\n".join([*lines, _LEGEND])
