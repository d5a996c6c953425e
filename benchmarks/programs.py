"""What the programs of examples/ cost: CPU time of a run, side by side.

    python benchmarks/programs.py                       every example that has the option --loop
    python benchmarks/programs.py -w 'echo_*' --rounds 5

`aioxide-loop` is what `aioxide.run` gives to a program with asyncio's names, `aioxide` the same
after `aioxide.install()`. A run's CPU time is that of the example's own process, its servers and
clients included, without the processes that it starts.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING, Any

import harness
import machine
from child import Child, Failed, python_command, running
from programs_child import EXAMPLES

if TYPE_CHECKING:
    import argparse
    import contextlib

COLUMNS = ("asyncio", "uvloop", "aioxide", "aioxide-loop")
PATIENCE = 40.0
"""How many seconds a run, with the imports before the first one, may take."""


def programs() -> dict[str, str]:
    """The examples that run on any loop, with the first sentence of each."""
    found = {}
    for path in sorted(EXAMPLES.glob("[!_]*.py")):
        text = path.read_text()
        if "command_line(" in text:
            found[path.stem] = text.partition('"""')[2].partition("\n")[0].rstrip('."')
    return found


class Session:
    """An example in its process, loaded, and run once."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._runs: list[dict[str, int]] = []
        answer(child)

    def slice(self) -> None:
        self._child.say()
        self._runs.append(answer(self._child))

    def result(self) -> harness.Values:
        cpu, wall = (
            statistics.median(run[name] for run in self._runs) / 1e6
            for name in ("cpu_ns", "wall_ns")
        )
        return {"cpu_ms": cpu, "wall_ms": wall, "runs": len(self._runs)}


def answer(child: Child) -> dict[str, int]:
    """What the child says next, or its failure."""
    said: dict[str, Any] = json.loads(child.line(PATIENCE))
    if "error" in said:
        raise Failed(said["error"])
    return said


def rounds_of(runs: int, cpu: int | None) -> harness.Round:
    """How a round of a row is measured: so many runs of each implementation, in turns."""
    arguments = [] if cpu is None else ["--cpu", str(cpu)]

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> Session:
        command = python_command("programs_child", row, column, *arguments)
        return Session(stack.enter_context(running(command)))

    return harness.in_slices(open_session, lambda row: runs)


def wall(cell: harness.Cell) -> str:
    """The time on the clock, behind the CPU time."""
    spread = harness.spread(cell.figures("wall_ms"))
    return f"in {spread.median:,.0f}" if spread else ""


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    titles = programs()
    rows = harness.select(options.workload, list(titles), "example")
    here, missing = harness.available(harness.select(options.impl, COLUMNS, "implementation"))
    if not here:
        raise SystemExit(f"none of these runs here: {missing}")
    rounds = options.rounds or harness.QUICK_ROUNDS
    runs = 2 if options.quick else harness.QUICK_SLICES
    cpu = harness.measured_cpu(options.cpu)
    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    cells = harness.alternate(
        rows, dict.fromkeys(rows, here), rounds, rounds_of(runs, cpu), progress
    )
    return harness.Report(
        benchmark="programs",
        titles={name: name for name in rows},
        cells=cells,
        key="cpu_ms",
        unit="ms",
        missing=missing,
        settings={"rounds": rounds, "runs": runs, "pinned_to": cpu},
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="CPU time of a run, in how many milliseconds on the clock",
        detail=wall,
    )


def main() -> int:
    parser = harness.options_parser("CPU time of the examples, side by side.")
    options = parser.parse_args()
    if options.list:
        for name, title in programs().items():
            sys.stdout.write(f"{name:22}{title}\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
