"""What the programs of examples/ cost: CPU time of a run, side by side.

    python benchmarks/programs.py                       every example that has the option --loop
    python benchmarks/programs.py -w 'echo_*' --rounds 9

`aioxide-loop` is what `aioxide.run` gives to a program with asyncio's names, `aioxide` the same
after `aioxide.install()`. A run's CPU time is that of the example's own process, its servers and
clients included, without the processes that it starts. A run is as long as the example is, whatever
`--seconds` says.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import looped
from benchmark import Benchmark, Setting, main, table
from child import python_command, running
from programs_child import EXAMPLES
from spread import Detail

if TYPE_CHECKING:
    import contextlib

    import harness

PATIENCE = 40.0
"""How many seconds a run, with the imports before the first one, may take."""


@dataclass(frozen=True)
class Program:
    """An example that runs on any loop."""

    name: str
    title: str
    usual: bool = True
    short: bool = True


def programs() -> list[Program]:
    """The examples that have the option --loop, each with the first words of its description."""
    found = []
    for path in sorted(EXAMPLES.glob("[!_]*.py")):
        text = path.read_text()
        if "command_line(" in text:
            words, *_ = re.split("[:,.]", text.partition('"""')[2])
            found.append(Program(path.stem, words))
    return found


class Session(looped.Session):
    """An example in its process, loaded, and run once; a slice is one more run."""

    def result(self) -> harness.Values:
        values = super().result()
        return {
            "cpu_ms": values["cpu_us_per_operation"] / 1000,
            "wall_ms": values["wall_us_per_operation"] / 1000,
            **values,
        }


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Program, column: str
) -> Session:
    arguments = [] if setting.cpu is None else ["--cpu", str(setting.cpu)]
    command = python_command("programs_child", row.name, column, *arguments)
    return Session(stack.enter_context(running(command)), PATIENCE)


BENCHMARK = Benchmark(
    name="programs",
    title="Examples",
    about="A run of each example; in brackets its wall time, most of which is waiting.",
    rows=table(programs()),
    open_session=open_session,
    key="cpu_ms",
    unit="ms",
    legend="CPU time of a run (and wall time)",
    columns=("asyncio", "uvloop", "aioxide", "aioxide-loop"),
    slices=lambda _row, usual: usual // 2,
    detail=Detail("in {}", ("wall_ms",)),
    needs=("aiohttp", "trustme"),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
