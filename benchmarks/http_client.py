"""What a request costs the client: CPU time of aiohttp's client per request, side by side.

    python benchmarks/http_client.py

The server is loadgen's, on another core. aioxide is with its `install()`, aioxide-loop the loop
alone.
"""

from __future__ import annotations

import sys

import looped
import served
from benchmark import COLUMNS, Benchmark, main
from http_client_workloads import WORKLOADS
from spread import USER_AND_KERNEL

BENCHMARK = Benchmark(
    name="http-client",
    title="HTTP client",
    about=(
        "aiohttp's client: GET with keep-alive from a bare server in Rust. aioxide is with its "
        "install(), aioxide-loop the loop alone."
    ),
    rows=WORKLOADS,
    open_session=looped.against("http-serve", "http_client_workloads", install=True),
    key="cpu_us_per_operation",
    unit="µs",
    needs=("aiohttp",),
    legend="client CPU time per request (user + kernel)",
    columns=(*COLUMNS, "aioxide-loop"),
    detail=USER_AND_KERNEL,
    prepare=served.prepare,
    loaded=True,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
