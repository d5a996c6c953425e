"""Every way in, as a program that is checked and then run."""

from __future__ import annotations

import asyncio
import sys
from typing import assert_type

import aioxide


async def answer() -> int:
    """Something to run."""
    await asyncio.sleep(0)
    return 42


assert_type(aioxide.run(answer()), int)
assert_type(aioxide.run(answer(), debug=True), int)
assert_type(aioxide.run(answer(), loop_factory=aioxide.new_event_loop), int)
if sys.version_info >= (3, 12):
    assert_type(asyncio.run(answer(), loop_factory=aioxide.new_event_loop), int)

with aioxide.Runner(debug=False) as runner:
    assert_type(runner.run(answer()), int)
    as_asyncios: asyncio.Runner = runner
with asyncio.Runner(loop_factory=aioxide.EventLoop) as stock_runner:
    assert_type(stock_runner.run(answer()), int)

loop = aioxide.new_event_loop()
assert_type(loop, aioxide.EventLoop)
as_base: asyncio.BaseEventLoop = loop
assert_type(loop.run_until_complete(answer()), int)
loop.close()
