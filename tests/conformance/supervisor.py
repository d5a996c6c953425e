"""Run one module of tests in child processes, until each of its tests has an outcome.

One child is enough if nothing goes wrong. A test that crashes or hangs takes its process with it;
the stack goes to that test, and another child runs the tests that are left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .outcomes import Job, Outcome, TestOutcome

if TYPE_CHECKING:
    from .suite import Suite

RUN = Path(__file__).resolve().with_name("run.py")

#: What the watchdog inside a child may be late by before the child is killed from outside.
GRACE = 10.0

#: How long a test that is known to hang may do so, in seconds.
BRIEF_TIMEOUT = 5.0

#: How much of the output of a lost process is shown.
TAIL = 6000

#: How long a module waits for its process before looking again at what was written, in seconds.
POLL = 0.05


class InterruptedRunError(Exception):
    """The user gave up."""


@dataclass
class ModuleRun:
    """The outcome of each test of a module, by its id, and how long all of it took."""

    module: str
    tests: dict[str, TestOutcome] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, test: str, outcome: Outcome, detail: str = "", seconds: float = 0.0) -> None:
        """Note an outcome. The first one stays: a failed set-up is not undone by what follows."""
        self.tests.setdefault(test, TestOutcome(test, outcome, detail, seconds))


@dataclass(frozen=True)
class Supervisor:
    """How to run modules: of which suite, on what, with which limits.

    A test may take `timeout` seconds; a module may lose `max_losses` processes to crashes and hangs
    before the rest of it is given up. Tests that `brief` names are known to hang: they are given
    only a few seconds to do so, and the processes they take are not counted.

    The processes are given `environment`, never the one of the moment: pytest sets a variable
    before each test of its own, and a process that a thread starts just then cannot be started
    (EFAULT: setenv() moves the array that execv() is reading).
    """

    suite: Suite
    implementation: str
    timeout: float
    max_losses: int
    brief: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(
        self,
        module: str,
        *,
        only: Iterable[str] | None = None,
        patterns: Iterable[str] = (),
    ) -> ModuleRun:
        """Run `module`, or only some tests of it, given by their ids or by `patterns`."""
        job = Job(
            package=self.suite.package,
            search_path=self.suite.search_path,
            module=module,
            implementation=self.implementation,
            only=None if only is None else frozenset(only),
            patterns=list(patterns),
            timeout=self.timeout,
            brief=list(self.brief),
            brief_timeout=BRIEF_TIMEOUT,
        )
        run = ModuleRun(module)
        started = time.perf_counter()
        complete = False
        while not complete:
            with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
                complete = self._run_child(run, job, Path(folder))
            if not complete and self._losses(run) >= self.max_losses:
                run.add(module, Outcome.NOT_RUN, f"given up: lost {self.max_losses} processes")
                break
        run.seconds = time.perf_counter() - started
        return run

    def _losses(self, run: ModuleRun) -> int:
        """How many tests took their process with them and were not known to."""
        return sum(
            test.outcome in (Outcome.CRASHED, Outcome.HUNG)
            and not any(fnmatchcase(test.test, pattern) for pattern in self.brief)
            for test in run.tests.values()
        )

    def _run_child(self, run: ModuleRun, job: Job, folder: Path) -> bool:
        """Run one process and take in what it told; False if tests may be left."""
        events, stacks = folder / "events", folder / "stacks"
        replace(job, done=frozenset(run.tests), events=str(events), stacks=str(stacks)).write(
            folder / "job"
        )
        work = folder / "work"
        work.mkdir()
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", str(RUN), "--child", str(folder / "job")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=work,
                env=self.environment,
                start_new_session=True,
            )
            killed = self._wait(process, events)
        stuck = _read(stacks)
        loss = _Loss(
            process.returncode, bool(stuck) or killed, stuck or _read(folder / "output")[-TAIL:]
        )
        return _take_in(run, events, loss)

    def _wait(self, process: subprocess.Popen[bytes], events: Path) -> bool:
        """Wait for the end of the process or of its progress; leave nothing of it behind.

        True if the process had to be killed.
        """
        limit = self.timeout + GRACE
        size, deadline = -1, 0.0
        try:
            while not _has_exited(process.pid):
                now = events.stat().st_size if events.exists() else 0
                if now != size:
                    size, deadline = now, time.monotonic() + limit
                if self.stop.is_set():
                    raise InterruptedRunError
                if time.monotonic() > deadline:
                    # Its own watchdog failed. Once more for the stacks, then for good.
                    process.send_signal(signal.SIGABRT)
                    deadline = time.monotonic() + GRACE
                    while not _has_exited(process.pid) and time.monotonic() < deadline:
                        time.sleep(POLL)
                    return True
                time.sleep(POLL)
        finally:
            # Not reaped yet, so its number is still its own, and that of its process group.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return False


def _has_exited(pid: int) -> bool:
    """Whether the process ended; it stays to be reaped."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, flags) is not None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@dataclass(frozen=True)
class _Loss:
    """How a process ended, for the case that this is what became of a test."""

    code: int
    hung: bool
    output: str

    @property
    def outcome(self) -> Outcome:
        return Outcome.HUNG if self.hung else Outcome.CRASHED

    def describe(self) -> str:
        """What to show for the test that was running."""
        if self.hung:
            ending = "no progress within the time limit"
        elif self.code < 0:
            ending = f"killed by {signal.Signals(-self.code).name}"
        else:
            ending = f"the process left with exit code {self.code}"
        return f"{ending}\n{self.output}"


def _take_in(run: ModuleRun, path: Path, loss: _Loss) -> bool:
    """Add what a child wrote to `run`; True if there is nothing left to run."""
    planned: list[str] = []
    running: str | None = None
    ended = False
    before = len(run.tests)
    for line in _read(path).splitlines():
        event: dict[str, Any] = json.loads(line)
        match event.pop("event"):
            case "plan":
                planned = event["tests"]
            case "start":
                running = event["test"]
            case "outcome":
                running = None
                run.add(event["test"], Outcome(event["outcome"]), event["detail"], event["seconds"])
            case "step":
                _take_in_step(run, planned, event)
            case "module":
                run.add(run.module, Outcome(event["outcome"]), event["detail"])
            case "end":
                ended = True
    if ended:
        for test in planned:
            run.add(test, Outcome.NOT_RUN, "never started, though the module came to its end")
        if loss.code != 0:
            run.add(f"{run.module}.exit", loss.outcome, loss.describe())
        return True
    if running is not None:
        run.add(running, loss.outcome, loss.describe())
        return False
    if len(run.tests) == before or all(test in run.tests for test in planned):
        # Nothing was running: the next child would end the same way.
        run.add(run.module, loss.outcome, loss.describe())
        return True
    return False


def _take_in_step(run: ModuleRun, planned: list[str], event: dict[str, Any]) -> None:
    """What happens around tests: a set-up speaks for all its tests, the rest for itself."""
    scope, outcome, detail = event["scope"], Outcome(event["outcome"]), event["detail"]
    if not event["step"].startswith("setUp"):
        run.add(f"{scope}.{event['step']}", outcome, detail)
        return
    for test in planned:
        if test.startswith(f"{scope}."):
            run.add(test, outcome, f"{event['step']}: {detail}")
