"""asyncio's locks, native: the public classes over their halves in Rust.

Each derives from asyncio's class of the same name, so that `isinstance` holds either way, and what
the native half leaves out is asyncio's own method.
"""

from __future__ import annotations

import asyncio.locks
from typing import Any

from . import _aioxide
from ._copying import restorable
from ._functions import dress_methods

__all__ = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore")


class Lock(_aioxide.LockCore, asyncio.locks.Lock):
    """A lock for tasks: one holds it at a time, and they get it in the order they asked.

    ``async with lock:`` takes it and gives it back. It belongs to nobody in particular: any task
    may call `release()`.
    """

    __slots__ = ()


class Event(_aioxide.EventCore, asyncio.locks.Event):
    """A flag that tasks can wait for. It is not set at first.

    ``wait()`` returns at once while the flag is set; `set()` wakes all that wait.
    """

    __slots__ = ()


class Condition(_aioxide.ConditionCore, asyncio.locks.Condition):
    """A lock, and a way to wait until another task says that something has changed.

    Take it with ``async with condition:`` before you look, wait or notify.

    Args:
        lock: the lock to use; a new `Lock` by default.
    """

    __slots__ = ()


class Semaphore(_aioxide.SemaphoreCore, asyncio.locks.Semaphore):
    """A number of units that tasks take and give back; at none, they wait, in the order they came.

    ``async with semaphore:`` takes one and gives it back.

    Args:
        value: the number of units at first.

    Raises:
        ValueError: if it is negative.
    """

    __slots__ = ()


class BoundedSemaphore(Semaphore, asyncio.locks.BoundedSemaphore):
    """A semaphore that refuses, with ValueError, to have more units than at first.

    Args:
        value: the number of units at first, and at most.

    Raises:
        ValueError: if it is negative.
    """

    __slots__ = ()


class Barrier(_aioxide.BarrierCore, asyncio.locks.Barrier):
    """A place where tasks wait until enough of them have come, and then all go on.

    It can be used again, for the next as many.

    Args:
        parties: how many tasks it takes.

    Raises:
        ValueError: if that is less than 1.
    """

    __slots__ = ()


for _class in (Barrier, Condition, Event, Lock, Semaphore):
    dress_methods(_class, getattr(asyncio.locks, _class.__name__))

restorable(Lock, "_waiters", "_locked")
restorable(Event, "_waiters", "_value")
restorable(Condition, "_lock", "_waiters")
restorable(Semaphore, "_waiters", "_value")
restorable(BoundedSemaphore, "_bound_value", "_waiters", "_value")
restorable(Barrier, "_cond", "_parties", "_state", "_count")


def __getattr__(name: str) -> Any:
    """Give the module's other names as asyncio has them."""
    return getattr(asyncio.locks, name)
