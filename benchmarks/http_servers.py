"""What a request to an HTTP server costs: CPU time of the server per request, side by side.

    python benchmarks/http_servers.py

aiohttp.web, and uvicorn with httptools and a bare ASGI application. The load generator keeps one
request in flight on each connection and checks status, length and body of each answer. aioxide is
with its `install()`; aioxide-loop is the loop alone, as `uvicorn --loop` has it.
"""

from __future__ import annotations

import sys

import served
from benchmark import COLUMNS, main
from served import SIZES, Row, size_text
from spread import Detail


def row(server: str, size: int, connections: int) -> Row:
    return Row(
        name=f"{server}-{SIZES[size]}-{connections}",
        title=f"{server} server, {connections} x {size_text(size)}",
        server=("http_server", server),
        load=("http", "--size", str(size), "--connections", str(connections)),
        short=(size, connections) == (64, 100),
    )


BENCHMARK = served.benchmark(
    name="http-servers",
    title="HTTP servers",
    about=(
        "aiohttp.web, and uvicorn with httptools: GET with keep-alive on loopback. aioxide is with "
        "its install(), aioxide-loop the loop alone."
    ),
    rows=served.both_mallocs(
        [row(server, 64, n) for server in ("aiohttp", "uvicorn") for n in (1, 10, 100, 1000)]
        + [row(server, 10240, 100) for server in ("aiohttp", "uvicorn")],
        usual=lambda row: row.name.endswith("-100"),
    ),
    needs=("aiohttp", "uvicorn", "httptools"),
    legend="server CPU time per request (requests per CPU second)",
    columns=(*COLUMNS, "aioxide-loop"),
    detail=Detail("{}/s", ("operations_per_cpu_second",)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
