"""What a message through a TLS echo server costs: CPU time of the server per message, side by side.

    python benchmarks/tls_echo.py                       64 B to 100 KiB, 1 to 100 connections
    python benchmarks/tls_echo.py --quick               two rows

As echo.py: the server runs on one core, the load on another, with one message in flight on each
connection. The encryption itself, which is OpenSSL's in every column, is a large part of the cost.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import echo
import harness
import machine
from child import PATIENCE, Failed, python_command, running
from echo import QUICK_SECONDS, SECONDS, WARMUP, Session
from implementations import IMPLEMENTATIONS

if TYPE_CHECKING:
    import argparse
    import contextlib

COLUMNS = ("asyncio", "uvloop", "aioxide")


@dataclass(frozen=True)
class Row:
    """One kind of load."""

    size: int
    connections: int

    @property
    def name(self) -> str:
        return f"{echo.SIZES[self.size]}-{self.connections}"

    @property
    def title(self) -> str:
        size = echo.SIZES[self.size].replace("KiB", " KiB").replace("64B", "64 B")
        return f"TLS, {self.connections} x {size}"

    @property
    def usual(self) -> bool:
        return self.connections > 1 or self.size == 64

    @property
    def short(self) -> bool:
        return self.size in {64, 10240} and self.connections == 10


def all_rows() -> dict[str, Row]:
    rows = [Row(size, connections) for size in echo.SIZES for connections in (1, 10, 100)]
    return {row.name: row for row in rows}


def certificate() -> bytes:
    """A key and a certificate for it."""
    import trustme

    pem: bytes = trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.bytes()
    return pem


@dataclass(frozen=True)
class Bench:
    """How to measure one cell."""

    certificate: str
    seconds: float
    slices: int
    server_cpu: int | None
    load_cpu: int | None

    def server_command(self, column: str) -> list[str]:
        cpu = [] if self.server_cpu is None else ["--cpu", str(self.server_cpu)]
        return python_command("tls_server", column, self.certificate, *cpu)

    def load_command(self, row: Row, port: int) -> list[str]:
        command = ["--port", str(port), "--size", str(row.size)]
        command += ["--connections", str(row.connections)]
        command += ["--seconds", str(self.seconds / self.slices), "--warmup", str(WARMUP)]
        if self.load_cpu is not None:
            command += ["--cpu", str(self.load_cpu)]
        return python_command("tls_load", *command)

    def open_session(self, stack: contextlib.ExitStack, row: Row, column: str) -> Session:
        """Start server and load, let them warm up."""
        server = stack.enter_context(running(self.server_command(column)))
        port = json.loads(server.line(PATIENCE))["port"]
        load = stack.enter_context(running(self.load_command(row, port)))
        if load.line(WARMUP + PATIENCE) != "ready":
            raise Failed("the load generator did not get ready")
        return Session(server, load, self.seconds / self.slices + PATIENCE)


def run(options: argparse.Namespace, pem: str) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows = all_rows()
    if not options.workload:
        rows = {n: row for n, row in rows.items() if (row.short if options.quick else row.usual)}
    rows = {name: rows[name] for name in harness.select(options.workload, list(rows), "row")}
    wanted = harness.select(options.impl or COLUMNS, list(IMPLEMENTATIONS), "implementation")
    here, missing = harness.available(wanted)
    if not here:
        raise SystemExit(f"none of these runs here: {missing}")
    server_cpu = harness.measured_cpu(options.cpu)
    others = sorted(os.sched_getaffinity(0) - {server_cpu})
    if not others or server_cpu is None:
        sys.stderr.write("server and load share what cores there are: nothing pinned\n")
        server_cpu, others = None, []
    bench = Bench(pem, seconds, slices, server_cpu, others[0] if others else None)

    neighbours = machine.Neighbours()
    cells = harness.alternate(
        list(rows),
        dict.fromkeys(rows, here),
        rounds,
        harness.in_slices(
            lambda stack, row, column: bench.open_session(stack, rows[row], column),
            lambda _row: slices,
        ),
        harness.Progress(rounds * len(rows), rounds),
    )
    return harness.Report(
        benchmark="tls-echo",
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
        legend="server CPU time per message (user + kernel)",
        detail=echo.user_and_kernel,
    )


def main() -> int:
    parser = harness.options_parser("CPU time of a TLS echo server per message, side by side.")
    options = parser.parse_args()
    if options.list:
        for name, row in all_rows().items():
            remark = "short" if row.short else "" if row.usual else "only by name"
            sys.stdout.write(f"{name:12}{row.title:36}{remark}".rstrip() + "\n")
        return 0
    with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
        pem.write(certificate())
        pem.flush()
        report = run(options, pem.name)
    return harness.publish(report, options)


if __name__ == "__main__":
    sys.exit(main())
