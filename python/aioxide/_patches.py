"""Which of asyncio's functions and methods somebody has replaced, and what follows from it.

Libraries that trace, profile or check a program replace asyncio's functions, put other methods into
its classes, or give a function another code object. Where a native function or method would hide
such a patch, the patch has precedence: `install` leaves a patched name alone, and a patched method
of ``BaseEventLoop`` is carried over to the native loop.
"""

from __future__ import annotations

import asyncio.base_events
import asyncio.events
import functools
import heapq
import importlib
import types
from typing import TYPE_CHECKING, Any

from . import _aioxide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["is_original_run", "is_patched", "watch"]


#: Modules by name, kept since nothing can be imported while the interpreter ends.
_modules: dict[str, types.ModuleType] = {
    module.__name__: module for module in (asyncio.base_events, asyncio.events)
}


def _module(name: str) -> types.ModuleType:
    if name not in _modules:
        _modules[name] = importlib.import_module(name)
    return _modules[name]


@functools.cache
def _codes(module: str) -> dict[str, tuple[types.CodeType, ...]] | None:
    """Return the code objects of a module's source by qualified name; None if it has no source."""
    loader = getattr(_module(module), "__loader__", None)
    try:
        code = loader.get_code(module)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):
        return None
    if code is None:
        return None
    found: dict[str, tuple[types.CodeType, ...]] = {}

    def walk(parent: types.CodeType) -> None:
        for constant in parent.co_consts:
            if isinstance(constant, types.CodeType):
                known = found.get(constant.co_qualname, ())
                found[constant.co_qualname] = (*known, constant)
                walk(constant)

    walk(code)
    return found


def _is_genuine(function: Any, module: str) -> bool:
    """Tell whether a function is the one in the source of asyncio's module.

    A tracer that replaces the code of a function keeps its names and its file, so the code itself
    is compared.
    """
    if type(function) is not types.FunctionType:  # To isinstance() a wrapper may be one, too.
        return False
    code = function.__code__
    if code.co_filename != getattr(_module(module), "__file__", None):
        return False
    codes = _codes(module)
    return codes is None or code in codes.get(code.co_qualname, ())


def _functions(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what stands in the class's dict, as the function that is called."""
    for name, found in vars(cls).items():
        if isinstance(found, (classmethod, staticmethod)):
            yield name, found.__func__
        elif isinstance(found, property):
            yield name, found.fget
        else:
            yield name, found


def is_patched(found: Any, module: str) -> bool:
    """Tell whether somebody has replaced asyncio's function, or a method of asyncio's class.

    Args:
        found: the function or class as it is now.
        module: the full name of asyncio's module that defines it.
    """
    if not isinstance(found, type):
        return not _is_genuine(found, module)
    codes = _codes(module) or {}
    return any(
        f"{found.__qualname__}.{name}" in codes and not _is_genuine(function, module)
        for name, function in _functions(found)
    )


_BASE = asyncio.base_events.BaseEventLoop
_MODULE = _BASE.__module__
#: As it was at the import: a program may put another class under its name, ours for example.
_HANDLE = asyncio.events.Handle


class _Carried:
    """The patched methods of BaseEventLoop that a loop class has at the moment."""

    def __init__(self, cls: type) -> None:
        before = cls.__mro__[: cls.__mro__.index(_BASE)]
        self._class = cls
        #: The public methods of BaseEventLoop that the class has natively or in a part of its own.
        self._names = [
            name
            for name, method in vars(_BASE).items()
            if callable(method) and not name.startswith("_")
            if any(name in vars(each) for each in before)
        ]
        #: What the class itself had under the name of a method that is carried over; None for
        #: nothing.
        self._replaced: dict[str, Any] = {}
        #: What BaseEventLoop had under a name at the last look, and its code.
        self._seen: dict[str, tuple[Any, Any]] = {}

    def update(self) -> None:
        """Give the class the methods that are patched in BaseEventLoop, and no others."""
        methods = vars(_BASE)
        for name in self._names:
            found = methods.get(name)
            code = getattr(found, "__code__", None)
            # By identity: a wrapper may claim to equal what it wraps.
            seen, seen_code = self._seen.get(name, (None, None))
            if seen is found and seen_code is code:
                continue
            self._seen[name] = (found, code)
            self._restore(name)
            if found is not None and not _is_genuine(found, _MODULE):
                self._replaced[name] = vars(self._class).get(name)
                carried = _through_heap(found) if name == "call_at" else found
                setattr(self._class, name, carried)

    def _restore(self, name: str) -> None:
        if name not in self._replaced:
            return
        ours = self._replaced.pop(name)
        if ours is None:
            delattr(self._class, name)
        else:
            setattr(self._class, name, ours)


def _through_heap(call_at: Any) -> Callable[..., Any]:
    """Wrap a patched `call_at`: BaseEventLoop's puts a timer into a heap that we do not have."""

    @functools.wraps(call_at, updated=())
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = call_at(self, *args, **kwargs)
        while self._scheduled:
            timer = heapq.heappop(self._scheduled)
            _aioxide.LoopCore.call_at(self, timer.when(), _run_timer, timer)
        return result

    return wrapper


def _run_timer(timer: Any) -> None:
    if not timer.cancelled():
        timer._run()


def _handle_run() -> Any:
    """Return what has replaced ``Handle._run``, or None while asyncio's is in force."""
    found = vars(_HANDLE).get("_run")
    return None if _is_genuine(found, "asyncio.events") else found


def watch(cls: type) -> None:
    """Let native loops of this class honour patches of BaseEventLoop and of Handle."""
    carried = _Carried(cls)

    def update() -> Any:
        carried.update()
        return _handle_run()

    _aioxide._use_patches(update)


def is_original_run(frame: types.FrameType) -> bool:
    """Tell whether a frame is that of asyncio's own run_forever, which a patch has called."""
    return frame.f_code in (_codes(_MODULE) or {}).get("BaseEventLoop.run_forever", ())
