"""A stand-in for uvloop with another loop behind its names, so that uvloop's own tests run on it.

That is aioxide; as the control, asyncio. The test helpers that uvloop ships in its package
(``uvloop._testbase``) come from the unpacked archive, which is the working folder of the run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aioxide

from .loop import Loop

__path__.append(os.path.join(os.getcwd(), "original-uvloop"))
__version__ = "0.23.0"
__all__ = ("Loop", "new_event_loop", "run")

_T = TypeVar("_T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop."""
    return Loop()


def run(
    main: Coroutine[Any, Any, _T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = new_event_loop,
    debug: bool | None = None,
) -> _T:
    """As `asyncio.run`, with uvloop's promise: the loop is uvloop's, or it is an error."""

    async def checked() -> _T:
        if not isinstance(asyncio.get_running_loop(), Loop):
            main.close()
            raise TypeError("uvloop.run() uses a non-uvloop event loop")
        return await main

    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(checked())


def __getattr__(name: str) -> Any:
    ours = Loop is aioxide.EventLoop
    if name == "EventLoopPolicy":
        return aioxide.EventLoopPolicy if ours else asyncio.DefaultEventLoopPolicy
    if name == "install":
        return aioxide.install if ours else lambda: None
    raise AttributeError(f"module 'uvloop' has no attribute {name!r}")
