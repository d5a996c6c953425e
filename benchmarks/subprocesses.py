"""What it costs to start a process and to talk to it: wall and CPU time, side by side.

    python benchmarks/subprocesses.py                  every workload on whatever is installed
    python benchmarks/subprocesses.py --quick -w 'spawn*'

The first figure is wall time, since most of what happens is in the kernel and in the child; the CPU
time behind it is that of the measured process alone. Nothing is pinned: parent and child run side
by side, as they do in programs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import harness
import machine
from child import PATIENCE, Child, Failed, python_command, running
from implementations import IMPLEMENTATIONS, new_loop

if TYPE_CHECKING:
    import argparse
    import contextlib

SECONDS, QUICK_SECONDS = 3.0, 0.5
PIPE = asyncio.subprocess.PIPE


# Workloads: each does n operations and checks what came of them.


async def _spawn(n: int) -> None:
    for _ in range(n):
        process = await asyncio.create_subprocess_exec("/bin/true")
        if await process.wait() != 0:
            raise Failed(f"/bin/true ended with {process.returncode}")


async def spawn_one(n: int) -> None:
    """A process is started and waited for before the next one."""
    await _spawn(n)


async def spawn_eight(n: int) -> None:
    """Eight tasks do the same at once."""
    await asyncio.gather(*(_spawn(n // 8) for _ in range(8)))


def communicate(size: int) -> Callable[[int], Awaitable[None]]:
    """So many bytes to `cat` and back."""
    data = hashlib.shake_128(b"sent through cat").digest(size)

    async def run(n: int) -> None:
        for _ in range(n):
            process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            out, _ = await process.communicate(data)
            if out != data or process.returncode != 0:
                raise Failed("cat gave back something else")

    return run


def stream(size: int) -> Callable[[int], Awaitable[None]]:
    """So many bytes read from a process as they come."""

    async def run(n: int) -> None:
        for _ in range(n):
            process = await asyncio.create_subprocess_exec(
                "head", "-c", str(size), "/dev/zero", stdout=PIPE
            )
            assert process.stdout is not None
            got = 0
            while data := await process.stdout.read(1 << 16):
                got += len(data)
            if got != size or await process.wait() != 0:
                raise Failed(f"{got} bytes of {size} came")

    return run


WORKLOADS: dict[str, tuple[str, int, Callable[[int], Awaitable[None]]]] = {
    "spawn-1": ("create_subprocess_exec + wait, one by one", 1, spawn_one),
    "spawn-8": ("create_subprocess_exec + wait, 8 at a time", 8, spawn_eight),
    "communicate-64k": ("communicate, 64 KiB through cat", 1, communicate(1 << 16)),
    "communicate-1m": ("communicate, 1 MiB through cat", 1, communicate(1 << 20)),
    "read-16m": ("read 16 MiB from a process", 1, stream(1 << 24)),
}


# The measured process


def timed(loop: asyncio.AbstractEventLoop, workload: str, n: int) -> tuple[int, int]:
    """Wall and CPU nanoseconds of n operations; the children's time is not in the latter."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    loop.run_until_complete(_as_task(WORKLOADS[workload][2](n)))
    return time.perf_counter_ns() - wall, time.process_time_ns() - cpu


async def _as_task(work: Awaitable[None]) -> None:
    await work


def say(message: Mapping[str, int | str]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(workload: str, name: str, seconds: float) -> None:
    """Find out how many operations last so long, then do them once for each line."""
    loop = new_loop(IMPLEMENTATIONS[name])
    # asyncio's child watchers of 3.11 look for the loop of the main thread.
    asyncio.set_event_loop(loop)
    unit = WORKLOADS[workload][1]
    try:
        timed(loop, workload, unit)
        wall, _ = timed(loop, workload, 4 * unit)
        n = max(1, round(seconds * 1e9 / (wall / 4))) * unit
        say({"operations": n})
        for _ in sys.stdin:
            wall, cpu = timed(loop, workload, n)
            say({"wall_ns": wall, "cpu_ns": cpu})
    finally:
        loop.close()


# The measuring one


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
        return {
            "us_per_operation": self._total["wall_ns"] / operations / 1000,
            "cpu_us_per_operation": self._total["cpu_ns"] / operations / 1000,
            **self._total,
        }


def answer(child: Child) -> dict[str, int]:
    """What the child says next, or its failure."""
    said: dict[str, Any] = json.loads(child.line(PATIENCE))
    if "error" in said:
        raise Failed(said["error"])
    return said


def cpu_of(cell: harness.Cell) -> str:
    """The CPU time of a table cell."""
    spread = harness.spread(cell.figures("cpu_us_per_operation"))
    return "" if spread is None else f"(CPU {spread.median:,.0f})"


def run(options: argparse.Namespace) -> harness.Report:
    """Measure what the options ask for."""
    rounds = options.rounds or (harness.QUICK_ROUNDS if options.quick else harness.ROUNDS)
    slices = harness.QUICK_SLICES if options.quick else harness.SLICES
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows = harness.select(options.workload, list(WORKLOADS), "workload")
    usual = [name for name in IMPLEMENTATIONS if name != "aioxide-ctask"]
    wanted = harness.select(options.impl or usual, list(IMPLEMENTATIONS), "implementation")
    here, missing = harness.available(wanted)
    if not here:
        raise SystemExit(f"none of these runs here: {missing}")

    def open_session(stack: contextlib.ExitStack, row: str, column: str) -> Session:
        command = python_command("subprocesses", "--serve", row, column, str(seconds / slices))
        return Session(stack.enter_context(running(command)))

    neighbours = machine.Neighbours()
    progress = harness.Progress(rounds * len(rows), rounds)
    measure = harness.in_slices(open_session, lambda _: slices)
    cells = harness.alternate(rows, dict.fromkeys(rows, here), rounds, measure, progress)
    return harness.Report(
        benchmark="subprocesses",
        titles={name: WORKLOADS[name][0] for name in rows},
        cells=cells,
        key="us_per_operation",
        unit="us",
        missing=missing,
        settings={"rounds": rounds, "seconds": seconds, "slices": slices, "pinned_to": None},
        where=machine.describe(),
        neighbours=neighbours.record(),
        legend="wall time per operation (and CPU time of the measured process, children left out)",
        detail=cpu_of,
    )


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        workload, name, seconds = sys.argv[2:]
        try:
            serve(workload, name, float(seconds))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})
            raise
        return 0
    parser = harness.options_parser("Time of starting processes and talking to them, side by side.")
    options = parser.parse_args()
    if options.list:
        for name, (title, _, _) in WORKLOADS.items():
            sys.stdout.write(f"{name:22}{title}\n")
        return 0
    return harness.publish(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
