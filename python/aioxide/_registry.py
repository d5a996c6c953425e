"""Shows our tasks to ``asyncio.all_tasks`` on Pythons up to 3.13.

There asyncio keeps all tasks in a ``WeakSet`` (``asyncio.tasks._scheduled_tasks``, ``_all_tasks``
on 3.11). Adding every task to it would double what a task costs, so our tasks stand in a native
list, and the set of references inside the ``WeakSet`` is replaced by one that, when somebody
walks over it, goes through that list too. Nothing else about it changes. From 3.14 on asyncio has
a list of its own that takes our tasks as they are.
"""

from __future__ import annotations

import asyncio.tasks
from typing import TYPE_CHECKING, Any

from . import _aioxide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TaskReferences(set[Any]):
    """The references of asyncio's ``WeakSet``, followed by one for each native task."""

    def __iter__(self) -> Iterator[Callable[[], Any]]:
        """Yield callables that return a task, or None if it is gone."""
        yield from list(super().__iter__())
        for task in _aioxide.live_tasks():
            yield lambda task=task: task


def connect() -> None:
    """Let ``asyncio.all_tasks`` see the native tasks. Doing it again changes nothing."""
    weak_set: Any = getattr(asyncio.tasks, "_scheduled_tasks", None)
    if weak_set is None:
        weak_set = getattr(asyncio.tasks, "_all_tasks", None)
    if weak_set is None or isinstance(weak_set.data, TaskReferences):
        return
    weak_set.data = TaskReferences(weak_set.data)
