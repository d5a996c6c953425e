"""What a connection costs the client that makes it, side by side.

    python benchmarks/connect.py

The server is loadgen's echo server, on another core.
"""

from __future__ import annotations

import sys

import looped
import served
from benchmark import Benchmark, main
from connect_workloads import WORKLOADS
from spread import USER_AND_KERNEL

BENCHMARK = Benchmark(
    name="connect",
    title="Connections that are made",
    about="A client connects to a bare server in Rust, has one byte echoed, and closes.",
    rows=WORKLOADS,
    open_session=looped.against("serve", "connect_workloads"),
    key="cpu_us_per_operation",
    unit="µs",
    legend="client CPU time per connection (user + kernel)",
    detail=USER_AND_KERNEL,
    prepare=served.prepare,
    loaded=True,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
