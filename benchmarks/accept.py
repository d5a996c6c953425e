"""What a connection costs that comes, says one byte and goes: CPU time of the server, side by side.

    python benchmarks/accept.py

So many connections are open at a time. Each ends with a reset, so that the kernel keeps nothing of
it. The load generator checks the byte that comes back.
"""

from __future__ import annotations

import sys

import served
from benchmark import main
from served import MODES, Row


def row(mode: str, connections: int, *, short: bool = False) -> Row:
    return Row(
        name=f"{mode}-{connections}",
        title=f"connect, 1 byte, reset: {MODES[mode]}, {connections} at a time",
        server=("echo_server", mode),
        load=("churn", "--connections", str(connections)),
        floor=("serve",) if mode == "protocol" else None,
        short=short,
    )


BENCHMARK = served.benchmark(
    name="accept",
    title="Connections that come and go",
    about="A connection is made, echoes one byte and is reset by the client.",
    rows=[
        row("protocol", 1),
        row("protocol", 16, short=True),
        row("protocol", 256),
        row("streams", 16, short=True),
        row("streams", 256),
    ],
    legend="server CPU time per connection (user + kernel)",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
