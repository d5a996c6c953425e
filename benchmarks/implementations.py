"""The event loops under comparison, and how to open one.

Imported by the measured child processes, so it stays light: whatever is loaded here lives in the
heap of every measurement.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Implementation:
    """One column of the tables."""

    name: str
    module: str
    about: str
    stock_tasks: bool = False
    """Keep the C `asyncio.Task` and `asyncio.Future` and take only the loop."""
    namespace: str = "asyncio"
    """The module that a program of this implementation imports as `asyncio`."""

    def aio(self) -> Any:
        """`sleep`, `gather`, `Queue`, `start_server`: what programs call."""
        return importlib.import_module(self.namespace)

    def version(self) -> str | None:
        """Version of the package, None where it is not installed."""
        if self.module == "asyncio":
            return sys.version.split()[0]
        try:
            return importlib.metadata.version(self.module)
        except importlib.metadata.PackageNotFoundError:
            return None


IMPLEMENTATIONS = {
    each.name: each
    for each in (
        Implementation("asyncio", "asyncio", "the standard library's selector loop"),
        Implementation("uvloop", "uvloop", "Cython over libuv"),
        Implementation("rloop", "rloop", "Rust loop, C Task and Future"),
        Implementation("rsloop", "rsloop", "Rust loop with its own runtime thread"),
        Implementation("zuvloop", "zuvloop", "Zig over libuv"),
        Implementation("aioxide", "aioxide", "all of asyncio in Rust", namespace="aioxide"),
        Implementation("aioxide-loop", "aioxide", "aioxide's loop, Task and Future only"),
        Implementation(
            "aioxide-ctask", "aioxide", "aioxide's loop under the C Task and Future", True
        ),
    )
}


@dataclass(frozen=True)
class Environment:
    """What a workload may use. It never names a loop or a package itself."""

    loop: asyncio.AbstractEventLoop
    aio: Any
    """Where sleep, gather, Queue and Lock come from: `asyncio`, or what takes its place."""
    create_future: Callable[[], asyncio.Future[Any]]
    port: int | None = None
    """Where a server for the workload is, if it needs one."""


def _stock_task(loop: asyncio.AbstractEventLoop, coro: Any, **keywords: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coro, loop=loop, **keywords)


def new_loop(implementation: Implementation) -> asyncio.AbstractEventLoop:
    """A new event loop of this implementation, not in debug mode."""
    loop: asyncio.AbstractEventLoop
    loop = importlib.import_module(implementation.module).new_event_loop()
    if implementation.stock_tasks:
        loop.set_task_factory(_stock_task)
    if loop.get_debug():
        loop.close()
        raise RuntimeError("the loop is in debug mode: nothing measured now would be true")
    return loop


def environment(
    implementation: Implementation, loop: asyncio.AbstractEventLoop, port: int | None = None
) -> Environment:
    """What a workload needs, with the implementation's own or the stock Future."""
    create_future: Callable[[], asyncio.Future[Any]] = loop.create_future
    if implementation.stock_tasks:
        create_future = functools.partial(asyncio.Future, loop=loop)
    return Environment(loop, implementation.aio(), create_future, port)


def pin(cpu: int | None) -> None:
    """Keep this process on one core; None leaves the scheduler free."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def probe(name: str) -> None:
    """Open a loop, run one turn with a task in it, close it: raises where that fails."""
    loop = new_loop(IMPLEMENTATIONS[name])
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


if __name__ == "__main__":
    probe(sys.argv[1])
