"""Runs of a suite: one process at a time for each, started again after a crash or a hang."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .environment import HERE, Cache, environ
from .verdicts import Outcome, Record

if TYPE_CHECKING:
    from .table import Suite, Table

#: How often a run may crash before what is left is given up.
RESTARTS = 3
#: How long a process may take to exit when its tests are over.
EXIT_SECONDS = 20


class Session:
    """The runs of the suites of one table in one cache."""

    def __init__(self, table: Table, cache: Cache) -> None:
        self.table = table
        self.cache = cache

    def run(self, suite: Suite, implementation: str, only: Iterable[str] | None = None) -> Record:
        """Run a suite, or these tests of it, on one implementation."""
        again = "" if only is None else "-again"
        stem = self.cache.records() / f"{suite.name}-{implementation}{again}"
        record = stem.with_suffix(".jsonl")
        record.unlink(missing_ok=True)
        selection = stem.with_suffix(".only")
        selection.unlink(missing_ok=True)
        if only is not None:
            selection.write_text("".join(f"{test}\n" for test in only))
        skipped = [p for each in suite.exclusions if each.skip for p in each.tests]
        ignored = stem.with_suffix(".skip")
        ignored.write_text("".join(f"{pattern}\n" for pattern in skipped))
        variables = {
            **environ(),
            "AIOXIDE_DOWNSTREAM_RECORD": str(record),
            "AIOXIDE_DOWNSTREAM_IMPLEMENTATION": implementation,
            "AIOXIDE_DOWNSTREAM_BY_NAME": "1" if suite.by_name else "0",
            "AIOXIDE_DOWNSTREAM_ONLY": str(selection) if only is not None else "",
            "AIOXIDE_DOWNSTREAM_SKIP": str(ignored),
            "AIOXIDE_DOWNSTREAM_STANDIN": str(HERE / suite.standin) if suite.standin else "",
        }
        if suite.standin:
            # The programs that the tests start find it as well.
            variables["PYTHONPATH"] = variables["AIOXIDE_DOWNSTREAM_STANDIN"]
        started = time.monotonic()
        trouble: list[str] = []
        folder = self.cache.sources(suite, implementation)
        with stem.with_suffix(".log").open("wb") as log:
            for _ in range(RESTARTS + 1):
                left = suite.seconds - (time.monotonic() - started)
                problem = self._process(suite, folder, variables, log, left)
                if problem is None or left <= 0 or not _blame(record, problem):
                    break
        if problem is not None:
            trouble.append(f"{implementation}: {problem}, see {stem.with_suffix('.log')}")
        made = read(record)
        made.seconds = time.monotonic() - started
        made.trouble = trouble + made.trouble
        return made

    def _process(
        self, suite: Suite, folder: Path, variables: dict[str, str], log: object, seconds: float
    ) -> str | None:
        """One process; None if it came to its end, else what became of it."""
        command = [
            *(str(self.cache.python(self.table, suite)), "-P", "-m", "pytest"),
            *("-p", "aioxide_downstream", "-p", "no:cacheprovider", "-o", "addopts="),
            *("-o", "faulthandler_timeout=90", "-o", "faulthandler_exit_on_timeout=true"),
            *(f"--timeout={suite.test_seconds}", "--timeout-method=signal", "--tb=short", "-q"),
            "--continue-on-collection-errors",
            *suite.arguments,
        ]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,  # type: ignore[call-overload]
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        record = Path(variables["AIOXIDE_DOWNSTREAM_RECORD"])
        try:
            code = _wait(process, record, seconds)
        except subprocess.TimeoutExpired:
            if _ended(record):
                return f"did not exit in {EXIT_SECONDS} s after its last test"
            return f"the time limit of {suite.seconds} s"
        finally:
            # Whatever the suite started and left goes with it: the session is its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if _ended(record):
            return None
        return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _wait(process: subprocess.Popen[bytes], record: Path, seconds: float) -> int:
    """Wait for a process; one that has nothing left to run must exit soon."""
    limit = time.monotonic() + max(seconds, 1)
    while True:
        try:
            return process.wait(2)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if _ended(record):
                limit = min(limit, now + EXIT_SECONDS)
            if now >= limit:
                raise


def _entries(record: Path) -> list[dict[str, object]]:
    if not record.exists():
        return []
    return [json.loads(line) for line in record.read_text().splitlines() if line.endswith("}")]


def _ended(record: Path) -> bool:
    entries = _entries(record)
    return bool(entries) and "end" in entries[-1]


def _blame(record: Path, problem: str) -> bool:
    """Lay the end of a process to the test that was running; False if there was none."""
    entries = _entries(record)
    if not entries or "start" not in entries[-1]:
        return False
    blamed = {"test": entries[-1]["start"], "outcome": "crashed", "detail": problem}
    with record.open("a") as stream:
        stream.write(json.dumps(blamed) + "\n")
    return True


def read(path: Path) -> Record:
    """The record that the plugin has written."""
    record = Record()
    loops: Counter[str] = Counter()
    for entry in _entries(path):
        made = entry.get("loops", {})
        assert isinstance(made, dict)
        loops.update(made)
        if "test" in entry:
            seconds = entry.get("seconds", 0.0)
            assert isinstance(seconds, float | int)
            outcome = Outcome(str(entry["outcome"]), str(entry.get("detail", "")), seconds)
            record.tests[str(entry["test"])] = outcome
    record.loops = dict(loops)
    if not record.tests:
        record.trouble.append("no test was run")
    return record
