"""What it costs to look up what needs no looking up: CPU time per getaddrinfo, side by side.

    python benchmarks/names.py                    every question on whatever is installed
    python benchmarks/names.py --quick --json -   the short table, record on stdout

Each operation is one `await`. How a figure is made and read is in README.md.
"""

from __future__ import annotations

import argparse
import socket
import sys
from typing import TYPE_CHECKING, Any

import harness
import machine
import scheduling_child
from child import python_command, running
from implementations import IMPLEMENTATIONS, Environment, pin
from scheduling import QUICK_SECONDS, SECONDS, Session
from workloads import Workload, expect

if TYPE_CHECKING:
    import contextlib

SERVE = "--serve"


def addresses(host: str, **hints: Any) -> Any:
    """Return a workload: the same getaddrinfo, again and again, its answer checked once."""

    async def run(env: Environment, n: int) -> None:
        getaddrinfo = env.loop.getaddrinfo
        for _ in range(n):
            answer = await getaddrinfo(host, 443, **hints)
        wanted = socket.getaddrinfo(host, 443, **hints)
        expect([tuple(info) for info in answer] == wanted, f"{answer} instead of {wanted}")

    return run


async def numeric_names(env: Environment, n: int) -> None:
    """Ask for the name of an address, in numbers."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for _ in range(n):
        answer = await env.loop.getnameinfo(("127.0.0.1", 443), flags)
    expect(answer == ("127.0.0.1", "443"), f"{answer}")


# The first operation of a process is dear: with fewer to a run, that is what would be measured.
UNIT = 100
STREAM = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}

WORKLOADS = {
    name: Workload(name, title, run, unit=UNIT, short=short)
    for name, title, run, short in (
        (
            "ipv4",
            "127.0.0.1, every hint",
            addresses("127.0.0.1", family=socket.AF_INET, **STREAM),
            True,
        ),
        ("ipv4-stream", "127.0.0.1, stream", addresses("127.0.0.1", **STREAM), True),
        ("ipv6-stream", "2001:db8::1, stream", addresses("2001:db8::1", **STREAM), False),
        ("ipv4-no-hints", "127.0.0.1, no hints", addresses("127.0.0.1"), True),
        ("short-form", "127.1, stream", addresses("127.1", **STREAM), False),
        ("zone", "fe80::1%1, stream", addresses("fe80::1%1", **STREAM), False),
        ("numeric-name", "getnameinfo in numbers", numeric_names, False),
        ("localhost", "localhost, IPv4 stream", addresses("localhost", family=2, **STREAM), False),
    )
}


def rounds_of(seconds: float, slices: int, cpu: int | None) -> harness.Round:
    """Say how a round of a row is measured, as scheduling.py does."""
    arguments = ["--seconds", str(seconds / slices)]
    arguments += [] if cpu is None else ["--cpu", str(cpu)]

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> Session:
        command = python_command("names", SERVE, row, column, *arguments)
        return Session(stack.enter_context(running(command)))

    return harness.in_slices(open_session, lambda row: slices)


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    names = list(WORKLOADS)
    if options.quick and not options.workload:
        names = [name for name in names if WORKLOADS[name].short]
    rows = harness.select(options.workload, names, "workload")
    here, missing = harness.available(
        harness.select(options.impl, list(IMPLEMENTATIONS), "implementation")
    )
    if not here:
        raise SystemExit(f"none of these runs here: {missing}")
    cpu = harness.measured_cpu(options.cpu)
    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    cells = harness.alternate(
        rows, dict.fromkeys(rows, here), rounds, rounds_of(seconds, slices, cpu), progress
    )
    return harness.Report(
        benchmark="names",
        titles={name: WORKLOADS[name].title for name in rows},
        cells=cells,
        key="ns_per_operation",
        unit="ns",
        missing=missing,
        settings={"rounds": rounds, "seconds": seconds, "pinned_to": cpu, "slices": slices},
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="CPU time per operation",
    )


def serve(arguments: list[str]) -> None:
    """Be the process of one implementation under one workload."""
    parser = argparse.ArgumentParser(description="Slices of a workload; started by names.py.")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of a slice")
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args(arguments)
    pin(options.cpu)
    try:
        scheduling_child.serve(WORKLOADS[options.workload], options.implementation, options.seconds)
    except Exception as error:
        scheduling_child.say({"error": f"{type(error).__name__}: {error}"})
        raise


def main() -> int:
    """Run as the parent, or as one of its children."""
    if sys.argv[1:2] == [SERVE]:
        serve(sys.argv[2:])
        return 0
    parser = harness.options_parser("CPU time of lookups of names, side by side.")
    options = parser.parse_args()
    if options.list:
        for each in WORKLOADS.values():
            sys.stdout.write(f"{each.name:22}{each.title}{'  (short)' * each.short}\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
