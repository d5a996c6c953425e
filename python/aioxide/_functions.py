"""What a native function needs to pass for asyncio's."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

__all__ = ["dress"]


def dress(function: Any, original: Any, module: str) -> Any:
    """Give a native function the signature of asyncio's, and make it a coroutine function too.

    Args:
        function: the native function, which is changed and returned.
        original: asyncio's function of the same name.
        module: where the function is to be found.
    """
    function.__module__ = module
    function.__signature__ = inspect.signature(original)
    function.__annotations__ = dict(original.__annotations__)
    if inspect.iscoroutinefunction(original):
        # What asyncio.iscoroutinefunction looks for, and since 3.12 inspect's as well.
        marker = getattr(asyncio.coroutines, "_is_coroutine", None)
        if marker is not None:
            function._is_coroutine = marker
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(function)
    return function
