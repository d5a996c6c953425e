"""Processes that are started, waited for and talked to; each checks what came of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from workload import Workload, expect

if TYPE_CHECKING:
    from implementations import Environment

PIPE = asyncio.subprocess.PIPE
Run = Callable[["Environment", int], Awaitable[None]]


async def spawn_one(env: Environment, n: int) -> None:
    """A process is started and waited for before the next one."""
    for _ in range(n):
        process = await env.aio.create_subprocess_exec("/bin/true")
        code = await process.wait()
        expect(code == 0, f"/bin/true ended with {code}")


async def spawn_eight(env: Environment, n: int) -> None:
    """Eight tasks do the same at once."""
    await env.aio.gather(*(spawn_one(env, n // 8) for _ in range(8)))


def communicate(size: int) -> Run:
    """So many bytes to `cat` and back."""
    data = hashlib.shake_128(b"sent through cat").digest(size)

    async def run(env: Environment, n: int) -> None:
        for _ in range(n):
            process = await env.aio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            out, _ = await process.communicate(data)
            expect(out == data and process.returncode == 0, "cat gave back something else")

    return run


def stream(size: int) -> Run:
    """So many bytes read from a process as they come."""

    async def run(env: Environment, n: int) -> None:
        for _ in range(n):
            process = await env.aio.create_subprocess_exec(
                "head", "-c", str(size), "/dev/zero", stdout=PIPE
            )
            got = 0
            while data := await process.stdout.read(1 << 16):
                got += len(data)
            code = await process.wait()
            expect(got == size and code == 0, f"{got} bytes of {size} came, status {code}")

    return run


WORKLOADS = {
    name: Workload(name, f"{title}, wall time", run, unit=unit, short=name == "spawn-1")
    for name, title, run, unit in (
        ("spawn-1", "create_subprocess_exec + wait, one by one", spawn_one, 1),
        ("spawn-8", "create_subprocess_exec + wait, 8 at a time", spawn_eight, 8),
        ("communicate-64k", "communicate, 64 KiB through cat", communicate(1 << 16), 1),
        ("communicate-1m", "communicate, 1 MiB through cat", communicate(1 << 20), 1),
        ("read-16m", "read 16 MiB from a process", stream(1 << 24), 1),
    )
}
