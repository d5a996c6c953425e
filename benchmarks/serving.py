"""What the servers under test have in common: each is a process of its own, driven line by line.

Says where it is, then its CPU time for each line on standard input, until that ends. The control
thread sleeps in a read all the time in between, without the GIL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping

from implementations import IMPLEMENTATIONS, Environment, environment, new_loop, pin

BACKLOG = 2048

Start = Callable[[Environment, argparse.Namespace], Awaitable[Mapping[str, object]]]
"""Starts a server; says where it is, as the load generator wants it."""


def say(message: Mapping[str, object]) -> None:
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


def listening_socket(path: str | None = None) -> socket.socket:
    """A socket on a free port of 127.0.0.1, or at a path; not blocking, as loops want it."""
    if path is None:
        sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def place(sock: socket.socket) -> dict[str, object]:
    """Where this listening socket is."""
    if sock.family == socket.AF_UNIX:
        return {"path": sock.getsockname()}
    return {"port": sock.getsockname()[1]}


def options_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--malloc", choices=["fresh", "settled"], default="settled")
    parser.add_argument("--cpu", type=int)
    return parser


def serve(options: argparse.Namespace, start: Start) -> None:
    """Serve on the loop that the options name, until standard input ends."""
    pin(options.cpu)
    if options.malloc == "settled":
        settle_malloc()
    implementation = IMPLEMENTATIONS[options.implementation]
    loop = new_loop(implementation)
    asyncio.set_event_loop(loop)
    where = loop.run_until_complete(start(environment(implementation, loop), options))
    threading.Thread(target=answer_control, daemon=True).start()
    say(where)
    loop.run_forever()
