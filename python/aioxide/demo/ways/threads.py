"""The same blocking calls in many threads: while one waits, the others run.

The code that fetches stays as it was, and so does every library that it uses. A thread costs a
stack and the kernel's switching to and from it, and only one of them runs Python at a time, so
threads help with waiting and not with work. What they share has to be guarded: here only the thread
that hands out the work touches the crawl, and each thread has an HTTP session of its own.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import requests

from .crawl import FIRST, Crawl, Document, read

_of_this_thread = threading.local()


def fetch(url: str, path: str) -> Document:
    """Fetch one document with the session of this thread, which keeps its connection open."""
    if not hasattr(_of_this_thread, "session"):
        _of_this_thread.session = requests.Session()
        _of_this_thread.session.trust_env = False  # a proxy is not for this machine's own site
    response = _of_this_thread.session.get(url + path)
    response.raise_for_status()
    return read(path, response.content)


def run(crawl: Crawl) -> None:
    finished: SimpleQueue[Future[Document]] = SimpleQueue()
    with ThreadPoolExecutor(crawl.concurrency) as pool:

        def submit(path: str) -> None:
            pool.submit(fetch, crawl.url, path).add_done_callback(finished.put)

        submit(FIRST)
        under_way = 1
        while under_way:
            new = crawl.add(finished.get().result())
            under_way += len(new) - 1
            for path in new:
                submit(path)
