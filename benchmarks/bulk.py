"""What a MiB costs on one busy connection: CPU time of the server, side by side.

    python benchmarks/bulk.py

Bursts of 32 MiB, one after the other, written in pieces of 1 MiB. Of what the server sends the load
generator compares every byte; of what it receives the server counts every byte, and proves with a
CRC-32 in the warm-up that they are the right ones.
"""

from __future__ import annotations

import sys

import served
from benchmark import main
from served import Row

MODES = {
    "receive": "receive, Protocol",
    "receive-buffered": "receive, BufferedProtocol",
    "receive-streams": "receive, streams",
    "send": "send, Protocol",
    "send-streams": "send, streams",
}


def row(mode: str) -> Row:
    direction = mode.partition("-")[0]
    return Row(
        name=mode,
        title=f"bulk {MODES[mode]}, per MiB",
        server=("bulk_server", mode),
        load=("bulk", "--direction", direction),
        floor=("bulk-serve", "--direction", direction) if mode == direction else None,
        short=mode == direction,
    )


BENCHMARK = served.benchmark(
    name="bulk",
    title="One busy connection",
    about="Bursts of 32 MiB through one TCP connection on loopback, written in pieces of 1 MiB.",
    rows=served.both_mallocs([row(mode) for mode in MODES]),
    legend="server CPU time per MiB (user + kernel)",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
