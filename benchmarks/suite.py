"""Every benchmark, one after the other, and what came of them.

    python benchmarks/suite.py --record                    everything, into benchmarks/records
    python benchmarks/suite.py --quick                     a first impression, in a few minutes
    python benchmarks/suite.py -g echo -g 'http-*'         some groups
    python benchmarks/suite.py -w '*-1000'                 some rows, in whatever group has them
    python benchmarks/suite.py --list                      what there is

Each group is also a script of its own, with the same options.
"""

from __future__ import annotations

import fnmatch
import json
import pipes
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import accept
import bulk
import connect
import echo
import files
import http_client
import http_servers
import latency
import memory
import names
import options as choices
import scheduling
import subprocesses
import tls
import udp
from benchmark import Benchmark, list_rows, measure
from options import Lacking, Wrong
from report import publish
from verdict import losses

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

ROUNDS, QUICK_ROUNDS = 3, 2
QUICK_COLUMNS = ["asyncio", "uvloop", "aioxide", "rust-epoll", "aiofiles-uvloop"]
"""Without others named: those that everybody asks for."""

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in (
        scheduling.BENCHMARK,
        echo.BENCHMARK,
        accept.BENCHMARK,
        connect.BENCHMARK,
        memory.BENCHMARK,
        bulk.BENCHMARK,
        latency.BENCHMARK,
        http_servers.BENCHMARK,
        http_client.BENCHMARK,
        tls.BENCHMARK,
        udp.BENCHMARK,
        pipes.BENCHMARK,
        names.BENCHMARK,
        subprocesses.BENCHMARK,
        files.BENCHMARK,
    )
}


def parser() -> argparse.ArgumentParser:
    found = choices.parser("Every benchmark of aioxide beside asyncio and its other loops.")
    found.add_argument(
        "-g", "--group", action="append", metavar="GLOB", help="only groups of this name"
    )
    for benchmark in BENCHMARKS.values():
        benchmark.arguments(found)
    return found


def chosen(options: argparse.Namespace) -> list[tuple[Benchmark, list[str] | None]]:
    """The groups that the options ask for, each with its own part of the patterns of rows."""
    found: list[tuple[Benchmark, list[str] | None]] = []
    used: set[str] = set()
    for name in choices.select(options.group, list(BENCHMARKS), "group"):
        benchmark = BENCHMARKS[name]
        mine = [p for p in options.workload or () if fnmatch.filter(benchmark.rows, p)]
        used.update(mine)
        if mine or not options.workload:
            found.append((benchmark, mine or None))
    for pattern in options.workload or ():
        if pattern not in used:
            raise Wrong(f"no row is called {pattern!r}; --list names them")
    return found


def chosen_columns(benchmark: Benchmark, options: argparse.Namespace) -> list[str] | None:
    """The columns that are asked for and known there; None for all of its own."""
    own = [*benchmark.columns, *benchmark.others, *([benchmark.floor] if benchmark.floor else [])]
    if options.impl:
        known = [*own, "aioxide-loop", "aioxide-ctask"]
        return [p for p in options.impl if fnmatch.filter(known, p)]
    return [name for name in QUICK_COLUMNS if name in own] if options.quick else None


def run(options: argparse.Namespace) -> tuple[int, list[dict[str, Any]]]:
    """Measure group by group; the exit status, and the records."""
    status = 0
    records: list[dict[str, Any]] = []
    out = sys.stderr if options.json == "-" else sys.stdout
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    for benchmark, workload in chosen(options):
        impl = chosen_columns(benchmark, options)
        if impl == []:
            continue
        began = time.monotonic()
        out.write(f"\n{benchmark.title}. {benchmark.about}\n")
        out.flush()
        mine = {"workload": workload, "impl": impl, "rounds": rounds}
        own = type(options)(**{**vars(options), **mine, "json": None})
        try:
            report = measure(benchmark, own)
        except Lacking as error:
            sys.stderr.write(f"{error}\n")
            status = 1
            continue
        status |= publish(report, own, out)
        records.append(report.record())
        out.write(f"{time.monotonic() - began:.0f} s\n")
        if report.interrupted:
            break
    return status, records


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    with choices.explained():
        return carry_out(options)


def carry_out(options: argparse.Namespace) -> int:
    """List or measure what the options ask for."""
    if options.list:
        for benchmark, _ in chosen(options):
            sys.stdout.write(f"\n{benchmark.name}: {benchmark.title}\n")
            list_rows(benchmark)
        return 0
    status, records = run(options)
    out = sys.stderr if options.json == "-" else sys.stdout
    behind = [loss for record in records for loss in losses(record)]
    out.write(f"\naioxide is behind in {len(behind)} comparisons" + (":\n" if behind else ".\n"))
    for loss in behind:
        out.write(f"  {loss}\n")
    text = json.dumps({"benchmarks": records}, indent=1) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
    elif options.json:
        Path(options.json).write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
