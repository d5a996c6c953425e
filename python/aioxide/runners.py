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
    """Make an event loop: the `loop_factory` for every runner.

    Returns:
        a new loop. It is not set as the current one, and whoever asks for it has to close it.
    """
    return EventLoop()


# typeshed calls asyncio's class final; at run time it is not, and being one of asyncio's keeps the
# rules of the running Python (what it accepts, Ctrl-C, how it closes) without repeating them.
class Runner(asyncio.Runner):  # type: ignore[misc]
    """An `asyncio.Runner` whose loop is aioxide's unless another factory is given.

    ``with Runner() as runner:`` keeps one loop for several calls of ``runner.run(coroutine)``, and
    closes it at the end. Its methods `run`, `get_loop` and `close` are asyncio's own.

    Args:
        debug: whether the loop is in debug mode; None leaves that to ``PYTHONASYNCIODEBUG`` and
            ``python -X dev``.
        loop_factory: what makes the loop; `new_event_loop` if None.
    """

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
    """Run a coroutine on a new loop and close the loop: `asyncio.run` on aioxide.

    Tasks that are left when the coroutine ends are cancelled and waited for, and so are
    asynchronous generators and the threads of the default executor. Ctrl-C cancels the coroutine,
    and raises KeyboardInterrupt when it has ended.

    Args:
        main: the coroutine; from Python 3.14 on anything that can be awaited.
        debug: whether the loop is in debug mode; None leaves that to ``PYTHONASYNCIODEBUG`` and
            ``python -X dev``.
        loop_factory: what makes the loop; `new_event_loop` if None. It is accepted on every
            Python, as asyncio does from 3.12 on.

    Returns:
        what the coroutine returns.

    Raises:
        RuntimeError: if a loop runs in this thread already.
        ValueError: if `main` is no coroutine (TypeError from Python 3.14 on).
    """
    if asyncio._get_running_loop() is not None:
        # asyncio's words, since programs match them.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
