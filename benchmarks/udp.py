"""What a datagram through an echo server costs: CPU time of the server per datagram, side by side.

    python benchmarks/udp.py                          64 B and 1 KiB, 1 and 16 in flight
    python benchmarks/udp.py -w '64B-*' --rounds 9    narrower

As echo.py: the load generator keeps a window of datagrams in flight and checks every byte of the
answers and their order. The column rust-epoll is a bare server in Rust.
"""

from __future__ import annotations

import sys

import served
from benchmark import main
from served import SIZES, Row, size_text


def row(size: int, window: int) -> Row:
    return Row(
        name=f"{SIZES[size]}-{window}",
        title=f"UDP, {size_text(size)}, {window} in flight",
        server=("udp_server",),
        load=("udp-load", "--size", str(size), "--window", str(window)),
        floor=("udp-serve",),
        short=size == 64,
    )


BENCHMARK = served.benchmark(
    name="udp",
    title="Datagrams",
    about="An echo server for UDP on loopback.",
    rows=[row(size, window) for size in (64, 1024, 10240) for window in (1, 16)],
    legend="server CPU time per datagram (user + kernel)",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
