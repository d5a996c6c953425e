"""The tasks of most asyncio ways: as many as requests may be made at a time, around one queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .crawl import FIRST, Crawl, Document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def crawl_with_tasks(crawl: Crawl, fetch: Callable[[str], Awaitable[Document]]) -> None:
    """Fetch everything, where `fetch` is how one document is fetched."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    queue.put_nowait(FIRST)

    async def work() -> None:
        while True:
            path = await queue.get()
            for new in crawl.add(await fetch(path)):
                queue.put_nowait(new)
            queue.task_done()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(crawl.concurrency)]
        await queue.join()
        for worker in workers:
            worker.cancel()
