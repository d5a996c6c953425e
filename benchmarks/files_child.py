"""Files, measured in this process: one workload in one way, its figures as a line of JSON.

    python benchmarks/files_child.py NAME ROW FOLDER SCALE

CPU time is that of the process, its threads and the kernel's workers for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIZE = 256 << 20
LINES = 100 << 20
STATS = 10_000

Job = Callable[[int], Awaitable[object]]


def cpu() -> float:
    """Seconds of CPU that this process has used, with its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def spread(job: Job, count: int, concurrency: int) -> None:
    """Do the job so many times, in so many tasks."""

    async def worker(first: int) -> None:
        for number in range(first, count, concurrency):
            await job(number)

    if concurrency == 1:
        await worker(0)
    else:
        await asyncio.gather(*(worker(first) for first in range(concurrency)))


def offsets(size: int) -> Callable[[int], int]:
    """Places to read at, the same for everybody."""
    chooser = random.Random(7)
    places = [chooser.randrange(SIZE // size) * size for _ in range(16384)]
    return lambda number: places[number % 16384]


def forget_cache(path: Path) -> None:
    """Let the kernel drop the file's pages."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


class Way:
    """How one implementation does the workloads."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.pool = ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4))
        if name == "aioxide-threads":
            os.environ["AIOXIDE_FILES"] = "threads"

    def run(self, main: Awaitable[Any]) -> Any:
        """Run on this implementation's loop."""
        if self.name in ("aioxide", "aioxide-threads"):
            import aioxide

            loop: asyncio.AbstractEventLoop = aioxide.new_event_loop()
        elif self.name.endswith("uvloop"):
            import uvloop

            loop = uvloop.new_event_loop()
        else:
            loop = asyncio.SelectorEventLoop()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()

    @property
    def files(self) -> Any:
        """The module with ``open``."""
        if self.name.startswith("aioxide"):
            from aioxide import files
        else:
            import aiofiles as files  # type: ignore[no-redef]
        return files

    async def read(self, size: int, count: int, concurrency: int) -> None:
        """Read at random places."""
        place = offsets(size)
        path = self.folder / "large"
        if self.name.startswith("aioxide"):
            async with self.files.open(path, "rb") as f:
                await spread(lambda number: f.pread(size, place(number)), count, concurrency)
        elif self.name.startswith("executor"):
            loop = asyncio.get_running_loop()
            with open(path, "rb") as f:  # noqa: ASYNC230 - the control opens as everybody does
                fd = f.fileno()
                await spread(
                    lambda number: loop.run_in_executor(
                        self.pool, os.pread, fd, size, place(number)
                    ),
                    count,
                    concurrency,
                )
        else:
            # A file has one position: each task needs its own.
            handles = [await self.files.open(path, "rb") for _ in range(concurrency)]

            async def seek_and_read(number: int) -> None:
                f = handles[number % concurrency]
                await f.seek(place(number))
                await f.read(size)

            await spread(seek_and_read, count, concurrency)
            for f in handles:
                await f.close()

    async def seek_read(self, count: int) -> None:
        """Seek and read: what aiofiles' users write."""
        place = offsets(4096)
        async with self.files.open(self.folder / "large", "rb") as f:
            for number in range(count):
                await f.seek(place(number))
                await f.read(4096)

    async def write(self, size: int, count: int) -> None:
        """Write one after the other, and close."""
        data = b"x" * size
        path = self.folder / "written"
        if self.name.startswith("executor"):
            loop = asyncio.get_running_loop()
            with open(path, "wb") as f:  # noqa: ASYNC230
                for _ in range(count):
                    await loop.run_in_executor(self.pool, f.write, data)
            return
        async with self.files.open(path, "wb") as f:
            for _ in range(count):
                await f.write(data)

    async def lines(self, count: int) -> None:
        """Iterate over the lines of a text file; `count` is how many there are."""
        path = self.folder / f"lines{count}"
        if self.name == "builtin":
            with open(path, encoding="utf-8") as plain:  # noqa: ASYNC230
                assert sum(1 for _ in plain) == count
            return
        async with self.files.open(path, encoding="utf-8") as f:
            found = 0
            async for _ in f:
                found += 1
        assert found == count

    async def stat(self, count: int) -> None:
        """Ask about many files."""
        folder = self.folder / "many"
        paths = [str(folder / f"file{number % STATS}") for number in range(count)]
        if self.name.startswith("executor"):
            loop = asyncio.get_running_loop()
            for path in paths:
                await loop.run_in_executor(self.pool, os.stat, path)
            return
        if self.name.startswith("aioxide"):
            from aioxide.files import os as ask
        else:
            import aiofiles.os as ask  # type: ignore[no-redef]
        for path in paths:
            await ask.stat(path)


# Row -> (operations for us, operations for threads, the workload).
Measured = tuple[int, int, Callable[[Way, int], Awaitable[None]]]
ROWS: dict[str, Measured] = {
    "read4k-hot-1": (200_000, 10_000, lambda way, n: way.read(4096, n, 1)),
    "read4k-hot-32": (200_000, 10_000, lambda way, n: way.read(4096, n, 32)),
    "read4k-hot-256": (200_000, 10_000, lambda way, n: way.read(4096, n, 256)),
    "seek+read4k-hot-1": (100_000, 5_000, lambda way, n: way.seek_read(n)),
    "read1m-hot-1": (4_000, 1_000, lambda way, n: way.read(1 << 20, n, 1)),
    "read1m-hot-32": (4_000, 1_000, lambda way, n: way.read(1 << 20, n, 32)),
    "read4k-cold-1": (12_000, 12_000, lambda way, n: way.read(4096, n, 1)),
    "read4k-cold-32": (12_000, 12_000, lambda way, n: way.read(4096, n, 32)),
    "read4k-cold-256": (12_000, 12_000, lambda way, n: way.read(4096, n, 256)),
    "write100b": (200_000, 10_000, lambda way, n: way.write(100, n)),
    "write4k": (50_000, 10_000, lambda way, n: way.write(4096, n)),
    "write1m": (200, 200, lambda way, n: way.write(1 << 20, n)),
    "lines": (LINES // 80, LINES // 80 // 20, lambda way, n: way.lines(n)),
    "stat": (STATS, STATS, lambda way, n: way.stat(n)),
}


def prepare(folder: Path) -> None:
    """Make the files."""
    block = os.urandom(1 << 20)
    with open(folder / "large", "wb") as f:
        for _ in range(SIZE >> 20):
            f.write(block)
    line = "x" * 79 + "\n"
    for count in {ROWS["lines"][0], ROWS["lines"][1]}:
        with open(folder / f"lines{count}", "w", encoding="utf-8") as text:
            for _ in range(count):
                text.write(line)
    (folder / "many").mkdir()
    for number in range(STATS):
        (folder / "many" / f"file{number}").touch()


def measure(name: str, row: str, folder: Path, scale: float) -> dict[str, float]:
    """Measure one workload in this process: microseconds of CPU and of time per operation."""
    ours, theirs, workload = ROWS[row]
    count = ours if name.startswith("aioxide") or name == "builtin" else theirs
    if row != "lines":
        count = max(32, int(count * scale))
    way = Way(name, folder)
    if "cold" in row:
        forget_cache(folder / "large")
    else:
        with open(folder / "large", "rb") as f:
            while f.read(1 << 20):
                pass
        way.run(workload(way, count if row == "lines" else max(count // 20, 1)))
    used, began = cpu(), time.perf_counter()
    way.run(workload(way, count))
    took, spent = time.perf_counter() - began, cpu() - used
    way.pool.shutdown()
    return {
        "cpu_us_per_operation": spent / count * 1e6,
        "wall_us_per_operation": took / count * 1e6,
        "operations": count,
    }


if __name__ == "__main__":
    name, row, folder, scale = sys.argv[1:]
    sys.stdout.write(json.dumps(measure(name, row, Path(folder), float(scale))) + "\n")
