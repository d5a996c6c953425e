"""asyncio's streams, with HTTP by hand: sockets that are awaited, and nothing in between.

This is what the generators were on the way to. A task is an object and not a thread, so there may
be thousands of them, and switching from one to the next happens only where it says `await`. The
loop does little else than wait and wake, so what is left to pay is the work itself. What has to be
written is the protocol: with HTTP as it is in the wild this would not stay a page long.
"""

from __future__ import annotations

import asyncio

from .crawl import Crawl, Document, read
from .tasks import crawl_with_tasks
from .wire import END, body_length, request


async def run(crawl: Crawl) -> None:
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def fetch(path: str) -> Document:
        if idle:
            reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection(crawl.host, crawl.port)
        writer.write(request(crawl.host, path))
        head = await reader.readuntil(END)
        body = await reader.readexactly(body_length(head))
        idle.append((reader, writer))
        return read(path, body)

    await crawl_with_tasks(crawl, fetch)
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
