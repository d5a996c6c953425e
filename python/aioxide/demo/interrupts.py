"""Ctrl-C as KeyboardInterrupt, except where it would leave a child process behind."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Interrupts:
    """Holds back SIGINT while a child is started or ended, and raises it after that."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle SIGINT here, unless it is ignored, as it is in the background of a shell."""
        before = signal.getsignal(signal.SIGINT)
        if before == signal.SIG_IGN:
            yield
            return
        signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No KeyboardInterrupt inside; one that came meanwhile is raised at the end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            pending = self._pending and not self._depth
            if pending:
                self._pending = False
        # Not in `finally`: an exception that is on its way is not replaced.
        if pending:
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._depth:
            self._pending = True
        else:
            raise KeyboardInterrupt


interrupts = Interrupts()
