"""asyncio around a pool of processes: each call is pickled, sent to a process, and awaited.

It is the same line as for threads, with another executor, and the way to keep heavy computation out
of an event loop. For waiting it is the wrong tool twice: the processes wait one answer at a
time, and every answer has to be pickled, sent and handed to the loop by a thread.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from .processes import FORK
from .tasks import crawl_with_tasks
from .threads import fetch

if TYPE_CHECKING:
    from .crawl import Crawl, Document


async def run(crawl: Crawl) -> None:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(crawl.processes, FORK) as pool:

        def in_process(path: str) -> asyncio.Future[Document]:
            return loop.run_in_executor(pool, fetch, crawl.url, path)

        await crawl_with_tasks(crawl, in_process)
        crawl.weigh(multiprocessing.active_children())
