"""A run over modules: each one on the implementation, on the control where needed, then judged.

The command line and pytest both go through here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .implementations import CONTROL
from .outcomes import Outcome
from .supervisor import Supervisor
from .verdicts import ModuleReport, judge

if TYPE_CHECKING:
    from .expectations import Expectation
    from .outcomes import TestOutcome
    from .suite import Suite
    from .supervisor import ModuleRun

DEFAULT_TIMEOUT = 30.0
DEFAULT_JOBS = 2
DEFAULT_MAX_LOSSES = 10


@dataclass(frozen=True)
class Session:
    """What to run, on what, and what to expect."""

    suite: Suite
    implementation: str
    expectations: tuple[Expectation, ...] = ()
    patterns: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    max_losses: int = DEFAULT_MAX_LOSSES
    stop: threading.Event = field(default_factory=threading.Event)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run_module(self, module: str) -> ModuleReport:
        """Run and judge one module."""
        expectations = [entry for entry in self.expectations if entry.module == module]
        known = {entry.pattern for entry in expectations if entry.outcome is Outcome.HUNG}
        run = self._supervisor(self.implementation, known).run(module, patterns=self.patterns)

        def on_control(tests: list[str]) -> dict[str, TestOutcome]:
            return self._supervisor(CONTROL).run(module, only=tests).tests

        judged = judge(
            run.tests.values(),
            expectations,
            None if self.implementation == CONTROL else on_control,
            complete=not self.patterns and not _is_lost(run),
        )
        return ModuleReport(module, self.suite.is_gated(module), run.seconds, tuple(judged))

    def submit(
        self, pool: ThreadPoolExecutor, modules: Iterable[str]
    ) -> dict[str, Future[ModuleReport]]:
        """Let the threads of `pool` run the modules, in this order."""
        return {module: pool.submit(self.run_module, module) for module in modules}

    def run_modules(self, modules: Iterable[str], jobs: int) -> Iterator[ModuleReport]:
        """Run modules, some at a time, and give their reports as they come."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for future in as_completed(self.submit(pool, modules).values()):
                    yield future.result()
            except BaseException:
                # A thread cannot be interrupted, but it can look up: see Supervisor.
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _supervisor(self, implementation: str, known_to_hang: Iterable[str] = ()) -> Supervisor:
        return Supervisor(
            self.suite,
            implementation,
            self.timeout,
            self.max_losses,
            tuple(known_to_hang),
            self.stop,
            self.environment,
        )


def _is_lost(run: ModuleRun) -> bool:
    """Whether the module could not be loaded, or was given up before all of its tests had run."""
    module = run.tests.get(run.module)
    return module is not None and module.outcome.is_failure
