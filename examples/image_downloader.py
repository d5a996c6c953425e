"""Download images in three styles, and write them with asynchronous files.

What differs is how many downloads are under way at a time. `gather` starts them all. Workers that
take from a queue are never more than there are workers, and a limit on connections holds for the
whole session. A window that `wait` keeps full needs no workers, and sees each result as it comes.

Runs by `aioxide.run` with asyncio's names: the smallest step for a program that exists.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import itertools
import random
import tempfile
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

import aioxide
from _web import serving

IMAGES = 60
AT_ONCE = 8
SIZES = [random.Random(number).randrange(5_000, 60_000) for number in range(IMAGES)]


class Downloader:
    def __init__(self, session: ClientSession, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.under_way = self.most = 0

    async def save(self, number: int) -> int:
        """Download one image; returns how many bytes were written."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        written = 0
        async with self.session.get(f"/images/{number}") as response:
            response.raise_for_status()
            async with aioxide.open(self.folder / f"{number}.png", "wb") as file:
                async for chunk in response.content.iter_chunked(16 * 1024):
                    written += await file.write(chunk)
        self.under_way -= 1
        return written


async def with_gather(downloader: Downloader) -> list[int]:
    """Start all of them, and wait for all."""
    return await asyncio.gather(*map(downloader.save, range(IMAGES)))


async def with_workers(downloader: Downloader) -> list[int]:
    """A queue of what is to do, and workers that take from it."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    written = []

    async def work() -> None:
        while True:
            written.append(await downloader.save(await queue.get()))
            queue.task_done()

    for number in range(IMAGES):
        queue.put_nowait(number)
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(AT_ONCE)]
        await queue.join()
        for worker in workers:
            worker.cancel()
    return written


async def with_wait(downloader: Downloader) -> list[int]:
    """A window of tasks: as one ends, the next one starts."""
    numbers = iter(range(IMAGES))
    window: set[asyncio.Task[int]] = set()
    written: list[int] = []
    try:
        while True:
            for number in itertools.islice(numbers, AT_ONCE - len(window)):
                window.add(asyncio.create_task(downloader.save(number)))
            if not window:
                return written
            done, window = await asyncio.wait(window, return_when=asyncio.FIRST_COMPLETED)
            written += [task.result() for task in done]
    finally:  # unlike gather and TaskGroup, wait leaves its tasks to whoever made them
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)


async def image(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    await asyncio.sleep(0.01)  # the way to the server and back
    return web.Response(body=random.Random(number).randbytes(SIZES[number]))


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/images/{number}", image)])
    print(f"a site with {IMAGES} images, {sum(SIZES):,} bytes")
    async with serving(app) as url, ClientSession(url, connector=TCPConnector(limit=20)) as session:
        for style in (with_gather, with_workers, with_wait):
            with tempfile.TemporaryDirectory() as folder:
                downloader = Downloader(session, Path(folder))
                written = await style(downloader)
                on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
            assert sum(written) == on_disk
            print(f"{style.__name__:>12}: {on_disk:,} bytes, at most {downloader.most} at a time")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
