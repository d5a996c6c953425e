"""The words that the child process and its supervisor share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    """What happened to one test. What that *means* is a `Verdict`."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CRASHED = "crashed"
    HUNG = "hung"
    NOT_RUN = "not run"
    OMITTED = "omitted"

    @property
    def is_failure(self) -> bool:
        """Whether the test ended, or never ended, in any way but passing or being skipped."""
        return self in _FAILURES


_FAILURES = frozenset({Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG, Outcome.NOT_RUN})


@dataclass(frozen=True)
class TestOutcome:
    """The outcome of one test; `test` is its id without the package: `test_x.Class.test_y`.

    A whole module that could not be imported, was skipped, or broke outside of its tests has an
    outcome too, under the name of the module (`test_x`) or of the step (`test_x.tearDownModule`).
    """

    __test__ = False  # Not a test class, whatever pytest thinks of the name.

    test: str
    outcome: Outcome
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """What a child process is to do; it travels as a JSON file.

    `only`: these tests by id, all without it; `patterns`: these by name; `brief`: those that are
    known to hang and are not waited for as long as others; `done`: those that ran before.
    """

    package: str
    search_path: str | None
    module: str
    implementation: str
    only: frozenset[str] | None
    patterns: list[str]
    timeout: float
    brief: list[str] = field(default_factory=list)
    brief_timeout: float = 0.0
    done: frozenset[str] = frozenset()
    events: str = ""
    stacks: str = ""

    def limit(self, test: str | None) -> float:
        """The time limit of a test, in seconds; of what is between tests, without one."""
        if test is not None and any(fnmatchcase(test, pattern) for pattern in self.brief):
            return min(self.brief_timeout, self.timeout)
        return self.timeout

    def wants(self, test: str) -> bool:
        """Whether the test is to be run. A pattern without `*` may be anywhere, as in unittest."""
        if test in self.done or (self.only is not None and test not in self.only):
            return False
        return not self.patterns or any(
            fnmatchcase(test, pattern if "*" in pattern else f"*{pattern}*")
            for pattern in self.patterns
        )

    def write(self, path: Path) -> None:
        """Write the job for a child to read."""
        fields = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in asdict(self).items()
        }
        path.write_text(json.dumps(fields), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read the job that a supervisor wrote."""
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fields["done"] = frozenset(fields["done"])
        fields["only"] = None if fields["only"] is None else frozenset(fields["only"])
        return cls(**fields)
