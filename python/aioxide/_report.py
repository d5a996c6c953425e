"""What the log says about the loops of a process after `install()`: logger ``aioxide``.

One INFO line when the first aioxide loop runs, and one WARNING for each class of loops that are not
aioxide's and run all the same. Under `aioxide run` a process without a handler for these records
writes them to stderr; elsewhere logging's own rules apply, so that only the warning is shown.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from . import _aioxide

__all__ = ("set_running_loop", "show")

_PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_ASYNCIO = os.path.join(os.path.dirname(os.path.abspath(asyncio.__file__)), "")
_original: Any = asyncio._set_running_loop
_is_shown = False
_said_ours = False
_said_others: set[type] = set()


def show(shown: bool) -> None:
    """Set whether lines go to stderr if the program has no handler for them."""
    global _is_shown
    _is_shown = shown


def set_running_loop(loop: Any) -> None:
    """Do what `asyncio._set_running_loop` does, and say which loop runs."""
    global _said_ours
    _original(loop)
    if loop is None:
        return
    if isinstance(loop, _aioxide.LoopCore):
        if not _said_ours:
            _said_ours = True
            _say(logging.INFO, f"aioxide {_aioxide.__version__} loop, files {_backend()}")
    else:
        _report_other(loop)


def _report_other(loop: Any) -> None:
    kind = type(loop)
    if kind in _said_others:
        return
    _said_others.add(kind)
    name = f"{kind.__module__}.{kind.__qualname__}"
    _say(logging.WARNING, f"aioxide's loop is not used: {name} runs, started by {_caller()}")


def _caller() -> str:
    """Return file and line of the innermost frame outside of asyncio and aioxide."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_PACKAGE, _ASYNCIO)):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "unknown"


def _backend() -> str:
    try:
        backend = _aioxide.file_backend()
    except (OSError, ValueError) as error:
        return f"unavailable ({error})"
    return {"uring": "io_uring"}.get(backend, backend)


def _say(level: int, text: str) -> None:
    logger = logging.getLogger("aioxide")
    if _is_shown and not logger.hasHandlers() and logger.level <= level:
        if sys.stderr is not None:
            try:
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()
            except (OSError, ValueError):
                pass  # closed, or nobody reads it: the program decides what that means
    else:
        logger.log(level, text)
