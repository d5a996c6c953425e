"""What the loop hands out is typed as asyncio's own; our classes are subclasses of asyncio's."""

from __future__ import annotations

import asyncio
from typing import assert_type

import aioxide


async def text() -> str:
    """Something to wait for."""
    return "text"


async def main() -> None:
    """Futures, tasks and handles of the running loop."""
    loop = asyncio.get_running_loop()

    future: asyncio.Future[int] = loop.create_future()
    loop.call_soon(future.set_result, 1)
    assert_type(await future, int)

    task = loop.create_task(text())
    assert_type(await task, str)
    assert isinstance(task, aioxide.Task)

    own: aioxide.Future[str] = aioxide.Future(loop=loop)
    stock: asyncio.Future[str] = own
    own.set_result("done")
    assert_type(await own, str)
    assert stock.result() == "done"

    started: aioxide.Task[str] = aioxide.Task(text(), loop=loop)
    stock_task: asyncio.Task[str] = started
    assert_type(await started, str)
    assert stock_task.done()

    handle = loop.call_later(60, print)
    assert_type(handle, asyncio.TimerHandle)
    handle.cancel()


aioxide.run(main())
