"""A process for each core, and in each an event loop with aiohttp: both ideas together.

Waiting is done by tasks and work by cores. One process hands out the paths and puts together what
is found; the others fetch, several documents at a time each. It costs the memory of the processes
and the traffic between them, and pays only if one core is not enough: a site that answers slowly
keeps no core busy.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import cast

import aiohttp

from .crawl import FIRST, Crawl, read
from .processes import FORK


async def serve(pipe: Connection, url: str, limit: int) -> None:
    """Fetch the paths that come through the pipe until it is closed at the other end."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    connector = aiohttp.TCPConnector(limit=limit)
    async with aiohttp.ClientSession(url, connector=connector) as session:

        async def fetch(path: str) -> None:
            async with session.get(path) as response:
                response.raise_for_status()
                pipe.send(read(path, await response.read()))

        async with asyncio.TaskGroup() as group:

            def readable() -> None:
                try:
                    group.create_task(fetch(pipe.recv()))
                except EOFError:
                    loop.remove_reader(pipe.fileno())
                    ended.set_result(None)

            loop.add_reader(pipe.fileno(), readable)
            await ended


def work(pipe: Connection, others: list[Connection], crawl: Crawl, limit: int) -> None:
    """What a worker process runs."""
    for other in others:  # ends of other pipes, which a fork has got too
        other.close()
    with asyncio.Runner(loop_factory=crawl.loop_factory) as runner:
        runner.run(serve(pipe, crawl.url, limit))


def run(crawl: Crawl) -> None:
    count = min(crawl.processes, crawl.concurrency, os.cpu_count() or 1)
    limit = crawl.concurrency // count
    under_way: dict[Connection, int] = {}
    workers = []
    for _ in range(count):
        ours, theirs = FORK.Pipe()
        others = [ours, *under_way]
        workers.append(FORK.Process(target=work, args=(theirs, others, crawl, limit)))
        workers[-1].start()
        theirs.close()
        under_way[ours] = 0

    todo = deque([FIRST])
    while todo or any(under_way.values()):
        while todo and min(under_way.values()) < limit:
            least_busy = min(under_way, key=under_way.__getitem__)
            least_busy.send(todo.popleft())
            under_way[least_busy] += 1
        for ready in cast("list[Connection]", wait(list(under_way))):
            try:
                todo += crawl.add(ready.recv())
            except EOFError:
                raise RuntimeError("a worker process has ended early") from None
            under_way[ready] -= 1

    crawl.weigh(multiprocessing.active_children())
    for pipe in under_way:
        pipe.close()
    for worker in workers:
        worker.join()
