"""The same blocking calls in several processes, each with an interpreter and a lock of its own.

This is the way to use more than one core, and the dearest way to wait: each process brings a whole
interpreter, so there are few of them, and each still waits for one answer at a time. Whatever goes
in or comes out is pickled and sent through a pipe, so links are looked for where the page was
fetched.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from queue import SimpleQueue

from .crawl import FIRST, Crawl, Document
from .threads import fetch

# The cheapest way to start a process, and safe as long as there are no threads.
FORK = multiprocessing.get_context("fork")


def run(crawl: Crawl) -> None:
    finished: SimpleQueue[Future[Document]] = SimpleQueue()
    with ProcessPoolExecutor(crawl.processes, FORK) as pool:

        def submit(path: str) -> None:
            pool.submit(fetch, crawl.url, path).add_done_callback(finished.put)

        submit(FIRST)
        under_way = 1
        while under_way:
            new = crawl.add(finished.get().result())
            under_way += len(new) - 1
            for path in new:
                submit(path)
        crawl.weigh(multiprocessing.active_children())
