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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark import QUICK_SLICES, Benchmark, Setting, main, table
from child import Child, Failed, python_command, running
from programs_child import EXAMPLES
from spread import Detail

if TYPE_CHECKING:
    import contextlib

    import harness

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


@dataclass(frozen=True)
class Row:
    """An example: its name, and what it shows."""

    name: str
    about: str
    usual: bool = True
    short: bool = True

    @property
    def title(self) -> str:
        return self.name


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    cpu = [] if setting.cpu is None else ["--cpu", str(setting.cpu)]
    command = python_command("programs_child", row.name, column, *cpu)
    return Session(stack.enter_context(running(command)))


BENCHMARK = Benchmark(
    name="programs",
    title="Examples",
    about="Whole programs, each with its servers and clients in one process.",
    rows=table([Row(name, about) for name, about in programs().items()]),
    open_session=open_session,
    key="cpu_ms",
    unit="ms",
    legend="CPU time of a run, in how many milliseconds on the clock",
    columns=("asyncio", "uvloop", "aioxide", "aioxide-loop"),
    # A slice is one run.
    slices=lambda _row, usual: 2 if usual == QUICK_SLICES else QUICK_SLICES,
    detail=Detail("in {}", ("wall_ms",)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
