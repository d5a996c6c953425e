"""What a callback, a task step, a future and a timer cost: CPU time per operation, side by side.

    python benchmarks/scheduling.py                    every workload on whatever is installed
    python benchmarks/scheduling.py --quick --json -   the short table, record on stdout
    python benchmarks/scheduling.py -w 'timer-*' -i uvloop -i aioxide --rounds 9

The workloads are in workloads.py; how a figure is made and read, in README.md.
"""

from __future__ import annotations

import sys

import looped
from benchmark import COLUMNS, Benchmark, main
from workloads import WORKLOADS

BENCHMARK = Benchmark(
    name="scheduling",
    title="Callbacks, tasks, timers, primitives",
    about=(
        "Each column runs the same program with its own names: asyncio's sleep, gather, Queue on "
        "asyncio and its peers, the native ones on aioxide; aioxide-loop is aioxide's loop, Task "
        "and Future under asyncio's names."
    ),
    rows=WORKLOADS,
    open_session=looped.sessions("workloads"),
    key="ns_per_operation",
    unit="ns",
    legend="CPU time per operation",
    seconds=0.2,
    quick_seconds=0.05,
    columns=(*COLUMNS, "aioxide-loop"),
    slices=looped.slices,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
