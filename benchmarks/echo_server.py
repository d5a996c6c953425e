"""The echo server under test, in a process of its own.

Prints the port, then its CPU time for each line on standard input, until that ends. The control
thread sleeps in a read all the time in between, without the GIL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import threading
from typing import Any, cast

from implementations import IMPLEMENTATIONS, new_loop, pin

BACKLOG = 2048


class Echo(asyncio.Protocol):
    """One write for what came."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No assertion of the type: uvloop's transports are none of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class ThreeWrites(Echo):
    """The same bytes in three pieces, as status line, headers and body are written."""

    def data_received(self, data: bytes) -> None:
        write = self.transport.write
        write(data[:16])
        write(data[16:32])
        write(data[32:])


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The loop of the asyncio documentation."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def start(mode: str, aio: Any) -> tuple[asyncio.Server, int]:
    """Start the server; it and its port."""
    loop = asyncio.get_running_loop()
    if mode == "streams":
        server = await aio.start_server(echo_stream, "127.0.0.1", 0, backlog=BACKLOG)
    else:
        protocol = {"protocol": Echo, "three-writes": ThreeWrites}[mode]
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=BACKLOG)
    port: int = server.sockets[0].getsockname()[1]
    return server, port


def say(message: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer_control() -> None:
    """CPU time for each line; at the end of input the process is over."""
    for _ in sys.stdin:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        say({"user_us": round(usage.ru_utime * 1e6), "system_us": round(usage.ru_stime * 1e6)})
    os._exit(0)


def settle_malloc() -> None:
    """Leave glibc's malloc as it is in a server that has lived a while.

    Freeing one block above its mmap threshold raises the threshold; until then every larger buffer
    is a mmap, page faults and a munmap.
    """
    block = bytearray(1 << 20)
    del block


def main() -> None:
    parser = argparse.ArgumentParser(description="An echo server; started by echo.py.")
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("mode", choices=["protocol", "three-writes", "streams"])
    parser.add_argument("--malloc", choices=["fresh", "settled"], default="settled")
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    if options.malloc == "settled":
        settle_malloc()
    implementation = IMPLEMENTATIONS[options.implementation]
    loop = new_loop(implementation)
    asyncio.set_event_loop(loop)
    server, port = loop.run_until_complete(start(options.mode, implementation.aio()))
    threading.Thread(target=answer_control, daemon=True).start()
    say({"port": port})
    loop.run_forever()
    server.close()


if __name__ == "__main__":
    main()
