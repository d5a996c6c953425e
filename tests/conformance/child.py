"""The child process: one module of tests on one implementation.

It announces the tests it found, then each start and each outcome. A test that outlasts its time
limit ends the process: `faulthandler` writes all stacks and exits, even if the test never lets go
of the GIL. The supervisor starts another child for the tests that are left.
"""

from __future__ import annotations

import faulthandler
import importlib
import signal
import sys
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from .implementations import CHOICES, Implementation
from .outcomes import Job, Outcome
from .result import EventFile, StreamingResult
from .substitution import omitted_classes, substitute_in_module, substitute_names


def main(job_path: Path) -> int:
    """Do the job; the exit code says only whether the process came to its end."""
    job = Job.read(job_path)
    stacks = open(job.stacks, "w", encoding="utf-8")  # noqa: SIM115 - open for the process's life
    faulthandler.enable()
    # A shell may start the runner with SIGINT ignored; the tests of Ctrl-C need Python's handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch(test: str | None) -> None:
        faulthandler.dump_traceback_later(job.limit(test), exit=True, file=stacks)

    watch(None)
    events = EventFile(job.events)
    if job.search_path is not None:
        sys.path.insert(0, job.search_path)
    implementation = CHOICES[job.implementation].load()
    substitute_names(implementation)
    try:
        module = importlib.import_module(f"{job.package}.{job.module}")
    except unittest.SkipTest as skipped:
        events.write("module", outcome=Outcome.SKIPPED, detail=str(skipped))
    except Exception:
        events.write("module", outcome=Outcome.FAILED, detail=traceback.format_exc())
    else:
        substitute_in_module(implementation, module)
        result = StreamingResult(events, f"{job.package}.", watch)
        _select(job, implementation, module, result, events).run(result)
    events.write("end")
    # What follows is the end of the interpreter, which must neither crash nor hang either.
    watch(None)
    return 0


def _select(
    job: Job,
    implementation: Implementation,
    module: ModuleType,
    result: StreamingResult,
    events: EventFile,
) -> unittest.TestSuite:
    """The tests to run now, all of them announced."""
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    omitted = omitted_classes(implementation, module)
    chosen: list[unittest.TestCase] = []
    for test in _flatten(loaded):
        test_id = result.short_id(test)
        if not job.wants(test_id):
            continue
        reason = omitted.get(type(test).__qualname__)
        if reason is None:
            chosen.append(test)
        else:
            events.write(
                "outcome", test=test_id, outcome=Outcome.OMITTED, detail=reason, seconds=0.0
            )
    events.write("plan", tests=[result.short_id(test) for test in chosen])
    return unittest.TestSuite(chosen)


def _flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _flatten(item)
        else:
            yield item
