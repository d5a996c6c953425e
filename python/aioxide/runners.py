"""`aioxide.run` and `aioxide.Runner`: asyncio's own, with our loop as the default."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from .events import EventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ("Runner", "new_event_loop", "run")

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """A new event loop, not set as the current one: the `loop_factory` for every runner."""
    return EventLoop()


# typeshed calls asyncio's class final; at run time it is not, and being one of asyncio's keeps the
# rules of the running Python (what it accepts, Ctrl-C, how it closes) without repeating them.
class Runner(asyncio.Runner):  # type: ignore[misc]
    """An `asyncio.Runner` whose loop is aioxide's unless another factory is given."""

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        factory = new_event_loop if loop_factory is None else loop_factory
        super().__init__(debug=debug, loop_factory=factory)


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Run a coroutine on a new loop, close the loop, return the result: `asyncio.run` on aioxide.

    `loop_factory` is accepted on every Python, as asyncio does from 3.12 on.
    """
    if asyncio._get_running_loop() is not None:
        # asyncio's words, since programs match them.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
