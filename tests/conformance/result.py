"""unittest's events, written as JSON lines that survive a crash of the process.

Each line is one `write` to a file opened for appending: whatever happens next, the supervisor
knows which test was running.
"""

from __future__ import annotations

import json
import os
import re
import time
import unittest
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .outcomes import Outcome

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: The id that unittest gives to what breaks outside of a test: "setUpClass (package.module.Class)".
_STEP = re.compile(r"(setUpClass|tearDownClass|setUpModule|tearDownModule) \((.+)\)")

#: The worst of several reports about one test (its body, its subtests, its tearDown) counts.
_SEVERITY = (Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED)


class EventFile:
    """Where the child process tells what happens."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pid = os.getpid()

    def write(self, event: str, **fields: Any) -> None:
        """Add one event. A forked child of a test runs this code too, but has nothing to tell."""
        if os.getpid() == self._pid:
            line = json.dumps({"event": event, **fields}) + "\n"
            os.write(self._fd, line.encode())


class StreamingResult(unittest.TestResult):
    """A `TestResult` that keeps nothing and writes everything."""

    def __init__(self, events: EventFile, prefix: str, watch: Callable[[str | None], None]) -> None:
        super().__init__()
        self._events = events
        self._prefix = prefix
        self._watch = watch
        self._running: str | None = None
        self._started = 0.0
        self._outcome = Outcome.PASSED
        self._details: list[str] = []

    def short_id(self, test: unittest.TestCase) -> str:
        """The id of a test without the package."""
        return test.id().removeprefix(self._prefix)

    def startTest(self, test: unittest.TestCase) -> None:
        """Announce the test, then start the watchdog."""
        super().startTest(test)
        self._running = self.short_id(test)
        self._outcome, self._details = Outcome.PASSED, []
        self._events.write("start", test=self._running)
        self._watch(self._running)
        self._started = time.perf_counter()

    def stopTest(self, test: unittest.TestCase) -> None:
        """Write the one outcome of the test."""
        super().stopTest(test)
        if self._running is None:
            return  # Python 3.12.1 stops what it skipped and never started.
        seconds = time.perf_counter() - self._started
        self._events.write(
            "outcome",
            test=self._running,
            outcome=self._outcome,
            detail="\n".join(self._details),
            seconds=round(seconds, 4),
        )
        self._running = None
        self._watch(None)

    def addFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        """An assertion failed."""
        self._report(test, Outcome.FAILED, self._text(err, test))

    def addError(self, test: unittest.TestCase, err: ExcInfo) -> None:
        """An exception nobody expected, perhaps outside of any test."""
        self._report(test, Outcome.FAILED, self._text(err, test))

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None
    ) -> None:
        """A part of a test ended."""
        if err is not None:
            self._report(test, Outcome.FAILED, f"{subtest}\n{self._text(err, test)}")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """A test was skipped; whole classes are skipped without being started."""
        self._report(test, Outcome.SKIPPED, reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        """CPython itself expects this test to fail."""
        self._report(test, Outcome.FAILED, "passed, though marked with expectedFailure")

    def _text(self, err: ExcInfo, test: unittest.TestCase) -> str:
        render: Callable[[ExcInfo, unittest.TestCase], str] = super()._exc_info_to_string  # type: ignore[misc]
        return render(err, test)

    def _report(self, test: unittest.TestCase, outcome: Outcome, detail: str) -> None:
        if self._running is not None:
            if _SEVERITY.index(outcome) > _SEVERITY.index(self._outcome):
                self._outcome = outcome
            self._details.append(detail)
            return
        step = _STEP.fullmatch(test.id())
        if step is None:
            self._events.write(
                "outcome", test=self.short_id(test), outcome=outcome, detail=detail, seconds=0.0
            )
        else:
            scope = step[2].removeprefix(self._prefix)
            self._events.write("step", step=step[1], scope=scope, outcome=outcome, detail=detail)
