"""What a message through a TLS echo server costs: CPU time of the server per message, side by side.

    python benchmarks/tls.py

As echo.py, but the load is Python's own ssl (tls_load.py). The encryption itself, which is
OpenSSL's in every column, is a large part of the cost.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
from typing import TYPE_CHECKING

import served
from benchmark import main
from child import PATIENCE, python_command
from served import MODES, SIZES, Row, Session, size_text

if TYPE_CHECKING:
    import contextlib
    from typing import IO

    import harness
    from benchmark import Setting


@functools.cache
def certificate() -> IO[bytes]:
    """A file with a key and a certificate for it; it lives as long as this process."""
    import trustme

    file = tempfile.NamedTemporaryFile(suffix=".pem")  # noqa: SIM115 - closed at exit
    file.write(trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.bytes())
    file.flush()
    return file


def with_certificate(row: Row) -> Row:
    """The row with a server that speaks TLS."""
    return dataclasses.replace(row, server=(*row.server, "--certificate", certificate().name))


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    """Start server and load, let them warm up."""
    server, where = served.start_server(stack, with_certificate(row), column, setting)
    command = python_command(
        "tls_load", *row.load, *where, *served.timing(setting), *served.pinned(setting.load_cpu)
    )
    return Session(server, served.start_load(stack, command), setting.slice_seconds + PATIENCE)


def row(mode: str, size: int, connections: int) -> Row:
    return Row(
        name=f"{mode}-{SIZES[size]}-{connections}",
        title=f"TLS, {MODES[mode]}, {connections} x {size_text(size)}",
        server=("echo_server", mode),
        load=("--size", str(size), "--connections", str(connections)),
        short=(mode, size, connections) == ("protocol", 64, 10),
    )


BENCHMARK = served.benchmark(
    name="tls",
    title="TLS echo servers",
    about=(
        "As the echo servers, over TLS 1.3. The load is Python's own ssl, and may be slower than "
        "the server."
    ),
    rows=served.both_mallocs(
        [row("protocol", size, n) for size in SIZES for n in (10, 100)]
        + [row("streams", size, 10) for size in SIZES]
    ),
    open_session=open_session,
    needs=("trustme",),
    legend="server CPU time per message (user + kernel)",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
