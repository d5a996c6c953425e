"""What it costs to look up what needs no looking up: CPU time per getaddrinfo, side by side.

    python benchmarks/names.py                    every question on whatever is installed
    python benchmarks/names.py --quick --json -   the short table, record on stdout

Each operation is one `await`. How a figure is made and read is in README.md.
"""

from __future__ import annotations

import sys

import looped
from benchmark import Benchmark, main
from name_workloads import WORKLOADS

BENCHMARK = Benchmark(
    name="names",
    title="Names and addresses",
    about="One getaddrinfo or getnameinfo after the other, most of what needs no looking up.",
    rows=WORKLOADS,
    open_session=looped.sessions("name_workloads"),
    key="ns_per_operation",
    unit="ns",
    legend="CPU time per question",
    seconds=0.2,
    quick_seconds=0.05,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
