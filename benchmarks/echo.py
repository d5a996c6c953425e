"""What a message through an echo server costs: CPU time of the server per message, side by side.

    python benchmarks/echo.py                          Protocol and streams, 1 to 100 connections
    python benchmarks/echo.py --quick                  four rows
    python benchmarks/echo.py -w '*-1000' --rounds 3   also what is not in the usual rows

The server runs on one core, the load generator (loadgen/, Rust) on another. It keeps one message in
flight on each connection and checks every byte of the answer. The column rust-epoll is a bare
server in Rust, the floor under every loop.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
import machine
from child import PATIENCE, Child, Failed, python_command, running
from implementations import IMPLEMENTATIONS

if TYPE_CHECKING:
    import argparse
    import contextlib

FLOOR = "rust-epoll"
SECONDS, QUICK_SECONDS = 1.0, 0.4
WARMUP = 0.2

SIZES = {64: "64B", 1024: "1KiB", 10240: "10KiB", 102400: "100KiB"}
MODES = {
    "protocol": "Protocol",
    "streams": "streams",
    "three-writes": "Protocol, 3 writes per message",
}


@dataclass(frozen=True)
class Row:
    """One kind of server under one kind of load."""

    mode: str
    size: int
    connections: int
    malloc: str

    @property
    def name(self) -> str:
        name = f"{self.mode}-{SIZES[self.size]}-{self.connections}"
        return name if self.malloc == "settled" else f"{name}-fresh"

    @property
    def title(self) -> str:
        size = SIZES[self.size].replace("KiB", " KiB").replace("64B", "64 B")
        title = f"{MODES[self.mode]}, {self.connections} x {size}"
        return title if self.malloc == "settled" else f"{title}, fresh malloc"

    @property
    def usual(self) -> bool:
        """Measured when no row is asked for by name."""
        if self.connections > 100 or self.size > 10240:
            return False
        return self.mode != "three-writes" or (self.size == 64 and self.connections > 1)

    @property
    def short(self) -> bool:
        return (self.mode, self.size, self.connections) in {
            ("protocol", 64, 10),
            ("protocol", 64, 100),
            ("streams", 64, 100),
            ("streams", 10240, 100),
        }


def all_rows(malloc: str) -> dict[str, Row]:
    states = ["settled", "fresh"] if malloc == "both" else [malloc]
    rows = [
        Row(mode, size, connections, state)
        for mode in MODES
        for size in SIZES
        for connections in (1, 10, 100, 1000)
        for state in states
    ]
    return {row.name: row for row in rows}


def build_loadgen() -> str:
    """Build the load generator and return its path."""
    if shutil.which("cargo") is None:
        raise SystemExit("the load generator is written in Rust: cargo is needed to build it")
    target = os.environ.get("CARGO_TARGET_DIR") or str(harness.HERE.parent / "target" / "loadgen")
    manifest = harness.HERE / "loadgen" / "Cargo.toml"
    command = ["cargo", "build", "--release", "--quiet", "--locked"]
    command += ["--manifest-path", str(manifest), "--target-dir", target]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("the load generator does not build")
    return str(Path(target) / "release" / "loadgen")


@dataclass(frozen=True)
class Bench:
    """How to measure one cell."""

    loadgen: str
    seconds: float
    slices: int
    server_cpu: int | None
    load_cpu: int | None

    def server_command(self, row: Row, column: str) -> list[str]:
        cpu = [] if self.server_cpu is None else ["--cpu", str(self.server_cpu)]
        if column == FLOOR:
            return [self.loadgen, "serve", *cpu]
        return python_command("echo_server", column, row.mode, "--malloc", row.malloc, *cpu)

    def load_command(self, row: Row, port: int) -> list[str]:
        command = [self.loadgen, "load", "--port", str(port), "--size", str(row.size)]
        command += ["--connections", str(row.connections)]
        command += ["--seconds", str(self.seconds / self.slices), "--warmup", str(WARMUP)]
        return command if self.load_cpu is None else [*command, "--cpu", str(self.load_cpu)]

    def open_session(self, stack: contextlib.ExitStack, row: Row, column: str) -> Session:
        """Start server and load, let them warm up."""
        server = stack.enter_context(running(self.server_command(row, column)))
        port = json.loads(server.line(PATIENCE))["port"]
        load = stack.enter_context(running(self.load_command(row, port)))
        if load.line(WARMUP + PATIENCE) != "ready":
            raise Failed("the load generator did not get ready")
        return Session(server, load, self.seconds / self.slices + PATIENCE)


class Session:
    """A server and its load; between slices nothing is in flight.

    So the CPU time taken from the server belongs to exactly the messages counted.
    """

    def __init__(self, server: Child, load: Child, limit: float) -> None:
        self._server, self._load, self._limit = server, load, limit
        self._before = self._usage()
        self._after = self._before
        self._result: dict[str, Any] = {}

    def slice(self) -> None:
        self._load.say()
        # The load generator adds up by itself.
        self._result = json.loads(self._load.line(self._limit))
        self._after = self._usage()

    def result(self) -> harness.Values:
        messages = self._result["messages"]
        user, system = (
            (self._after[name] - self._before[name]) / messages for name in ("user_us", "system_us")
        )
        return {
            "cpu_us_per_message": user + system,
            "user_us_per_message": user,
            "system_us_per_message": system,
            "messages_per_second": messages / self._result["seconds"],
            **self._result,
        }

    def _usage(self) -> dict[str, int]:
        self._server.say()
        usage: dict[str, int] = json.loads(self._server.line(PATIENCE))
        return usage


def user_and_kernel(cell: harness.Cell) -> str:
    user = harness.spread(cell.figures("user_us_per_message"))
    system = harness.spread(cell.figures("system_us_per_message"))
    return f"({user.median:.1f} + {system.median:.1f})" if user and system else ""


def chosen_rows(options: argparse.Namespace) -> dict[str, Row]:
    rows = all_rows(options.malloc)
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
    wanted = harness.select(options.impl, [*IMPLEMENTATIONS, FLOOR], "implementation")
    here, missing = harness.available([name for name in wanted if name != FLOOR])
    floor = [FLOOR] if FLOOR in wanted else []
    if not here and not floor:
        raise SystemExit(f"none of these runs here: {missing}")
    # The floor knows neither Protocols nor streams; it stands once, beside the cheaper of the two.
    columns = {
        name: here + (floor if row.mode == "protocol" and row.malloc == "settled" else [])
        for name, row in rows.items()
    }
    server_cpu = harness.measured_cpu(options.cpu)
    others = sorted(os.sched_getaffinity(0) - {server_cpu})
    if not others or server_cpu is None:
        sys.stderr.write("server and load generator share what cores there are: nothing pinned\n")
        server_cpu, others = None, []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench = Bench(build_loadgen(), seconds, slices, server_cpu, others[0] if others else None)

    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    cells = harness.alternate(
        list(rows),
        columns,
        rounds,
        harness.in_slices(
            lambda stack, row, column: bench.open_session(stack, rows[row], column),
            lambda _row: slices,
        ),
        progress,
    )
    return harness.Report(
        benchmark="echo",
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
            "malloc": options.malloc,
        },
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="server CPU time per message (user + kernel)",
        detail=user_and_kernel,
    )


def main() -> int:
    parser = harness.options_parser("CPU time of an echo server per message, side by side.")
    parser.add_argument(
        "--malloc",
        choices=["settled", "fresh", "both"],
        default="settled",
        help="state of the server's malloc at start; see README.md (default: settled)",
    )
    options = parser.parse_args()
    if options.list:
        for name, row in all_rows(options.malloc).items():
            remark = "short" if row.short else "" if row.usual else "only by name"
            sys.stdout.write(f"{name:28}{row.title:52}{remark}".rstrip() + "\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
