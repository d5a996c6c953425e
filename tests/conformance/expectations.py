"""`expectations.toml`: which tests are known to end differently than on asyncio, and why.

An entry is a claim and is held to it: a test that it names and that passes fails the run, and so
does a pattern that names no test.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .outcomes import Outcome

FILE = Path(__file__).resolve().with_name("expectations.toml")

#: The tables of the file. They differ in what they promise, not in how they are applied.
TABLES = ("divergence", "not_implemented")

_KEYS = frozenset({"tests", "but_not", "reason", "outcome", "pythons", "upstream"})
_OUTCOMES = {"failure": Outcome.FAILED, "skip": Outcome.SKIPPED, "hang": Outcome.HUNG}
_VERSION = re.compile(r"(>=|<|)(\d+)\.(\d+)")


class ExpectationsError(Exception):
    """The file says something that has no meaning; the message names the entry."""


@dataclass(frozen=True)
class Expectation:
    """One pattern of one entry. It belongs to one module of tests: `test_x.Class.test_y*`."""

    pattern: str
    outcome: Outcome
    table: str
    reason: str
    upstream: str | None = None
    but_not: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module whose tests the pattern can name."""
        return self.pattern.partition(".")[0]

    def names(self, test: str) -> bool:
        """Whether the test is one of those."""
        return fnmatchcase(test, self.pattern) and not any(
            fnmatchcase(test, pattern) for pattern in self.but_not
        )

    def is_fulfilled_by(self, outcome: Outcome) -> bool:
        """Whether this is what was expected. What hangs on one machine fails on a slower one."""
        return outcome is self.outcome or (
            self.outcome is Outcome.HUNG and outcome is Outcome.FAILED
        )

    @property
    def explanation(self) -> str:
        """The reason, with what it rests on."""
        return self.reason if self.upstream is None else f"{self.reason} ({self.upstream})"


def load_expectations(
    path: Path = FILE, version: tuple[int, int] = sys.version_info[:2]
) -> tuple[Expectation, ...]:
    """The expectations that hold on a Python of this version."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = content.keys() - set(TABLES)
    if unknown:
        raise ExpectationsError(f"{path.name}: unknown table {min(unknown)!r}")
    return tuple(
        expectation
        for table in TABLES
        for entry in content.get(table, [])
        if _holds(entry, version)
        for expectation in _read_entry(table, entry)
    )


def _read_entry(table: str, entry: dict[str, Any]) -> list[Expectation]:
    tests, reason = entry.get("tests"), entry.get("reason")
    if not tests or not reason:
        raise ExpectationsError(f"an entry of {table} needs both tests and a reason: {entry}")
    if unknown := entry.keys() - _KEYS:
        raise ExpectationsError(f"an entry of {table} has an unknown key {min(unknown)!r}")
    outcome = entry.get("outcome", "failure")
    if outcome not in _OUTCOMES:
        raise ExpectationsError(f"outcome is one of {', '.join(_OUTCOMES)}, not {outcome!r}")
    for pattern in tests:
        if not re.match(r"\w+\.", pattern):
            raise ExpectationsError(f"{pattern!r} does not begin with the name of one module")
    return [
        Expectation(
            pattern,
            _OUTCOMES[outcome],
            table,
            reason,
            entry.get("upstream"),
            tuple(entry.get("but_not", ())),
        )
        for pattern in tests
    ]


def _holds(entry: dict[str, Any], version: tuple[int, int]) -> bool:
    """Whether `pythons`, a list of "3.13", ">=3.14", "<3.12", has this version; no list has all."""
    return "pythons" not in entry or any(_has(spec, version) for spec in entry["pythons"])


def _has(spec: str, version: tuple[int, int]) -> bool:
    parsed = _VERSION.fullmatch(spec)
    if parsed is None:
        raise ExpectationsError(f"a Python is '3.13', '>=3.13' or '<3.13', not {spec!r}")
    bound = (int(parsed[2]), int(parsed[3]))
    match parsed[1]:
        case ">=":
            return version >= bound
        case "<":
            return version < bound
        case _:
            return version == bound
