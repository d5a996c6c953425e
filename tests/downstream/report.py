"""What a run says: a table, what failed, and a record for machines."""

from __future__ import annotations

import json
import platform
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from .verdicts import OURS, Judged, Report, Verdict

FORMAT = 1
_COLUMNS = (
    ("passed", (Verdict.PASSED,)),
    ("only ours", (Verdict.FAILED, Verdict.MISSING, Verdict.NOT_EXCLUDED)),
    ("both", (Verdict.BOTH,)),
    ("better", (Verdict.BETTER,)),
    ("flaky", (Verdict.FLAKY,)),
    ("excluded", (Verdict.EXCLUDED,)),
    ("skipped", (Verdict.SKIPPED,)),
)
_LEGEND = """\
only ours: fails on aioxide and not on asyncio, the only column that fails the run; both: fails on
asyncio here too; better: fails on asyncio only; flaky: the two runs of a test differ; excluded:
with its reason in suites.toml; loops: made by the tests and aioxide's, of all that were made"""
#: Verdicts whose tests are named; the others are only counted.
_NAMED = (
    Verdict.BOTH,
    Verdict.BETTER,
    Verdict.FLAKY,
    Verdict.FAILED,
    Verdict.MISSING,
    Verdict.NOT_EXCLUDED,
)


def _count(report: Report, verdicts: Iterable[Verdict]) -> int:
    return sum(report.count(verdict) for verdict in verdicts)


def table(reports: Sequence[Report]) -> str:
    """One line for each suite."""
    head = f"{'suite':<20}" + "".join(f"{name:>10}" for name, _ in _COLUMNS)
    lines = [f"{head}{'asyncio':>10}{'aioxide':>10}{'loops':>12}"]
    for report in reports:
        counts = "".join(f"{_count(report, verdicts):>10}" for _, verdicts in _COLUMNS)
        times = "".join(
            f"{report.seconds[name]:>8.0f} s" if name in report.seconds else f"{'':>10}"
            for name in ("asyncio", "aioxide")
        )
        made = report.loops["aioxide"]
        loops = f"{made.get(OURS, 0)}/{sum(made.values())}"
        lines.append(
            f"{f'{report.suite.name} {report.suite.version}':<20}{counts}{times}{loops:>12}"
        )
    return "\n".join([*lines, _LEGEND])


def details(reports: Sequence[Report]) -> str:
    """Every test that is not plainly passed or skipped; with its traceback if it counts."""
    parts: list[str] = []
    for report in reports:
        for verdict in _NAMED:
            named = [judged for judged in report.tests if judged.verdict is verdict]
            if named:
                parts.append(f"== {report.suite.name}: {verdict.value} ({len(named)})")
                parts += [_shown(judged) for judged in named]
        parts += [f"== {report.suite.name}: {text}" for text in report.trouble]
    return "\n".join(parts)


def _shown(judged: Judged) -> str:
    if not (judged.verdict.is_failure or judged.verdict is Verdict.FLAKY):
        return f"   {judged.test}"
    detail = textwrap.indent(judged.detail.strip()[-3000:], "      ")
    return f"-- {judged.test}\n{detail}".rstrip()


def write_record(path: Path, reports: Sequence[Report], seconds: float) -> None:
    """The JSON record, for docs/compatibility.md."""
    record = {
        "format": FORMAT,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "seconds": round(seconds, 1),
        "suites": [
            {
                "name": report.suite.name,
                "version": report.suite.version,
                "verdicts": {verdict.name: report.count(verdict) for verdict in Verdict},
                "trouble": report.trouble,
                "seconds": {name: round(took, 1) for name, took in report.seconds.items()},
                "loops": report.loops,
                "tests": {
                    verdict.name: [j.test for j in report.tests if j.verdict is verdict]
                    for verdict in _NAMED
                },
            }
            for report in reports
        ],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
