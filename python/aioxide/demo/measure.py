"""The process of one way on one loop: crawls once for each line on stdin, and says what it took.

It is started as a file of its own, without the package around it, so that a way that has nothing to
do with aioxide has nothing of aioxide in its process. On aioxide the way runs as `aioxide run`
would run it: installed before the first import of what uses asyncio.

It prints JSON lines: how many documents were fetched, as it goes, and at the end of each crawl what
it found, the time it took, the CPU time of this process and of those that it started, and the
largest memory of all of them added up. Starting Python and importing libraries is not in the times;
starting and ending a pool of threads or processes is.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import inspect
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NO_LOOP = "-"
HOST = "127.0.0.1"


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tell(fetched: int) -> None:
    say({"fetched": fetched})


def loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The only place where the loops differ."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    match loop:
        case "asyncio":
            factory = asyncio.SelectorEventLoop
        case "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        case "aioxide":
            import aioxide

            aioxide.install()
            factory = aioxide.new_event_loop
        case "-":
            factory = None
        case _:
            raise ValueError(f"no such loop: {loop}")
    return factory


def load(module: str) -> tuple[Any, Any]:
    """The way, and the module of the crawl, from the folder `ways` beside this file.

    The folder of this file must not get in front of the standard library, which has a site.py too.
    """
    folder = Path(__file__).with_name("ways")
    spec = importlib.util.spec_from_file_location(
        "ways", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["ways"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return importlib.import_module(f"ways.{module}"), importlib.import_module("ways.crawl")


def cpu() -> float:
    """CPU seconds of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(way: Any, crawl: Any, peak_kib: Callable[[str], int]) -> dict[str, Any]:
    """Crawl once."""
    gc.collect()
    wall, used = time.perf_counter(), cpu()
    if inspect.iscoroutinefunction(way.run):
        with asyncio.Runner(loop_factory=crawl.loop_factory) as runner:
            runner.run(way.run(crawl))
    else:
        way.run(crawl)
    wall, used = time.perf_counter() - wall, cpu() - used
    return {
        "pages": crawl.pages,
        "images": crawl.images,
        "bytes": crawl.bytes,
        "signature": crawl.signature,
        "wall": wall,
        "cpu": used,
        "peak_kib": peak_kib("self") + crawl.workers_kib,
    }


def main() -> None:
    module, loop, port, concurrency, processes = sys.argv[1:]
    factory = loop_factory(loop)
    way, shared = load(module)
    for _ in iter(sys.stdin.readline, ""):
        crawl = shared.Crawl(HOST, int(port), int(concurrency), int(processes), factory, tell)
        say(measure(way, crawl, shared.peak_kib))


if __name__ == "__main__":
    main()
