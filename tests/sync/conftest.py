"""The primitives under test: asyncio's as the control, and ours."""

from __future__ import annotations

import asyncio
import asyncio.locks
import asyncio.queues
import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation

NAMES = (
    "Lock",
    "Event",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Barrier",
    "Queue",
    "PriorityQueue",
    "LifoQueue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
)


def primitives(implementation: str) -> Any:
    """Return a namespace with the primitives of an implementation."""
    if implementation == "asyncio":
        modules: tuple[Any, ...] = (asyncio.locks, asyncio.queues)
    else:
        modules = tuple(importlib.import_module(f"aioxide.{each}") for each in ("locks", "queues"))
    return SimpleNamespace(
        **{name: vars(module)[name] for module in modules for name in NAMES if name in vars(module)}
    )


@pytest.fixture
def aio(implementation: Implementation) -> Any:
    """The primitives of the implementation whose loop the test runs on."""
    return primitives(implementation.name)
