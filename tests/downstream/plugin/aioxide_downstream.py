"""The pytest plugin under which somebody else's suite runs: chooses the loop, keeps the record.

It is loaded with ``-p`` before the suite's first conftest, in an environment that has the suite's
dependencies and nothing of ours but aioxide. Every start and every outcome is a line of the record
as soon as it is known, so that a crash or a hang can be blamed on its test. Each line says how many
loops were made meanwhile, and whose: a suite that went around aioxide shows.
"""

from __future__ import annotations

import asyncio
import fnmatch
import functools
import gc
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECORD = Path(os.environ["AIOXIDE_DOWNSTREAM_RECORD"])
IMPLEMENTATION = os.environ["AIOXIDE_DOWNSTREAM_IMPLEMENTATION"]
#: Also let classes that derive from the selector loop by name derive from aioxide's.
BY_NAME = os.environ.get("AIOXIDE_DOWNSTREAM_BY_NAME") == "1"
DETAIL = 6000


class Loops:
    """How many loops of each class were made since it was asked last."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()

    def count(self) -> None:
        """Count every loop that is made from now on, of whatever class."""
        initialize = asyncio.BaseEventLoop.__init__

        @functools.wraps(initialize)
        def counting(loop: asyncio.BaseEventLoop) -> None:
            # A suite may derive its own loops: what counts is on which engine they run.
            (root,) = [each for each in type(loop).__mro__ if each in ROOTS] or [type(loop)]
            self.made[f"{root.__module__}.{root.__qualname__}"] += 1
            initialize(loop)

        asyncio.BaseEventLoop.__init__ = counting  # type: ignore[method-assign, assignment]

    def take(self) -> dict[str, int]:
        """The counts, forgotten afterwards."""
        made = dict(self.made)
        self.made.clear()
        return made


def choose() -> set[type]:
    """Put aioxide in place if it was asked for; the classes that are counted under their name."""
    selector = asyncio.SelectorEventLoop
    standin = os.environ.get("AIOXIDE_DOWNSTREAM_STANDIN", "")
    if standin:
        # Imported now, it wins over a package of that name in the suite's own folder.
        sys.path.insert(0, standin)
        for package in os.listdir(standin):
            importlib.import_module(package)
    if IMPLEMENTATION != "aioxide":
        return {selector}
    import aioxide

    if not standin:
        aioxide.install()
    if BY_NAME:
        asyncio.SelectorEventLoop = aioxide.EventLoop  # type: ignore[assignment]
    return {selector, aioxide.EventLoop}


ROOTS = choose()
LOOPS = Loops()
LOOPS.count()


class Recorder:
    """Writes the record."""

    def __init__(self, write: Callable[[dict[str, Any]], None]) -> None:
        self.write = write
        self.phases: list[pytest.TestReport] = []
        self.started = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the test before anything can go wrong in it."""
        self.phases = []
        self.started = time.monotonic()
        self.write({"start": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect set-up, call and teardown."""
        self.phases.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write what the three phases came to."""
        outcome, detail = verdict(self.phases)
        self.write(
            {
                "test": nodeid,
                "outcome": outcome,
                "detail": detail,
                "seconds": round(time.monotonic() - self.started, 3),
                "loops": LOOPS.take(),
            }
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is a test that fails; one that is skipped, skipped."""
        if not report.passed and not os.environ.get("AIOXIDE_DOWNSTREAM_ONLY"):
            outcome = "skipped" if report.skipped else "failed"
            detail = str(report.longrepr)[-DETAIL:]
            name = f"{report.nodeid} (collection)"
            self.write({"start": name})
            self.write({"test": name, "outcome": outcome, "detail": detail, "loops": {}})

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session came to its end by itself."""
        self.write({"end": int(exitstatus), "loops": LOOPS.take()})


def verdict(phases: list[pytest.TestReport]) -> tuple[str, str]:
    """What a test came to, and why."""
    for report in phases:
        if report.failed:
            sections = "\n".join(f"--- {title}\n{text}" for title, text in report.sections)
            return "failed", f"{report.when}: {report.longreprtext}\n{sections}"[-DETAIL:]
    for report in phases:
        if report.skipped:
            expected = hasattr(report, "wasxfail")
            return "xfailed" if expected else "skipped", report.longreprtext[-300:]
    return ("passed", "") if phases else ("failed", "no phase was reported")


def lines(variable: str) -> list[str]:
    """The lines of the file that an environment variable names."""
    path = os.environ.get(variable, "")
    return Path(path).read_text(encoding="utf-8").splitlines() if path else []


def already() -> set[str]:
    """The tests that an earlier process of this run has started: it did not survive them."""
    if not RECORD.exists():
        return set()
    entries = [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()]
    return {entry["start"] for entry in entries if "start" in entry}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is not asked for, what was run before, and what must not be started."""
    only = set(lines("AIOXIDE_DOWNSTREAM_ONLY"))
    done = already()
    skipped = [pattern.replace("[", "[[]") for pattern in lines("AIOXIDE_DOWNSTREAM_SKIP")]
    items[:] = [
        item
        for item in items
        if (not only or item.nodeid in only)
        and item.nodeid not in done
        and not any(fnmatch.fnmatchcase(item.nodeid, pattern) for pattern in skipped)
    ]


def pytest_collection_finish() -> None:
    """Take what exists by now out of the collector's sight: many a suite collects for each test."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Open the record; it is closed with the process."""
    stream = RECORD.open("a", encoding="utf-8", buffering=1)

    def write(entry: dict[str, Any]) -> None:
        stream.write(json.dumps(entry) + "\n")

    config.pluginmanager.register(Recorder(write), "aioxide-downstream-recorder")
