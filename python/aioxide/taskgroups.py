"""``asyncio.taskgroups``: asyncio's ``TaskGroup`` with what runs per task in Rust."""

from __future__ import annotations

import asyncio.taskgroups
from asyncio.taskgroups import *  # noqa: F403
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.taskgroups import __all__ as __all__
else:
    from . import _aioxide
    from ._copying import restorable
    from ._functions import dress_methods

    __all__ = asyncio.taskgroups.__all__

    class TaskGroup(_aioxide.TaskGroupCore, asyncio.taskgroups.TaskGroup):
        """An async context manager that holds tasks and waits for all of them on leaving.

        If one fails, the others and the body are cancelled, and the exceptions are raised together
        as an ``ExceptionGroup``.
        """

    restorable(
        TaskGroup,
        "_entered",
        "_exiting",
        "_aborting",
        "_loop",
        "_parent_task",
        "_tasks",
        "_on_completed_fut",
        optional=(),
    )
    dress_methods(TaskGroup, asyncio.taskgroups.TaskGroup, replaceable=("create_task",))
    _aioxide._set_task_group_class(TaskGroup, asyncio.taskgroups.TaskGroup)
