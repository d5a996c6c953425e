"""Everything asyncio's classes have is there: overridden natively, or listed as asyncio's own."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from sync.conftest import NAMES, primitives

pytestmark = pytest.mark.aioxide_only

CLASSES = [name for name in NAMES if not name.startswith("Queue") or name == "Queue"]

# What the interpreter puts on a class.
STRUCTURE = {
    "__abstractmethods__",
    "__annotations__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__init__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__slots__",
    "__static_attributes__",
    "__weakref__",
}

# asyncio's own code, on attributes that are ours.
_ALIAS = {"__class_getitem__": "a class method that makes an alias of whatever class it is"}
INHERITED = {
    "Queue": _ALIAS,
    "PriorityQueue": _ALIAS,
    "LifoQueue": _ALIAS,
    "Barrier": {
        "_block": "called by asyncio's wait(), for a class that overrides a part of it",
        "_exit": "called by asyncio's wait(), for a class that overrides a part of it",
        "_release": "called by asyncio's wait(), for a class that overrides a part of it",
        "_wait": "called by asyncio's wait(), for a class that overrides a part of it",
    },
}

# Parameters that asyncio's methods have for their own speed.
OTHER_SIGNATURES = {("PriorityQueue", "_get"), ("PriorityQueue", "_put")}

# From 3.13 on; here on every Python.
ADDED = {"shutdown", "_is_shutdown"} if sys.version_info < (3, 13) else set()
# asyncio sets these in __init__; here they are descriptors of the class.
INSTANCE = {
    "_bound_value", "_cond", "_count", "_finished", "_getters", "_is_shutdown", "_lock", "_locked",
    "_maxsize", "_parties", "_putters", "_queue", "_state", "_unfinished_tasks", "_value",
    "_waiters", "acquire", "locked", "release",
}  # fmt: skip


def pair(name: str) -> tuple[Any, Any]:
    """Return our class and asyncio's."""
    return getattr(primitives("aioxide"), name), getattr(primitives("asyncio"), name)


def make(cls: Any) -> Any:
    """Return an instance."""
    return cls(2) if "Barrier" in cls.__name__ else cls()


def owner(cls: type, name: str) -> type:
    """Return the class of the resolution order that a member comes from."""
    return next(base for base in cls.__mro__ if name in vars(base))


@pytest.mark.parametrize("name", CLASSES)
def test_every_member_is_ours_or_listed(name: str) -> None:
    ours, theirs = pair(name)
    inherited = {
        member
        for member in dir(theirs)
        if member not in STRUCTURE
        and owner(theirs, member) is not object
        and owner(ours, member).__module__.startswith("asyncio")
    }
    assert inherited == set(INHERITED.get(name, ()))


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_else_is_there(name: str) -> None:
    ours, theirs = pair(name)
    added = set(dir(ours)) - set(dir(theirs)) - STRUCTURE - INSTANCE - ADDED
    # CPython makes it for every class with a __setattr__ slot; a patch release added _notify;
    # `copy` and `pickle` assign asyncio's instance dict by __setstate__.
    assert added <= {"__delattr__", "__setattr__", "__setstate__", "_notify"}


@pytest.mark.parametrize("name", CLASSES)
def test_instance_attributes(name: str) -> None:
    """What `__init__` makes of a new object has the same values."""
    ours, theirs = (make(cls) for cls in pair(name))
    for attribute, expected in vars(theirs).items():
        got = getattr(ours, attribute)
        if callable(expected):
            assert callable(got)
        elif type(expected).__module__.startswith("asyncio") and type(expected) is not type(got):
            assert isinstance(got, type(expected))
        else:
            assert type(got) is type(expected)
            assert got == expected
            setattr(ours, attribute, expected)
            assert getattr(ours, attribute) == expected


@pytest.mark.parametrize("name", CLASSES)
def test_signatures(name: str) -> None:
    ours, theirs = pair(name)
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    mine, other = make(ours), make(theirs)
    compared = 0
    for member in dir(other):
        method = getattr(other, member)
        if not inspect.ismethod(method) or (name, member) in OTHER_SIGNATURES:
            continue
        if member == "__init__" or member in INHERITED.get(name, ()):
            continue  # the signature of __init__ is that of the class
        compared += 1
        assert str(inspect.signature(getattr(mine, member))) == str(inspect.signature(method))
    assert compared >= 5


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str) -> None:
    ours, theirs = pair(name)
    assert issubclass(ours, theirs)
    assert isinstance(make(ours), theirs)
    assert ours.__name__ == ours.__qualname__ == name
    assert ours.__doc__
    expected = repr(make(theirs)).partition(" at ")[0].replace("asyncio.", "aioxide.")
    assert repr(make(ours)).startswith(expected)


def test_relations() -> None:
    aio = primitives("aioxide")
    assert issubclass(aio.PriorityQueue, aio.Queue)
    assert issubclass(aio.LifoQueue, aio.Queue)
    assert issubclass(aio.BoundedSemaphore, aio.Semaphore)
    assert aio.QueueEmpty is asyncio.QueueEmpty
    assert aio.QueueFull is asyncio.QueueFull
    assert repr(aio.Queue[int]) == "aioxide.queues.Queue[int]"
    assert issubclass(aio.QueueShutDown, Exception)
    if sys.version_info >= (3, 13):
        assert aio.QueueShutDown is asyncio.QueueShutDown


@pytest.mark.parametrize("name", ["locks", "queues"])
def test_modules(name: str) -> None:
    ours = importlib.import_module(f"aioxide.{name}")
    theirs = importlib.import_module(f"asyncio.{name}")
    assert set(theirs.__all__) <= set(ours.__all__)
    assert set(ours.__all__) - set(theirs.__all__) <= {"QueueShutDown"}
    for member in dir(theirs):
        assert hasattr(ours, member)
    with pytest.raises(AttributeError):
        _ = ours.nothing_of_that_name


def size(make: Callable[[], object]) -> float:
    """Return how many bytes one of them takes, with all its parts."""
    count = 200
    keep = [make() for _ in range(count)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        keep = [make() for _ in range(count)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(keep) == count
    return (after - before) / count


@pytest.mark.parametrize(
    ("name", "share"),
    [("Queue", 10), ("PriorityQueue", 5), ("LifoQueue", 5), ("Event", 5), ("Condition", 5)],
)
def test_memory(name: str, share: int) -> None:
    """An idle one takes a small share of what asyncio's takes."""
    ours, theirs = pair(name)
    assert size(ours) * share <= size(theirs)
