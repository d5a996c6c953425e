"""What a native coroutine shows to `inspect`, to debuggers and in warnings.

A native coroutine has no Python frame. It shows the code object of asyncio's function of the same
name, and the frame of a coroutine of that code that never starts: file, name and first line are
asyncio's, and the frame has no locals.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.selector_events
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

from . import _aioxide

if TYPE_CHECKING:
    from collections.abc import Coroutine

#: asyncio's classes by the name that a native coroutine's ``__qualname__`` begins with.
_OWNERS: dict[str, Any] = {
    "BaseEventLoop": asyncio.base_events.BaseEventLoop,
    "EventLoop": asyncio.selector_events.BaseSelectorEventLoop,
}
for _module in (asyncio.locks, asyncio.queues, asyncio.streams, asyncio.timeouts):
    for _name in _module.__all__:
        _OWNERS[_name] = getattr(_module, _name)
#: asyncio's functions, as they are before `aioxide.install`.
_FUNCTIONS: dict[str, Any] = {name: vars(asyncio.tasks)[name] for name in asyncio.tasks.__all__}


def _original(qualname: str) -> types.FunctionType | None:
    """Return asyncio's coroutine function of this name, or None if it has none."""
    owner, _, name = qualname.rpartition(".")
    found = getattr(_OWNERS.get(owner), name, None) if owner else _FUNCTIONS.get(name)
    if isinstance(found, types.FunctionType) and inspect.iscoroutinefunction(found):
        return found
    return None


def _placeholder(qualname: str) -> types.FunctionType:
    """Make a coroutine function for a native one that asyncio does not have."""
    name = qualname.rpartition(".")[2]
    scope: dict[str, Any] = {"__name__": "aioxide"}
    exec(compile(f"async def {name}(): pass", "<aioxide>", "exec"), scope)
    function = scope[name]
    assert isinstance(function, types.FunctionType)
    function.__code__ = function.__code__.replace(co_qualname=qualname)
    return function


def stub(qualname: str) -> tuple[types.CodeType, Coroutine[Any, Any, Any]]:
    """Make what all native coroutines of one function show.

    Args:
        qualname: the coroutine's ``__qualname__``.

    Returns:
        The code object, and a coroutine of that code without parameters, to be kept for ever: it
        is never awaited.
    """
    original = _original(qualname) or _placeholder(qualname)
    code = original.__code__
    bare = code.replace(
        co_argcount=0,
        co_posonlyargcount=0,
        co_kwonlyargcount=0,
        co_flags=code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS),
    )
    closure = tuple(types.CellType() for _ in bare.co_freevars)
    function = types.FunctionType(bare, original.__globals__, code.co_name, None, closure)
    function.__qualname__ = qualname
    return code, function()


def origin(depth: int) -> tuple[tuple[str, int, str], ...]:
    """Return where a coroutine is created, as `sys.set_coroutine_origin_tracking_depth` asks.

    Args:
        depth: the number of frames at most.

    Returns:
        File name, line number and function name of each frame, the innermost first.
    """
    frames: list[tuple[str, int, str]] = []
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and len(frames) < depth:
        frames.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(frames)


_aioxide._use_introspection(stub, origin)
