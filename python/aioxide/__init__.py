"""Python's asyncio, rebuilt in Rust.

Importing this package changes nothing. Run a program on it with ``aioxide.run(main())``, with
``asyncio.run(main(), loop_factory=aioxide.new_event_loop)``, or unmodified with
``python -m aioxide app.py``.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - for one clear line instead of a SyntaxError
    _refusal = "aioxide needs Python 3.11 or newer, this is {}.{}".format(*sys.version_info[:2])
    if sys.argv[:1] == ["-m"]:  # `python -m aioxide`: one line instead of a traceback
        sys.stderr.write(_refusal + "\n")
        raise SystemExit(2)
    raise ImportError(_refusal)

from typing import TYPE_CHECKING, Any

from ._aioxide import Future, Handle, Task, TimerHandle, __version__
from .events import EventLoop
from .install import install, installed, uninstall
from .runners import Runner, new_event_loop, run

if TYPE_CHECKING:
    from .policy import EventLoopPolicy as EventLoopPolicy

__all__ = [
    "EventLoop",
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


if not TYPE_CHECKING:  # a type checker would believe that there is every name

    def __getattr__(name: str) -> Any:
        """Import what asyncio deprecates only when it is asked for."""
        if name == "EventLoopPolicy":
            from . import policy

            return policy.EventLoopPolicy
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
