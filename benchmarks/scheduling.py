"""What a callback, a task step, a future and a timer cost: CPU time per operation, side by side.

    python benchmarks/scheduling.py                    every workload on whatever is installed
    python benchmarks/scheduling.py --quick --json -   the short table, record on stdout
    python benchmarks/scheduling.py -w 'timer-*' -i uvloop -i aioxide --rounds 9

The workloads are in workloads.py; how a figure is made and read, in README.md.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import harness
import machine
from child import PATIENCE, Child, Failed, python_command, running
from implementations import IMPLEMENTATIONS
from workloads import WORKLOADS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

SECONDS, QUICK_SECONDS = 0.2, 0.08
ROUNDS, QUICK_ROUNDS = 5, 3
SLICES = 10


@dataclass(frozen=True)
class Slices:
    """A round: the implementations run slice by slice in turns, and the slices are added up.

    What disturbs a machine lasts longer than a slice, so that it meets all of them alike. The
    processes of the others sleep meanwhile.
    """

    seconds: float
    cpu: int | None

    def command(self, row: str, column: str) -> list[str]:
        cpu = [] if self.cpu is None else ["--cpu", str(self.cpu)]
        seconds = str(self.seconds / SLICES)
        return python_command("scheduling_child", row, column, "--seconds", seconds, *cpu)

    def __call__(
        self, row: str, columns: Sequence[str]
    ) -> Iterator[tuple[str, harness.Values | Failed]]:
        fixed = WORKLOADS[row].operations is not None
        failed: dict[str, Failed] = {}
        totals: dict[str, dict[str, int]] = {}
        with contextlib.ExitStack() as stack:
            children: dict[str, Child] = {}
            for column in columns:
                try:
                    child = stack.enter_context(running(self.command(row, column)))
                    operations = json.loads(child.line(PATIENCE))["operations"]
                except Failed as error:
                    failed[column] = error
                else:
                    children[column] = child
                    totals[column] = {"operations_per_slice": operations, "slices": 0}
            for _ in range(1 if fixed else SLICES):
                for column in [each for each in children if each not in failed]:
                    try:
                        self.run_slice(children[column], totals[column])
                    except Failed as error:
                        failed[column] = error
        for column in columns:
            yield column, failed.get(column) or finished(totals[column])

    @staticmethod
    def run_slice(child: Child, total: dict[str, int]) -> None:
        child.say()
        for name, value in json.loads(child.line(PATIENCE)).items():
            total[name] = total.get(name, 0) + value
        total["slices"] += 1


def finished(total: dict[str, int]) -> harness.Values:
    operations = total["operations_per_slice"] * total["slices"]
    return {"ns_per_operation": total["cpu_ns"] / operations, **total}


def chosen_rows(options: argparse.Namespace) -> list[str]:
    names = list(WORKLOADS)
    if options.quick and not options.workload:
        names = [name for name in names if WORKLOADS[name].short]
    return harness.select(options.workload, names, "workload")


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
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
        rows, dict.fromkeys(rows, here), rounds, Slices(seconds, cpu), progress
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
            "slices": SLICES,
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
