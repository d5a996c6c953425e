"""Files of the standard library, with awaitable methods: threads run them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

# Answers that are in memory.
_PLAIN = frozenset(
    {
        "buffer",
        "closed",
        "delete",
        "detach",
        "encoding",
        "errors",
        "fileno",
        "line_buffering",
        "mode",
        "name",
        "newlines",
        "raw",
        "readable",
        "getvalue",
        "getbuffer",
    }
)


class WrappedFile:
    """A file of the standard library whose methods are coroutines."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def _target(self) -> Any:
        return self._file

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._target(), name)
        if name in _PLAIN or not callable(found):
            return found
        return self._coroutine_function(found)

    def _coroutine_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            return await self._run(function, *args, **kwargs)

        return run

    async def _run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} of {self._target()!r}>"

    def __aiter__(self) -> WrappedFile:
        return self

    async def __anext__(self) -> Any:
        line = await self._run(self._target().readline)
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._run(self._target().close)


def wrap(file: Any, *, loop: object = None, executor: object = None) -> WrappedFile:
    """Give an open file of the standard library awaitable methods.

    The file keeps its own buffer and position, so threads have to run its methods. What is opened
    with ``aioxide.files.open`` needs none.

    Args:
        file: the open file.
        loop: accepted from callers of aiofiles, and not needed.
        executor: likewise.

    Raises:
        TypeError: if it has neither ``read`` nor ``write``.
    """
    del loop, executor
    if not hasattr(file, "read") and not hasattr(file, "write"):
        raise TypeError(f"Unsupported io type: {file}.")
    return WrappedFile(file)
