"""The crawler: what anybody would write with asyncio and aiohttp, run once by each implementation.

The program is the same for all; the name in its first argument only picks the loop that it is run
on. It is started as a file of its own, without the package around it, so that a run on asyncio or
uvloop has nothing of aioxide in its process.

Links are found by one regular expression. That costs about what the C parsers of real crawlers
cost (lxml, selectolax); html.parser, in Python, would be half of the whole work and make all loops
look alike.

It prints JSON lines: how many documents were fetched, as it goes, and at the end what it found and
what that took. Time, CPU time and latencies are those of the crawl alone, without starting Python.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import statistics
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

LINK = re.compile(rb"""<(?:a|img)\b[^>]*?\s(?:href|src)\s*=\s*["']([^"'#]+)""", re.IGNORECASE)
PROGRESS_EVERY = 0.1


class Crawl:
    """One crawl of one site: what has been seen and what it took."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.seen: set[str] = set()
        self.latencies: list[float] = []
        self.pages = self.images = self.bytes = self.signature = 0
        self._told = time.monotonic()

    def discover(self, path: str) -> None:
        if path not in self.seen:
            self.seen.add(path)
            self.queue.put_nowait(path)

    async def run(self, concurrency: int) -> None:
        self.discover("/")
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self.work()) for _ in range(concurrency)]
            await self.queue.join()
            for worker in workers:
                worker.cancel()

    async def work(self) -> None:
        while True:
            path = await self.queue.get()
            await self.fetch(path)
            self.queue.task_done()

    async def fetch(self, path: str) -> None:
        started = time.perf_counter()
        async with self.session.get(path) as response:
            response.raise_for_status()
            body = await response.read()
        self.latencies.append(time.perf_counter() - started)
        self.bytes += len(body)
        self.signature += zlib.crc32(body, zlib.crc32(path.encode()))
        if response.content_type == "text/html":
            self.pages += 1
            for link in LINK.findall(body):
                if link.startswith(b"/"):  # of this site
                    self.discover(link.decode())
        else:
            self.images += 1
        self.tell()

    def tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_EVERY:
            self._told = now
            say({"fetched": len(self.latencies)})


async def crawl(url: str, concurrency: int) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        work = Crawl(session)
        wall, cpu = time.perf_counter(), time.process_time()
        await work.run(concurrency)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    # With a single document there is nothing to interpolate between.
    centiles = statistics.quantiles(work.latencies * 2, n=100, method="inclusive")
    return {
        "pages": work.pages,
        "images": work.images,
        "bytes": work.bytes,
        "signature": work.signature,
        "wall": wall,
        "cpu": cpu,
        "p50": centiles[49],
        "p99": centiles[98],
        "peak_kib": peak_kib(),
    }


def peak_kib() -> int:
    """The largest resident size of this process.

    From /proc where there is one: ru_maxrss starts with that of the process that started us, which
    has matplotlib loaded.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def loop_factory(implementation: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The only place where the implementations differ."""
    factory: Callable[[], asyncio.AbstractEventLoop]
    match implementation:
        case "asyncio":
            factory = asyncio.SelectorEventLoop
        case "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        case "aioxide":
            import aioxide

            factory = aioxide.new_event_loop
        case _:
            raise ValueError(f"no such implementation: {implementation}")
    return factory


def main() -> None:
    implementation, url, concurrency = sys.argv[1:]
    with asyncio.Runner(loop_factory=loop_factory(implementation)) as runner:
        say(runner.run(crawl(url, int(concurrency))))


if __name__ == "__main__":
    main()
