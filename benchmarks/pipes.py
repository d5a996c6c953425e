# ruff: noqa: A005 - the standard library's module of this name is gone since 3.13
"""What goes through pipes, Unix sockets and sendfile costs: CPU time per message, side by side.

    python benchmarks/pipes.py                      every row on whatever is installed
    python benchmarks/pipes.py -w 'pipe-*' --quick  few rounds

Both ends are in the loop under test, so a figure is that of writing and of reading, and half of it
is the kernel copying. The workloads are in pipe_workloads.py; how a figure is made and read, in
README.md. uvloop has no sendfile: its cell there says so.
"""

from __future__ import annotations

import sys

import looped
from benchmark import Benchmark, main
from pipe_workloads import WORKLOADS
from spread import USER_AND_KERNEL

BENCHMARK = Benchmark(
    name="pipes",
    title="Pipes, Unix sockets, sendfile",
    about="Both ends are in the loop under test: a figure is that of writing and of reading.",
    rows=WORKLOADS,
    open_session=looped.sessions("pipe_workloads"),
    key="cpu_us_per_operation",
    unit="µs",
    legend="CPU time per message, both ends (user + kernel)",
    detail=USER_AND_KERNEL,
    seconds=0.5,
    quick_seconds=0.1,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
