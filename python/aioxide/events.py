"""The event loop: asyncio's BaseEventLoop with its engine in Rust."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from asyncio.base_events import _format_handle  # type: ignore[attr-defined]
from asyncio.log import logger
from asyncio.selector_events import BaseSelectorEventLoop
from typing import TYPE_CHECKING, Any

from . import _aioxide, _patches, _registry
from ._copying import unpicklable
from ._functions import dress_methods
from .names import Names
from .signals import SignalHandlers
from .subprocess import Subprocesses
from .tls import Tls
from .unix import Pipes, UnixSockets

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["EventLoop"]


NO_NESTED_RUNS = (
    "aioxide's event loop cannot run inside itself, and nest_asyncio's apply() would replace the "
    "methods that run it: run this program with `aioxide run --keep-loop`, or call "
    "aioxide.install(loop=False)"
)


class _Ready:
    """The native queue, as far as a handle can be appended to it."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def append(self, handle: asyncio.Handle) -> None:
        """Run the handle in the next iteration."""
        self._loop._add_callback(handle)

    def clear(self) -> None:
        """Do nothing: the native loop drops its queue when it is closed."""


# The ignored complaint is explained in _base.py.
class EventLoop(  # type: ignore[misc]
    SignalHandlers,
    Names,
    UnixSockets,
    Pipes,
    Subprocesses,
    Tls,
    _aioxide.LoopCore,
    asyncio.BaseEventLoop,
):
    """An asyncio event loop whose callbacks, tasks, timers and sockets run natively.

    It is an ``asyncio.BaseEventLoop``: what is not overridden here or in the native half behaves
    as the running Python's asyncio does.

    Args:
        selector: None. asyncio's loop takes a selector here; this one polls natively.

    Raises:
        TypeError: a selector was given.
    """

    def __init__(self, selector: None = None) -> None:
        try:
            if selector is not None:
                raise TypeError(
                    f"aioxide's event loop polls natively and takes no selector, got {selector!r}"
                )
            self._open()
        except BaseException:
            # No descriptor left, say. Without this, __del__ would close what was never opened.
            self._close_core()
            raise
        super().__init__()
        _registry.connect_debugger()

    def run_forever(self) -> None:
        """Run until ``stop()`` is called.

        Raises:
            RuntimeError: if it runs already or is closed, or if another loop runs in this thread.
        """
        self._run_forever_setup()
        try:
            self._run()
        finally:
            self._run_forever_cleanup()

    if sys.version_info < (3, 13):

        def _run_forever_setup(self) -> None:
            """Prepare to run: what 3.13 has as a method of BaseEventLoop."""
            self._check_closed()
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            self._old_agen_hooks = sys.get_asyncgen_hooks()
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,
                finalizer=self._asyncgen_finalizer_hook,
            )
            asyncio._set_running_loop(self)

        def _run_forever_cleanup(self) -> None:
            """Undo ``_run_forever_setup``."""
            self._stopping = False
            self._thread_id = None
            asyncio._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*self._old_agen_hooks)

    def close(self) -> None:
        """Close the loop. It must not be running; closing it again does nothing.

        Raises:
            RuntimeError: if the loop is running.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        self._close_signals()
        self._close_names()
        super().close()
        self._close_core()

    @property
    def _nest_patched(self) -> Any:
        """Refuse nest_asyncio and nest_asyncio2, which look for this before they patch the class.

        They replace methods of the loop's class by Python code that needs a `_selector`: every
        later run would fail.
        """
        raise RuntimeError(NO_NESTED_RUNS)

    def _run_once(self) -> None:
        """Run until ``stop()`` is called, for BaseEventLoop.run_forever if a patch has called it.

        Raises:
            RuntimeError: for anybody else.
        """
        if _patches.is_original_run(sys._getframe(1)):
            self._run()
        else:
            super()._run_once()

    def _call_soon(self, callback: Any, args: tuple[Any, ...], context: Any) -> asyncio.Handle:
        """Schedule a callback, for BaseEventLoop's methods if a patch has called them."""
        return _aioxide.LoopCore.call_soon(self, callback, *args, context=context)

    @property
    def _ready(self) -> Any:
        """What BaseEventLoop's methods append handles to, if a patch has called them."""
        return _Ready(self)

    @_ready.setter
    def _ready(self, queue: object) -> None:
        """Leave BaseEventLoop's own queue out."""

    def _create_task_here(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
        """Create a native task with keywords that only the running Python's Task knows."""
        self._check_closed()
        return _aioxide.Task(coro, loop=self, **kwargs)

    def _report_slow(self, handle: Any, seconds: float) -> None:
        """Log a callback or a task step that held the loop up in debug mode."""
        logger.warning("Executing %s took %.3f seconds", _format_handle(handle), seconds)


unpicklable(EventLoop)
_patches.watch(EventLoop)

# Of the usual loop: the base has the sock_* methods as names only.
dress_methods(EventLoop, BaseSelectorEventLoop)


def __getattr__(name: str) -> Any:
    """Give asyncio's other names, as `asyncio.events` has them."""
    if name in asyncio.events.__all__:
        return getattr(asyncio, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message, name=name)


def _send_before_fork() -> None:
    """Let the child not send again what this turn has written before the fork."""
    loop = asyncio._get_running_loop()
    if isinstance(loop, _aioxide.LoopCore):
        loop._uncork()


os.register_at_fork(before=_send_before_fork)
