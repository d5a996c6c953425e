"""What a request costs the client: CPU time of aiohttp's client per request, side by side.

    python benchmarks/http_client.py

The server is loadgen's, on another core. aioxide is with its `install()`, aioxide-loop the loop
alone.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import looped
import served
from benchmark import COLUMNS, Benchmark, main
from child import PATIENCE, running
from http_client_workloads import WORKLOADS
from spread import USER_AND_KERNEL

if TYPE_CHECKING:
    import contextlib

    import harness
    from benchmark import Setting
    from workload import Workload


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Workload, column: str
) -> harness.Session:
    command = [served.loadgen(), "http-serve", *served.pinned(setting.load_cpu)]
    server = stack.enter_context(running(command))
    port = str(json.loads(server.line(PATIENCE))["port"])
    further = ["--port", port, *(["--install"] if column == "aioxide" else [])]
    client = looped.command("http_client_workloads", row.name, column, setting, *further)
    return looped.Session(stack.enter_context(running(client)))


BENCHMARK = Benchmark(
    name="http-client",
    title="HTTP client",
    about=(
        "aiohttp's client: GET with keep-alive from a bare server in Rust. aioxide is with its "
        "install(), aioxide-loop the loop alone."
    ),
    rows=WORKLOADS,
    open_session=open_session,
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
