"""What a callback, a task step, a future and a timer cost: CPU time per operation, side by side.

    python benchmarks/scheduling.py                    every workload on whatever is installed
    python benchmarks/scheduling.py --quick --json -   the short table, record on stdout
    python benchmarks/scheduling.py -w 'timer-*' -i uvloop -i aioxide --rounds 9

The workloads are in workloads.py; how a figure is made and read, in README.md.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import harness
import machine
from child import PATIENCE, Child, Failed, python_command, running
from implementations import IMPLEMENTATIONS
from workloads import WORKLOADS

if TYPE_CHECKING:
    import argparse
    import contextlib

SECONDS, QUICK_SECONDS = 0.2, 0.05


class Session:
    """An implementation in its process, calibrated."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._total = {"operations_per_slice": answer(child)["operations"], "slices": 0}

    def slice(self) -> None:
        self._child.say()
        for name, value in answer(self._child).items():
            self._total[name] = self._total.get(name, 0) + value
        self._total["slices"] += 1

    def result(self) -> harness.Values:
        operations = self._total["operations_per_slice"] * self._total["slices"]
        return {"ns_per_operation": self._total["cpu_ns"] / operations, **self._total}


def answer(child: Child) -> dict[str, int]:
    """What the child says next, or its failure."""
    said: dict[str, Any] = json.loads(child.line(PATIENCE))
    if "error" in said:
        raise Failed(said["error"])
    return said


def rounds_of(seconds: float, slices: int, cpu: int | None) -> harness.Round:
    """How a round of a row is measured: `seconds` for each implementation in so many slices."""
    arguments = ["--seconds", str(seconds / slices)]
    arguments += [] if cpu is None else ["--cpu", str(cpu)]

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> Session:
        command = python_command("scheduling_child", row, column, *arguments)
        return Session(stack.enter_context(running(command)))

    return harness.in_slices(
        open_session, lambda row: slices if WORKLOADS[row].operations is None else 1
    )


def chosen_rows(options: argparse.Namespace) -> list[str]:
    names = list(WORKLOADS)
    if options.quick and not options.workload:
        names = [name for name in names if WORKLOADS[name].short]
    return harness.select(options.workload, names, "workload")


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows = chosen_rows(options)
    wanted = harness.select(options.impl, list(IMPLEMENTATIONS), "implementation")
    here, missing = harness.available(wanted)
    if not here:
        raise SystemExit(f"none of these runs here: {missing}")
    cpu = harness.measured_cpu(options.cpu)
    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    cells = harness.alternate(
        rows, dict.fromkeys(rows, here), rounds, rounds_of(seconds, slices, cpu), progress
    )
    return harness.Report(
        benchmark="scheduling",
        titles={name: WORKLOADS[name].title for name in rows},
        cells=cells,
        key="ns_per_operation",
        unit="ns",
        missing=missing,
        settings={
            "rounds": rounds,
            "seconds": seconds,
            "pinned_to": cpu,
            "slices": slices,
            "gc": "enabled with the default thresholds, collected once before each measurement",
        },
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="CPU time per operation",
    )


def main() -> int:
    parser = harness.options_parser("CPU time of the operations of an event loop, side by side.")
    options = parser.parse_args()
    if options.list:
        for each in WORKLOADS.values():
            sys.stdout.write(f"{each.name:22}{each.title}{'  (short)' * each.short}\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
