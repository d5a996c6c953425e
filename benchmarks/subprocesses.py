"""What it costs to start a process and to talk to it: wall and CPU time, side by side.

    python benchmarks/subprocesses.py                  every workload on whatever is installed
    python benchmarks/subprocesses.py --quick -w 'spawn*'

The first figure is wall time, since most of what happens is in the kernel and in the child; the CPU
time behind it is that of the measured process alone. Nothing is pinned: parent and child run side
by side, as they do in programs.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import looped
from benchmark import Benchmark, Setting, main
from process_workloads import WORKLOADS
from spread import Detail

if TYPE_CHECKING:
    import contextlib

    import harness
    from workload import Workload

_open_pinned = looped.sessions("process_workloads")


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Workload, column: str
) -> harness.Session:
    return _open_pinned(stack, dataclasses.replace(setting, cpu=None), row, column)


BENCHMARK = Benchmark(
    name="subprocesses",
    title="Processes",
    about="Wall time; in brackets the CPU time of the measured process, its children left out.",
    rows=WORKLOADS,
    open_session=open_session,
    key="wall_us_per_operation",
    unit="µs",
    legend="wall time per process (and CPU time of the measured process, children left out)",
    seconds=1.0,
    quick_seconds=0.3,
    detail=Detail("CPU {}", ("cpu_us_per_operation",)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
