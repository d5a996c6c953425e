"""What a native function needs to pass for asyncio's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from . import _aioxide

_F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["dress", "dress_methods", "mark"]


def dress(
    function: Any,
    original: Any,
    module: str,
    owner: type | None = None,
    *,
    replaceable: bool = True,
) -> Any:
    """Let a native function look like asyncio's: `inspect` reads the signature off the code, and
    whether it is a coroutine function.

    Args:
        function: the native function, which is changed and returned.
        original: asyncio's function of the same name.
        module: where the function is to be found.
        owner: the class it is a method of, if it is one.
        replaceable: whether asyncio's code works in its place. Then other code can be set, as
            libraries do that wrap a function in place; else setting it is refused.
    """
    function.__module__ = module
    if owner is not None:
        function.__qualname__ = f"{owner.__qualname__}.{function.__name__}"
    function.__annotations__ = dict(original.__annotations__)
    _aioxide._dress(function, original, replaceable)
    return function


def dress_methods(
    cls: type, asyncios: type | None = None, *, replaceable: tuple[str, ...] = ()
) -> None:
    """Let the native coroutine methods of a class look like those of asyncio's class.

    Args:
        cls: the class; its methods may be those of its bases in Rust.
        asyncios: asyncio's class, if it has one like it.
        replaceable: the methods whose code in asyncio works on an instance of `cls`, too.
    """
    for base in cls.__mro__:
        for name, function in vars(base).items():
            if type(function) is not _aioxide.Function:
                continue
            original = getattr(asyncios, name, None)
            if inspect.isfunction(original):
                dress(function, original, cls.__module__, cls, replaceable=name in replaceable)
            else:
                mark(function)


def mark(function: _F) -> _F:
    """Make a function that only gives back a coroutine a coroutine function, and return it."""
    # What asyncio.iscoroutinefunction looks for, and since 3.12 inspect's as well.
    marker = getattr(asyncio.coroutines, "_is_coroutine", None)
    if marker is not None:
        function._is_coroutine = marker  # type: ignore[attr-defined]
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(function)
    return function


async def await_once(awaitable: Any) -> Any:
    """Await it: for what cannot be awaited, which the interpreter refuses in its own words."""
    return await awaitable
