"""The command line. Exit code 0: all as expected; 1: something is not; 2: it could not be run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .expectations import ExpectationsError, load_expectations
from .implementations import CHOICES
from .record import write_record
from .report import every_test, failures_text, module_line, summary_table, totals
from .session import DEFAULT_JOBS, DEFAULT_TIMEOUT, Session
from .suite import NoSuiteError, installed_suite

if TYPE_CHECKING:
    from .verdicts import ModuleReport

#: The implementation that `expectations.toml` speaks about.
HOME = "aioxide"


class UsageError(Exception):
    """What was asked for cannot be done; the message is for the user."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance",
        description="Run CPython's own asyncio tests on another implementation of asyncio.",
    )
    parser.add_argument(
        "--impl", choices=CHOICES, default=HOME, help="what to test (default: %(default)s)"
    )
    parser.add_argument(
        "--module", action="append", metavar="NAME", help="only this module of tests; repeatable"
    )
    parser.add_argument(
        "-k", action="append", default=[], metavar="PATTERN", help="only tests with such an id"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="time limit of one test (default: %(default)g)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=DEFAULT_JOBS,
        metavar="N",
        help="processes at a time (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every outcome there")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every test")
    return parser


def make_session(
    implementation: str, *, patterns: Sequence[str] = (), timeout: float = DEFAULT_TIMEOUT
) -> Session:
    """The session over the installed suite that both the command line and pytest run."""
    if not CHOICES[implementation].is_installed():
        raise UsageError(f"{implementation} is not installed for {sys.executable}")
    return Session(
        suite=installed_suite(),
        implementation=implementation,
        expectations=load_expectations() if implementation == HOME else (),
        patterns=tuple(patterns),
        timeout=timeout,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say."""
    options = _parser().parse_args(arguments)
    try:
        session = make_session(options.impl, patterns=options.k, timeout=options.timeout)
        modules = _modules(session, options.module)
        if options.timeout <= 0 or options.jobs <= 0:
            raise UsageError("--timeout and --jobs must be positive")
    except (UsageError, NoSuiteError, ExpectationsError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    version = CHOICES[options.impl].version()
    print(f"{options.impl} {version} on Python {platform.python_version()}", flush=True)
    started = time.perf_counter()
    reports: list[ModuleReport] = []
    try:
        for report in session.run_modules(modules, options.jobs):
            reports.append(report)
            print(module_line(report), flush=True)
            if options.verbose:
                print(every_test(report), flush=True)
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - started
    if options.json is not None:
        write_record(options.json, options.impl, version, seconds, reports)
    return conclude(reports, seconds)


def _modules(session: Session, names: list[str] | None) -> list[str]:
    known = session.suite.modules
    for name in names or ():
        if name not in known:
            raise UsageError(f"no module {name!r}; there are {', '.join(sorted(known))}")
    return [module for module in known if names is None or module in names]


def conclude(reports: list[ModuleReport], seconds: float) -> int:
    """Print what the run came to; the exit code."""
    sums = totals(reports)
    if failures := failures_text(reports):
        print(f"\n{failures}")
    print(f"\n{summary_table(reports)}\n{seconds:.0f} seconds, {os.cpu_count()} processors")
    print(sums)
    return 1 if sums.failed else 0
