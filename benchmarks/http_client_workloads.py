"""Requests by aiohttp's client, each answer checked; the server is loadgen's `http-serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from http_server import body
from workload import Workload, expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from implementations import Environment


def requests(size: int, tasks: int) -> Callable[[Environment, int], Awaitable[None]]:
    """GETs of so many bytes by so many tasks, one session for all."""
    wanted = body(size)

    async def run(env: Environment, n: int) -> None:
        import aiohttp

        url = f"http://127.0.0.1:{env.port}/{size}"

        async def worker(session: aiohttp.ClientSession) -> None:
            for _ in range(n // tasks):
                async with session.get(url) as response:
                    expect(response.status == 200, f"status {response.status}")
                    expect(await response.read() == wanted, "another body")

        connector = aiohttp.TCPConnector(limit=tasks)
        async with aiohttp.ClientSession(connector=connector) as session:
            await env.aio.gather(*(worker(session) for _ in range(tasks)))

    return run


WORKLOADS = {
    f"{name}-{tasks}": Workload(
        f"{name}-{tasks}",
        f"aiohttp client, {tasks} x {name.replace('KiB', ' KiB').replace('64B', '64 B')}",
        requests(size, tasks),
        # Enough to a slice that opening the connections does not count.
        unit=tasks * 20,
        short=(size, tasks) == (64, 10),
    )
    for name, size, tasks in (
        ("64B", 64, 1),
        ("64B", 64, 10),
        ("64B", 64, 100),
        ("10KiB", 10240, 10),
    )
}
