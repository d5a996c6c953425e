"""The command line. Exit code 0: nothing fails only on aioxide; 1: something does; 2: not run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .environment import Cache, FetchError
from .report import details, table, write_record
from .session import Session
from .table import Suite, Table, TableError, load
from .verdicts import Record, Report, judge, loop_trouble, undecided, unused_patterns

#: More tests than this are not called flaky.
MOST_AGAIN = 60
CACHE = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "downstream"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="downstream", description="Run other projects' own tests on aioxide and on asyncio."
    )
    parser.add_argument("suite", nargs="*", help="only these suites (default: all)")
    parser.add_argument("--list", action="store_true", help="list the suites")
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every count there")
    parser.add_argument(
        "--jobs", type=int, default=min(os.cpu_count() or 1, 2), help="runs at a time: %(default)s"
    )
    return parser


class Runs:
    """The first runs of all suites, several at a time, never two that are in each other's way."""

    def __init__(self, session: Session, suites: Sequence[Suite], jobs: int) -> None:
        self.session = session
        self.records: dict[tuple[str, str], Record] = {}
        self.waiting = [
            (suite, implementation)
            for suite in suites
            for implementation in (("aioxide", "asyncio") if suite.control else ("aioxide",))
        ]
        self.busy: set[str] = set()
        self.changed = threading.Condition()
        self.errors: list[BaseException] = []
        self.jobs = jobs

    def run(self) -> dict[tuple[str, str], Record]:
        """All of them; the record of each."""
        threads = [threading.Thread(target=self._work) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        return self.records

    def _next(self) -> tuple[Suite, str] | None:
        with self.changed:
            while self.waiting and not self.errors:
                for job in self.waiting:
                    needs = {job[0].name, job[0].resource} - {""}
                    if not needs & self.busy:
                        self.waiting.remove(job)
                        self.busy |= needs
                        return job
                self.changed.wait()
        return None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            suite, implementation = job
            try:
                record = self.session.run(suite, implementation)
                self.records[suite.name, implementation] = record
                bad = sum(not outcome.good for outcome in record.tests.values())
                print(
                    f"{suite.name} on {implementation}: {len(record.tests)} tests, {bad} failed, "
                    f"{record.seconds:.0f} s",
                    flush=True,
                )
            except BaseException as error:
                self.errors.append(error)
            with self.changed:
                self.busy -= {suite.name, suite.resource}
                self.changed.notify_all()


def report_on(session: Session, suite: Suite, records: dict[tuple[str, str], Record]) -> Report:
    """The verdicts of one suite, after a second run of what differs."""
    ours = records[suite.name, "aioxide"]
    stock = records.get((suite.name, "asyncio"))
    names = undecided(suite, stock, ours)
    again = {}
    if 0 < len(names) <= MOST_AGAIN:
        second = {
            each: session.run(suite, each, names)
            for each in (("asyncio", "aioxide") if stock else ("aioxide",))
        }
        for name in names:
            pair = [
                second[each].tests.get(name) if each in second else None
                for each in ("asyncio", "aioxide")
            ]
            again[name] = (pair[0], pair[1])
    trouble = [*ours.trouble, *(stock.trouble if stock else [])]
    trouble += loop_trouble(suite, stock, ours) + unused_patterns(suite, ours, stock)
    seconds = {"aioxide": ours.seconds, **({"asyncio": stock.seconds} if stock else {})}
    loops = {"aioxide": ours.loops, **({"asyncio": stock.loops} if stock else {})}
    return Report(suite, judge(suite, stock, ours, again), trouble, seconds, loops)


def _fetch(session: Session, known: Table, suites: Sequence[Suite]) -> list[Suite]:
    """Fetch and install; the suites that cannot be had without a mirror of Debian."""
    missing = []
    for suite in suites:
        try:
            session.cache.archive(suite)
        except FetchError as error:
            if not suite.debian:
                raise
            print(f"{suite.name}: {error}", file=sys.stderr)
            missing.append(suite)
            continue
        session.cache.python(known, suite)
    return missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        known = load(version=sys.version_info[:2])
        names = [suite.name for suite in known.suites]
        if options.list:
            print("\n".join(f"{suite.name} {suite.version}" for suite in known.suites))
            return 0
        for name in options.suite:
            if name not in names:
                raise TableError(f"no suite {name!r}; there are {', '.join(names)}")
        suites = [each for each in known.suites if not options.suite or each.name in options.suite]
        session = Session(known, Cache(options.cache.absolute()))
        missing = _fetch(session, known, suites)
        suites = [suite for suite in suites if suite not in missing]
        if not suites:
            raise FetchError("nothing to run")
        print(
            f"suites of {len(suites)} projects on Python {platform.python_version()} "
            f"({time.monotonic() - started:.0f} s to fetch and install)",
            flush=True,
        )
        records = Runs(session, suites, options.jobs).run()
        reports = [report_on(session, suite, records) for suite in suites]
    except (TableError, FetchError) as error:
        print(f"downstream: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - started
    if options.json is not None:
        write_record(options.json, reports, seconds)
    if text := details(reports):
        print(f"\n{text}")
    for suite in missing:
        print(f"{suite.name}: NOT RUN, its archive could not be fetched")
    print(f"\n{table(reports)}\n{seconds:.0f} seconds, {os.cpu_count()} processors")
    failed = [report.suite.name for report in reports if report.failed]
    print(f"failed: {', '.join(failed)}" if failed else "nothing fails on aioxide alone")
    return 1 if failed else 0
