"""asyncio around a blocking library: each call is handed to a thread, and awaited.

This is how code that blocks is used from an asyncio program. The program is asyncio's, what waits
are still threads: it costs what threads cost, and the handing over and back besides. It is worth
that for the library nobody has written for asyncio, and not for doing much at a time.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .tasks import crawl_with_tasks
from .threads import fetch

if TYPE_CHECKING:
    from .crawl import Crawl, Document


async def run(crawl: Crawl) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(crawl.concurrency) as pool:

        def in_thread(path: str) -> asyncio.Future[Document]:
            return loop.run_in_executor(pool, fetch, crawl.url, path)

        await crawl_with_tasks(crawl, in_thread)
