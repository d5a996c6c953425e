"""What a message through an echo server costs: CPU time of the server per message, side by side.

    python benchmarks/echo.py                           every row on whatever is installed
    python benchmarks/echo.py --quick                   few rows, short
    python benchmarks/echo.py -w 'unix-*' -w '*-1000' --rounds 3

The server runs on one core, the load generator on another. It keeps one message in flight on each
connection and checks every byte of the answer. The column rust-epoll is a bare server in Rust, the
floor under every loop.
"""

from __future__ import annotations

import sys

import served
from benchmark import main
from served import SIZES, Row, both_mallocs, size_text

MODES = {
    "protocol": "Protocol",
    "three-writes": "Protocol, 3 writes per message",
    "buffered": "BufferedProtocol",
    "streams": "streams, read",
    "readline": "streams, readline",
    "readexactly": "streams, readexactly",
    "sock": "sock_recv, sock_sendall",
}
EVERY = (1, 10, 100, 1000)
SHORT = {
    ("protocol", 64, 100),
    ("protocol", 10240, 100),
    ("streams", 64, 100),
    ("streams", 10240, 100),
    ("three-writes", 64, 100),
    ("sock", 64, 100),
}


def row(mode: str, size: int, connections: int, *, unix: bool = False) -> Row:
    name, title = f"{mode}-{SIZES[size]}-{connections}", f"{connections} x {size_text(size)}"
    title = f"{'Unix socket, ' * unix}{MODES[mode]}, {title}"
    load = ["load", "--size", str(size), "--connections", str(connections)]
    return Row(
        name=f"{'unix-' * unix}{name}",
        title=title,
        server=("echo_server", mode, "--size", str(size)),
        load=(*load, "--lines") if mode == "readline" else tuple(load),
        # The floor knows neither Protocols nor streams; it stands once, beside the cheapest.
        floor=("serve",) if mode == "protocol" else None,
        unix=unix,
        short=(mode, size, connections) in SHORT and not unix,
    )


def rows() -> list[Row]:
    found = [
        row(mode, size, n) for mode in ("protocol", "streams") for size in SIZES for n in EVERY
    ]
    found += [row("three-writes", 64, n) for n in EVERY] + [row("three-writes", 1024, 100)]
    found += [row("buffered", 64, n) for n in EVERY]
    found += [row("buffered", 10240, 100), row("buffered", 102400, 10)]
    for mode in ("readline", "readexactly", "sock"):
        found += [row(mode, 64, n) for n in (1, 100, 1000)] + [row(mode, 10240, 100)]
    for mode in ("protocol", "streams"):
        found += [row(mode, 64, n, unix=True) for n in (1, 100, 1000)]
        found += [row(mode, 10240, 100, unix=True), row(mode, 102400, 10, unix=True)]
    return both_mallocs(found, lambda row: row.name.endswith(("-100", "100KiB-10")))


BENCHMARK = served.benchmark(
    name="echo",
    title="Echo servers",
    about=(
        "One message in flight on each connection. On loopback a send does the receiver's work in "
        "the kernel, too, so that the bare server in Rust is close to all."
    ),
    rows=rows(),
    legend="server CPU time per message (user + kernel)",
    seconds=0.6,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
