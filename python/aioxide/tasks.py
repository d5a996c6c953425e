"""``asyncio.tasks``, with what runs per task and per wait in Rust.

The names that are not defined here are asyncio's own. So are the types for type checkers: what is
replaced at run time has the same signature.
"""

from __future__ import annotations

import asyncio.tasks
from asyncio.tasks import *  # noqa: F403
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.tasks import __all__ as __all__
else:
    from . import _aioxide
    from ._functions import dress

    __all__ = asyncio.tasks.__all__

    Task = _aioxide.Task

    create_task = dress(_aioxide.create_task, asyncio.tasks.create_task, __name__)
    ensure_future = dress(_aioxide.ensure_future, asyncio.tasks.ensure_future, __name__)
    gather = dress(_aioxide.gather, asyncio.tasks.gather, __name__)
    sleep = dress(_aioxide.sleep, asyncio.tasks.sleep, __name__)
    wait = dress(_aioxide.wait, asyncio.tasks.wait, __name__)
    wait_for = dress(_aioxide.wait_for, asyncio.tasks.wait_for, __name__)

    if hasattr(asyncio.tasks, "create_eager_task_factory"):
        eager_task_factory = asyncio.tasks.create_eager_task_factory(Task)
        eager_task_factory.__doc__ = (
            "Make a task that begins at once: for ``loop.set_task_factory``. A coroutine that does "
            "not have to wait ends within ``create_task``, without a turn of the loop."
        )
