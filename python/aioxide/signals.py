"""``add_signal_handler`` and ``remove_signal_handler``.

CPython runs signal handlers between bytecodes of the main thread. To have a callback run by the
loop instead, CPython is asked (``signal.set_wakeup_fd``) to write each signal's number into a
socket that the loop watches, and the handler itself does nothing.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import signal
import socket
import sys
import warnings
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from . import _aioxide
from ._base import LoopPart

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def _no_handler(signum: int, frame: FrameType | None) -> None:
    """Do nothing: the number in the wake-up socket is the message."""


_wakeup_fds: set[int] = set()
"""What CPython may have been asked to write to, by a loop of ours that is open."""


def _forget_wakeup_fd() -> None:
    """Have signals of this child not written to a socket that is its parent's too."""
    wakeup_fd = signal.set_wakeup_fd(-1)
    if wakeup_fd != -1 and wakeup_fd not in _wakeup_fds:
        signal.set_wakeup_fd(wakeup_fd)


if sys.version_info < (3, 12):  # asyncio itself does it from then on
    os.register_at_fork(after_in_child=_forget_wakeup_fd)


class SignalHandlers(LoopPart):
    """The signal part of the event loop."""

    _signal_handlers: dict[int, _aioxide.Handle]
    _signal_sockets: tuple[socket.socket, socket.socket] | None

    def __init__(self) -> None:
        self._signal_handlers = {}
        self._signal_sockets = None
        super().__init__()

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Call ``callback(*args)`` in the loop whenever the signal comes. Main thread only.

        Raises:
            TypeError: if ``sig`` is no int, or ``callback`` a coroutine.
            ValueError: if there is no such signal.
            RuntimeError: outside the main thread, on a closed loop, or if the signal cannot be
                caught.
        """
        if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):  # type: ignore[redundant-expr]
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        try:
            signal.set_wakeup_fd(self._open_signal_sockets())
        except (ValueError, OSError) as error:
            raise RuntimeError(str(error)) from error
        self._signal_handlers[sig] = _aioxide.Handle(callback, args, self, None)
        try:
            signal.signal(sig, _no_handler)
            # System calls of other threads go on instead of failing with EINTR.
            signal.siginterrupt(sig, False)
        except OSError as error:
            del self._signal_handlers[sig]
            self._release_wakeup_fd()
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Give the signal its default action back. False if it had no handler of the loop.

        Raises:
            TypeError: if ``sig`` is no int.
            ValueError: if there is no such signal.
        """
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        self._release_wakeup_fd()
        return True

    def _check_signal(self, sig: int) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _open_signal_sockets(self) -> int:
        """Make the sockets at the first handler. Returns the descriptor that CPython writes to."""
        if self._signal_sockets is None:
            reading, writing = socket.socketpair()
            reading.setblocking(False)
            writing.setblocking(False)
            self._signal_sockets = reading, writing
            _wakeup_fds.add(writing.fileno())
            self.add_reader(reading.fileno(), self._read_signals)
        return self._signal_sockets[1].fileno()

    def _read_signals(self) -> None:
        """Put the handler of each signal that came into the queue."""
        if self._signal_sockets is None:
            return
        while True:
            try:
                numbers = self._signal_sockets[0].recv(4096)
            except InterruptedError:
                continue
            except BlockingIOError:
                return
            if not numbers:
                return
            for number in numbers:
                self._handle_signal(number)

    def _handle_signal(self, sig: int) -> None:
        handle = self._signal_handlers.get(sig)
        if handle is None:
            return
        if handle.cancelled():
            self.remove_signal_handler(sig)
        else:
            self._add_callback(handle)

    def _release_wakeup_fd(self) -> None:
        """Take the wake-up socket back from CPython when the last handler is gone."""
        if self._signal_handlers:
            return
        try:
            signal.set_wakeup_fd(-1)
        except (ValueError, OSError) as error:
            logger.info("set_wakeup_fd(-1) failed: %s", error)

    def _close_signals(self) -> None:
        """Remove every handler; called when the loop closes."""
        if sys.is_finalizing():
            if self._signal_handlers:
                warnings.warn(
                    f"Closing the loop {self!r} on interpreter shutdown stage, "
                    "skipping signal handlers removal",
                    ResourceWarning,
                    source=self,
                    stacklevel=2,
                )
                self._signal_handlers.clear()
        else:
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        if self._signal_sockets is not None:
            reading, writing = self._signal_sockets
            self._signal_sockets = None
            _wakeup_fds.discard(writing.fileno())
            self.remove_reader(reading.fileno())
            reading.close()
            writing.close()
