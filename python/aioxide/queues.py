"""asyncio's queues, native: the public classes over their half in Rust.

Each derives from asyncio's class of the same name, so that `isinstance` holds either way. The
exceptions are asyncio's.
"""

from __future__ import annotations

import asyncio.queues
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from . import _aioxide
from ._copying import restorable
from ._functions import dress_methods

if sys.version_info >= (3, 13):
    from asyncio.queues import QueueEmpty, QueueFull, QueueShutDown
else:
    from asyncio.queues import QueueEmpty, QueueFull

    class QueueShutDown(Exception):
        """The queue has been shut down: nothing can be put, and there is nothing left to get."""


__all__ = ("LifoQueue", "PriorityQueue", "Queue", "QueueEmpty", "QueueFull", "QueueShutDown")

_T = TypeVar("_T")
if TYPE_CHECKING:
    from _typeshed import SupportsRichComparisonT as _OrderedT
else:
    _OrderedT = TypeVar("_OrderedT")


class Queue(_aioxide.QueueCore, asyncio.queues.Queue[_T]):
    """A queue between tasks: first in, first out.

    Args:
        maxsize: how many items it takes. At so many `put()` waits, and `put_nowait()` raises
            QueueFull; 0 or less is any number.
    """

    __slots__ = ()


dress_methods(Queue, asyncio.queues.Queue)
restorable(
    Queue,
    "_maxsize",
    "_getters",
    "_putters",
    "_unfinished_tasks",
    "_finished",
    "_queue",
    "_is_shutdown",
)


class PriorityQueue(Queue[_OrderedT], asyncio.queues.PriorityQueue[_OrderedT]):
    """A queue that gives the lowest item first; usually tuples of a priority and data.

    Args:
        maxsize: as for `Queue`.
    """

    __slots__ = ()


class LifoQueue(Queue[_T], asyncio.queues.LifoQueue[_T]):
    """A queue that gives the item added last first.

    Args:
        maxsize: as for `Queue`.
    """

    __slots__ = ()


def __getattr__(name: str) -> Any:
    """Give the module's other names as asyncio has them."""
    return getattr(asyncio.queues, name)
