"""Names of which most need no looking up: one await each, the answer checked once."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from workload import Workload, expect

if TYPE_CHECKING:
    from implementations import Environment


def addresses(host: str, **hints: Any) -> Any:
    """Return a workload: the same getaddrinfo, again and again, its answer checked once."""

    async def run(env: Environment, n: int) -> None:
        getaddrinfo = env.loop.getaddrinfo
        for _ in range(n):
            answer = await getaddrinfo(host, 443, **hints)
        wanted = socket.getaddrinfo(host, 443, **hints)
        expect([tuple(info) for info in answer] == wanted, f"{answer} instead of {wanted}")

    return run


async def numeric_names(env: Environment, n: int) -> None:
    """Ask for the name of an address, in numbers."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for _ in range(n):
        answer = await env.loop.getnameinfo(("127.0.0.1", 443), flags)
    expect(answer == ("127.0.0.1", "443"), f"{answer}")


# The first operation of a process is dear: with fewer to a run, that is what would be measured.
UNIT = 100
STREAM = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}

WORKLOADS = {
    name: Workload(name, title, run, unit=UNIT, short=short)
    for name, title, run, short in (
        (
            "ipv4",
            "127.0.0.1, every hint",
            addresses("127.0.0.1", family=socket.AF_INET, **STREAM),
            True,
        ),
        ("ipv4-stream", "127.0.0.1, stream", addresses("127.0.0.1", **STREAM), True),
        ("ipv6-stream", "2001:db8::1, stream", addresses("2001:db8::1", **STREAM), False),
        ("ipv4-no-hints", "127.0.0.1, no hints", addresses("127.0.0.1"), True),
        ("short-form", "127.1, stream", addresses("127.1", **STREAM), False),
        ("zone", "fe80::1%1, stream", addresses("fe80::1%1", **STREAM), False),
        ("numeric-name", "getnameinfo in numbers", numeric_names, False),
        ("localhost", "localhost, IPv4 stream", addresses("localhost", family=2, **STREAM), False),
    )
}
