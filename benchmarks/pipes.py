# ruff: noqa: A005 - the standard library's module of this name is gone since 3.13
"""What goes through pipes, Unix sockets and sendfile costs: CPU time per message, side by side.

    python benchmarks/pipes.py                      every row on whatever is installed
    python benchmarks/pipes.py -w 'pipe-*' --quick  few rounds

Both ends are in the loop under test, so a figure is that of writing and of reading, and half of it
is the kernel copying. The workloads are in pipe_workloads.py; how a figure is made and read, in
README.md. uvloop has no sendfile: its cell there says so.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING

import harness
import machine
import scheduling_child
from child import python_command, running
from implementations import IMPLEMENTATIONS, pin
from pipe_workloads import WORKLOADS
from scheduling import Session

if TYPE_CHECKING:
    import contextlib

SECONDS, QUICK_SECONDS = 0.5, 0.1
SERVE = "serve"


def rounds_of(seconds: float, slices: int, cpu: int | None) -> harness.Round:
    """How a round of a row is measured: `seconds` for each implementation in so many slices."""
    arguments = ["--seconds", str(seconds / slices)]
    arguments += [] if cpu is None else ["--cpu", str(cpu)]

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> Session:
        command = python_command("pipes", SERVE, row, column, *arguments)
        return Session(stack.enter_context(running(command)))

    return harness.in_slices(open_session, lambda _row: slices)


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows = harness.select(options.workload, list(WORKLOADS), "workload")
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
        benchmark="pipes",
        titles={name: WORKLOADS[name].title for name in rows},
        cells=cells,
        key="ns_per_operation",
        unit="ns",
        missing=missing,
        settings={"rounds": rounds, "seconds": seconds, "pinned_to": cpu, "slices": slices},
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="CPU time per message, both ends (user + kernel)",
    )


def serve(arguments: list[str]) -> None:
    """The child: slices of one workload on one implementation."""
    parser = argparse.ArgumentParser(description="Slices of a workload; started by pipes.py.")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args(arguments)
    pin(options.cpu)
    gc.enable()
    try:
        workload = WORKLOADS[options.workload]
        scheduling_child.serve(workload, options.implementation, options.seconds)
    except Exception as error:
        scheduling_child.say({"error": f"{type(error).__name__}: {error}"})
        raise


def main() -> int:
    if sys.argv[1:2] == [SERVE]:
        serve(sys.argv[2:])
        return 0
    parser = harness.options_parser("CPU time of pipes, Unix sockets and sendfile, side by side.")
    options = parser.parse_args()
    if options.list:
        for each in WORKLOADS.values():
            sys.stdout.write(f"{each.name:22}{each.title}\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
