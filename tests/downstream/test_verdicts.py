"""The runner of other projects' tests: what it counts, what it overlooks, what it reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.downstream.table import Exclusion, Suite, TableError, load, matches
from tests.downstream.verdicts import (
    OURS,
    Outcome,
    Record,
    Verdict,
    judge,
    loop_trouble,
    undecided,
    unused_patterns,
)

SUITE = Suite("some", "1.0", "0" * 64, "environment")
STOCK = "asyncio.unix_events._UnixSelectorEventLoop"


def record(loops: dict[str, int] | None = None, /, **tests: str) -> Record:
    """A run with these outcomes."""
    made = {name: Outcome(outcome, f"{name} {outcome}") for name, outcome in tests.items()}
    return Record(made, loops or {})


def verdict(stock: str | None, ours: str | None, again: tuple[str | None, str | None]) -> Verdict:
    """What one test with these outcomes comes to."""
    second = (Outcome(again[0]) if again[0] else None, Outcome(again[1]) if again[1] else None)
    first = record(None, **({"test": stock} if stock else {}))
    other = record(None, **({"test": ours} if ours else {}))
    (judged,) = judge(SUITE, first, other, {"test": second})
    return judged.verdict


@pytest.mark.parametrize(
    ("stock", "ours", "again", "expected"),
    [
        ("passed", "passed", (None, None), Verdict.PASSED),
        ("skipped", "skipped", (None, None), Verdict.SKIPPED),
        ("xfailed", "xfailed", (None, None), Verdict.SKIPPED),
        ("skipped", "passed", (None, None), Verdict.PASSED),
        ("passed", "skipped", (None, None), Verdict.MISSING),
        ("passed", None, (None, None), Verdict.MISSING),
        ("passed", "failed", (None, None), Verdict.FAILED),
        ("passed", "crashed", (None, None), Verdict.FAILED),
        ("passed", "failed", ("passed", "failed"), Verdict.FAILED),
        ("passed", "failed", ("passed", "passed"), Verdict.FLAKY),
        ("passed", "failed", ("failed", "failed"), Verdict.BOTH),
        ("failed", "failed", (None, None), Verdict.BOTH),
        ("failed", "passed", (None, None), Verdict.BETTER),
        ("failed", "passed", ("failed", "passed"), Verdict.BETTER),
        ("failed", "passed", ("passed", "passed"), Verdict.FLAKY),
        (None, "passed", (None, None), Verdict.PASSED),
    ],
)
def test_verdicts(
    stock: str | None, ours: str | None, again: tuple[str | None, str | None], expected: Verdict
) -> None:
    assert verdict(stock, ours, again) is expected


def test_what_fails_the_run() -> None:
    failing = {each for each in Verdict if each.is_failure}
    assert failing == {Verdict.FAILED, Verdict.MISSING, Verdict.NOT_EXCLUDED}


@pytest.mark.parametrize(
    ("outcome", "skip", "expected"),
    [
        ("failed", False, Verdict.EXCLUDED),
        ("passed", False, Verdict.NOT_EXCLUDED),
        (None, True, Verdict.EXCLUDED),
    ],
)
def test_exclusions_are_strict(outcome: str | None, skip: bool, expected: Verdict) -> None:
    suite = dataclasses.replace(SUITE, exclusions=(Exclusion(("te*",), "why", skip),))
    ours = record(None, **({"test": outcome} if outcome else {}))
    (judged,) = judge(suite, record(test="passed"), ours, {})
    assert judged.verdict is expected
    assert undecided(suite, record(test="passed"), ours) == []


def test_patterns_that_name_nothing() -> None:
    exclusions = (Exclusion(("te*", "nothing"), "why"), Exclusion(("never",), "why", skip=True))
    suite = dataclasses.replace(SUITE, exclusions=exclusions)
    (unused,) = unused_patterns(suite, record(test="failed"), None)
    assert "'nothing'" in unused
    assert matches("a.py::test[x-1]", "a.py::test[x-*]")
    assert not matches("a.py::testx", "a.py::test[x]")


def test_second_runs_are_of_what_differs() -> None:
    stock = record(a="passed", b="failed", c="passed", d="failed")
    ours = record(a="failed", b="passed", c="passed", d="failed")
    assert undecided(SUITE, stock, ours) == ["a", "b"]
    assert undecided(SUITE, None, ours) == ["a", "d"]


@pytest.mark.parametrize(
    ("stock", "ours", "why"),
    [
        ({STOCK: 10}, {OURS: 10}, ""),
        ({STOCK: 10}, {}, "no loop of aioxide was made"),
        ({STOCK: 10}, {OURS: 9, STOCK: 1}, "loops that are not aioxide's"),
        ({STOCK: 10, OURS: 1}, {OURS: 11}, "the control ran on aioxide"),
        ({STOCK: 10}, {OURS: 5}, "10 loops were made on asyncio"),
    ],
)
def test_a_suite_that_goes_around_aioxide(
    stock: dict[str, int], ours: dict[str, int], why: str
) -> None:
    found = loop_trouble(SUITE, record(stock), record(ours))
    assert [why in text for text in found[:1]] == ([True] if why else [])


def test_other_loops_need_a_reason_that_holds() -> None:
    suite = dataclasses.replace(SUITE, other_loops="it has its own")
    assert loop_trouble(suite, None, record({OURS: 1, STOCK: 1})) == []
    assert "stale" in loop_trouble(suite, None, record({OURS: 1}))[0]


def test_the_table_of_the_repository() -> None:
    table = load()
    assert {"aiohttp", "httpx", "starlette", "uvicorn", "uvloop"} <= {s.name for s in table.suites}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[environment.e]\nrequirements = ['x>=1']\n", "not pinned"),
        ("[other]\n", "unknown: other"),
        ("[[suite]]\nname = 'x'\nversion = '1'\nsha256 = 'short'\nenvironment = 'e'\n", "64"),
        (f"[[suite]]\nname='x'\nversion='1'\nsha256='{'0' * 64}'\nenvironment='e'\n", "'e'"),
        ("[[suite]]\nname = 'x'\nwrong = 1\n", "wrong"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "suites.toml"
    path.write_text(text)
    with pytest.raises(TableError, match=why):
        load(path)


def test_exclusions_of_another_python(tmp_path: Path) -> None:
    path = tmp_path / "suites.toml"
    path.write_text(
        "[environment.e]\nrequirements = []\n"
        f"[[suite]]\nname='x'\nversion='1'\nsha256='{'0' * 64}'\nenvironment='e'\n"
        "[[suite.exclusion]]\ntests=['a']\nreason='r'\npythons=['>=3.12', '<3.14']\n"
    )
    counts = [len(load(path, (3, minor)).suites[0].exclusions) for minor in range(11, 16)]
    assert counts == [0, 1, 1, 0, 0]
