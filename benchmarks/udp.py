"""What a datagram through an echo server costs: CPU time of the server per datagram, side by side.

    python benchmarks/udp.py                          64 B and 1 KiB, 1 and 16 in flight
    python benchmarks/udp.py --quick                  two rows
    python benchmarks/udp.py -w '64B-*' --rounds 9    narrower

As echo.py: the server runs on one core, the load generator (loadgen/, Rust) on another, keeps a
window of datagrams in flight and checks every byte of the answers and their order. The column
rust-epoll is a bare server in Rust.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import echo
import harness
import machine
from child import PATIENCE, Failed, python_command, running
from echo import FLOOR, QUICK_SECONDS, SECONDS, WARMUP, Session
from implementations import IMPLEMENTATIONS

if TYPE_CHECKING:
    import argparse
    import contextlib

COLUMNS = ("asyncio", "uvloop", "aioxide")
"""Without others named: most loops have no datagrams."""


@dataclass(frozen=True)
class Row:
    """One kind of load."""

    size: int
    window: int

    @property
    def name(self) -> str:
        return f"{echo.SIZES[self.size]}-{self.window}"

    @property
    def title(self) -> str:
        size = echo.SIZES[self.size].replace("KiB", " KiB").replace("64B", "64 B")
        return f"datagrams of {size}, {self.window} in flight"

    @property
    def usual(self) -> bool:
        return self.size <= 1024

    @property
    def short(self) -> bool:
        return self.size == 64


def all_rows() -> dict[str, Row]:
    rows = [Row(size, window) for size in (64, 1024, 10240) for window in (1, 16)]
    return {row.name: row for row in rows}


@dataclass(frozen=True)
class Bench:
    """How to measure one cell."""

    loadgen: str
    seconds: float
    slices: int
    server_cpu: int | None
    load_cpu: int | None

    def server_command(self, column: str) -> list[str]:
        cpu = [] if self.server_cpu is None else ["--cpu", str(self.server_cpu)]
        if column == FLOOR:
            return [self.loadgen, "udp-serve", *cpu]
        return python_command("udp_server", column, *cpu)

    def load_command(self, row: Row, port: int) -> list[str]:
        command = [self.loadgen, "udp-load", "--port", str(port), "--size", str(row.size)]
        command += ["--window", str(row.window)]
        command += ["--seconds", str(self.seconds / self.slices), "--warmup", str(WARMUP)]
        return command if self.load_cpu is None else [*command, "--cpu", str(self.load_cpu)]

    def open_session(self, stack: contextlib.ExitStack, row: Row, column: str) -> Session:
        """Start server and load, let them warm up."""
        server = stack.enter_context(running(self.server_command(column)))
        port = json.loads(server.line(PATIENCE))["port"]
        load = stack.enter_context(running(self.load_command(row, port)))
        if load.line(WARMUP + PATIENCE) != "ready":
            raise Failed("the load generator did not get ready")
        return Session(server, load, self.seconds / self.slices + PATIENCE)


def chosen_rows(options: argparse.Namespace) -> dict[str, Row]:
    rows = all_rows()
    if not options.workload:
        rows = {
            name: row for name, row in rows.items() if (row.short if options.quick else row.usual)
        }
    return {name: rows[name] for name in harness.select(options.workload, list(rows), "row")}


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows = chosen_rows(options)
    wanted = harness.select(
        options.impl or [*COLUMNS, FLOOR], [*IMPLEMENTATIONS, FLOOR], "implementation"
    )
    here, missing = harness.available([name for name in wanted if name != FLOOR])
    columns = here + ([FLOOR] if FLOOR in wanted else [])
    if not columns:
        raise SystemExit(f"none of these runs here: {missing}")
    server_cpu = harness.measured_cpu(options.cpu)
    others = sorted(os.sched_getaffinity(0) - {server_cpu})
    if not others or server_cpu is None:
        sys.stderr.write("server and load generator share what cores there are: nothing pinned\n")
        server_cpu, others = None, []
    loadgen = echo.build_loadgen()
    bench = Bench(loadgen, seconds, slices, server_cpu, others[0] if others else None)

    neighbours = machine.Neighbours()
    cells = harness.alternate(
        list(rows),
        dict.fromkeys(rows, columns),
        rounds,
        harness.in_slices(
            lambda stack, row, column: bench.open_session(stack, rows[row], column),
            lambda _row: slices,
        ),
        harness.Progress(rounds * len(rows), rounds),
    )
    return harness.Report(
        benchmark="udp",
        titles={name: row.title for name, row in rows.items()},
        cells=cells,
        key="cpu_us_per_message",
        unit="µs",
        missing=missing,
        settings={
            "rounds": rounds,
            "seconds": seconds,
            "slices": slices,
            "server_cpu": bench.server_cpu,
            "load_cpu": bench.load_cpu,
        },
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="server CPU time per datagram (user + kernel)",
        detail=echo.user_and_kernel,
    )


def main() -> int:
    parser = harness.options_parser("CPU time of a datagram echo server, side by side.")
    options = parser.parse_args()
    if options.list:
        for name, row in all_rows().items():
            remark = "short" if row.short else "" if row.usual else "only by name"
            sys.stdout.write(f"{name:12}{row.title:36}{remark}".rstrip() + "\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
