"""What an idle connection keeps: growth of the server's resident memory, side by side.

    python benchmarks/memory.py

Each server is a fresh process. A few connections come first, so that what a server makes once is
there; then 5,000 more (1,000 over TLS) say one byte, get it back and keep silent. A touched
connection has had an option set through its socket, as in most real servers. What the kernel
keeps for their sockets is not in the figure; what OpenSSL keeps is.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import served
import tls
from benchmark import main
from child import PATIENCE, Child, Failed, python_command
from served import MODES, Row

if TYPE_CHECKING:
    import contextlib

    import harness
    from benchmark import Setting

CONNECTIONS = 5000
TLS_CONNECTIONS = 1000
LIMIT = 60.0


def resident(pid: int) -> int:
    """Bytes of memory that a process has in RAM, counted page by page and not estimated."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            return int(value.split()[0]) * 1024
    raise Failed("the kernel does not say how large the server is")


@dataclass
class Session:
    """A server and its connections; each slice adds some."""

    server: Child
    load: Child
    connections: int = 0
    grown: int = 0

    def slice(self) -> None:
        before = resident(self.server.pid)
        self.load.say()
        self.connections = json.loads(self.load.line(LIMIT))["messages"]
        self.grown += resident(self.server.pid) - before

    def result(self) -> harness.Values:
        return {
            "kib_per_connection": self.grown / 1024 / self.connections,
            "connections": self.connections,
        }


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    over_tls = row.name.startswith("tls-")
    server, where = served.start_server(
        stack, tls.with_certificate(row) if over_tls else row, column, setting
    )
    load = [*row.load, *where, *served.pinned(setting.load_cpu)]
    command = python_command("tls_load", *load) if over_tls else [served.loadgen(), *load]
    holder = served.start_load(stack, command)
    server.say()
    server.line(PATIENCE)
    return Session(server, holder)


def row(mode: str) -> Row:
    return Row(
        name=f"idle-{mode}",
        title=f"memory of an idle connection, {MODES[mode]}",
        server=("echo_server", mode),
        load=("hold", "--connections", str(CONNECTIONS)),
        floor=("serve",) if mode == "protocol" else None,
        short=True,
    )


def touched_row(mode: str) -> Row:
    return Row(
        name=f"touched-{mode}",
        title=f"memory of an idle connection with TCP_NODELAY set, {MODES[mode]}",
        server=("echo_server", f"touched-{mode}"),
        load=("hold", "--connections", str(CONNECTIONS)),
        short=True,
    )


def tls_row(mode: str) -> Row:
    return Row(
        name=f"tls-idle-{mode}",
        title=f"memory of an idle connection, TLS, {MODES[mode]}",
        server=("echo_server", mode),
        load=("--hold", "--connections", str(TLS_CONNECTIONS)),
    )


BENCHMARK = served.benchmark(
    name="memory",
    title="Memory of idle connections",
    about="Connections that have spoken once and keep silent; the kernel's own share is left out.",
    rows=[
        *(touched_row(mode) for mode in MODES),
        *(row(mode) for mode in MODES),
        *(tls_row(mode) for mode in MODES),
    ],
    open_session=open_session,
    key="kib_per_connection",
    unit="KiB",
    needs=("trustme",),
    legend="resident memory of the server per idle connection",
    slices=lambda _row, _usual: 1,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
