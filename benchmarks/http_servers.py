"""What a request to an HTTP server costs: CPU time of the server per request, side by side.

    python benchmarks/http_servers.py

aiohttp.web, and uvicorn with httptools and a bare ASGI application. The load generator keeps one
request in flight on each connection and checks status, length and body of each answer. aioxide is
with its `install()`; aioxide-loop is the loop alone, as `uvicorn --loop` has it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import served
from benchmark import COLUMNS, Benchmark, main, table
from served import SIZES, Row, size_text
from spread import spread

if TYPE_CHECKING:
    import harness


def row(server: str, size: int, connections: int) -> Row:
    return Row(
        name=f"{server}-{SIZES[size]}-{connections}",
        title=f"{server}, {connections} x {size_text(size)}",
        server=("http_server", server),
        load=("http", "--size", str(size), "--connections", str(connections)),
        short=(size, connections) == (64, 100),
    )


def per_cpu_second(cell: harness.Cell) -> str:
    """The same figure the other way round."""
    used = spread(cell.figures("cpu_us_per_operation"))
    return f"({1e6 / used.median:,.0f}/s)" if used else ""


BENCHMARK = Benchmark(
    name="http-servers",
    title="HTTP servers",
    about=(
        "aiohttp.web, and uvicorn with httptools: GET with keep-alive on loopback. aioxide is with "
        "its install(), aioxide-loop the loop alone."
    ),
    rows=table(
        [row(server, 64, n) for server in ("aiohttp", "uvicorn") for n in (1, 10, 100, 1000)]
        + [row(server, 10240, 100) for server in ("aiohttp", "uvicorn")]
    ),
    open_session=served.open_session,
    key="cpu_us_per_operation",
    unit="µs",
    legend="server CPU time per request (requests per CPU second)",
    columns=(*COLUMNS, "aioxide-loop"),
    detail=per_cpu_second,
    prepare=served.prepare,
    loaded=True,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
