"""Shows our tasks to asyncio: to ``asyncio.all_tasks``, and to ``python -m asyncio ps``.

Up to Python 3.13 asyncio keeps all tasks in a ``WeakSet`` (``asyncio.tasks._scheduled_tasks``,
``_all_tasks`` on 3.11). Adding every task to it would double what a task costs, so our tasks stand
in a native list, and the set of references inside the ``WeakSet`` is replaced by one that, when
somebody walks over it, goes through that list too. Nothing else about it changes. From 3.14 on
asyncio has a list of its own that takes our tasks as they are, and a debugger in another process
that reads them from memory.
"""

from __future__ import annotations

import asyncio.tasks
import functools
import sys
from typing import TYPE_CHECKING, Any

from . import _aioxide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _itself(task: Any) -> Any:
    return task


class TaskReferences(set[Any]):
    """The references of asyncio's ``WeakSet``, followed by one for each native task."""

    def __iter__(self) -> Iterator[Callable[[], Any]]:
        """Yield callables that return a task, or None if it is gone."""
        yield from list(super().__iter__())
        for task in _aioxide.live_tasks():
            yield functools.partial(_itself, task)


def connect() -> None:
    """Let ``asyncio.all_tasks`` see the native tasks. Doing it again changes nothing."""
    weak_set: Any = getattr(asyncio.tasks, "_scheduled_tasks", None)
    if weak_set is None:
        weak_set = getattr(asyncio.tasks, "_all_tasks", None)
    if weak_set is None or isinstance(weak_set.data, TaskReferences):
        return
    weak_set.data = TaskReferences(weak_set.data)


class _SilentLoop:
    """As much of a loop as a stock task needs that is made to be looked at and thrown away."""

    def get_debug(self) -> bool:
        return False

    def call_soon(self, *args: object, **kwargs: object) -> None:
        pass

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        pass


@functools.cache
def connect_debugger() -> bool:
    """Let ``python -m asyncio ps`` (3.14 and later) read our tasks. Whether it can is returned."""
    if sys.version_info < (3, 14):
        return False

    async def never() -> None:
        """Not run."""

    coro = never()
    try:
        return _aioxide._connect_debugger(_SilentLoop(), coro, "a name of its own")
    finally:
        coro.close()
