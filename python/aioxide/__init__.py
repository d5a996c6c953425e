"""Python's asyncio, rebuilt in Rust.

Importing this package changes nothing. Run a program on it with ``aioxide.run(main())``, with
``asyncio.run(main(), loop_factory=aioxide.new_event_loop)``, or unmodified with
``python -m aioxide app.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._aioxide import Future, Handle, Task, TimerHandle, __version__
from .events import EventLoop
from .install import install, installed, uninstall
from .runners import Runner, new_event_loop, run

if TYPE_CHECKING:
    from .policy import EventLoopPolicy

__all__ = [
    "EventLoop",
    "EventLoopPolicy",
    "Future",
    "Handle",
    "Runner",
    "Task",
    "TimerHandle",
    "__version__",
    "install",
    "installed",
    "new_event_loop",
    "run",
    "uninstall",
]


def __getattr__(name: str) -> Any:
    """Import what asyncio deprecates only when it is asked for."""
    if name == "EventLoopPolicy":
        from .policy import EventLoopPolicy

        return EventLoopPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
