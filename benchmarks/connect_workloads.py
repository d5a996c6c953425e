"""Connections to loadgen's echo server: made, used for one byte, closed and seen closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from workload import Workload, expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from implementations import Environment

HOST = "127.0.0.1"


class Once(asyncio.Protocol):
    """Says one byte and closes when it has come back."""

    transport: Any

    def __init__(self, lost: asyncio.Future[bytes]) -> None:
        self.lost = lost
        self.echo = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"x")

    def data_received(self, data: bytes) -> None:
        self.echo += data
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_exception(exc) if exc else self.lost.set_result(self.echo)


async def by_protocol(env: Environment) -> bytes:
    lost = env.create_future()
    await env.loop.create_connection(lambda: Once(lost), HOST, env.port or 0)
    echo: bytes = await lost
    return echo


async def by_streams(env: Environment) -> bytes:
    reader, writer = await env.aio.open_connection(HOST, env.port)
    writer.write(b"x")
    echo: bytes = await reader.read(9)
    writer.close()
    await writer.wait_closed()
    return echo


def connections(
    connect: Callable[[Environment], Awaitable[bytes]], tasks: int
) -> Callable[[Environment, int], Awaitable[None]]:
    """So many tasks, each with one connection at a time."""

    async def run(env: Environment, n: int) -> None:
        async def worker() -> None:
            for _ in range(n // tasks):
                expect(await connect(env) == b"x", "another echo")

        await env.aio.gather(*(worker() for _ in range(tasks)))

    return run


WORKLOADS = {
    f"{name}-{tasks}": Workload(
        f"{name}-{tasks}",
        f"connect, 1 byte, close: {title}, {tasks} at a time",
        connections(connect, tasks),
        unit=tasks,
        short=tasks == 16,
    )
    for name, title, connect in (
        ("protocol", "Protocol", by_protocol),
        ("streams", "streams", by_streams),
    )
    for tasks in (1, 16)
}
