"""The functions under test: asyncio's as the control, ours on our loop, ours on asyncio's loop."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from helpers import Contexts, implementation

MODULES = ("tasks", "timeouts", "taskgroups", "threads")
#: (whose functions, whose loop, whose tasks)
MATRIX = (
    ("asyncio", "asyncio", "asyncio"),
    ("aioxide", "aioxide", "aioxide"),
    ("aioxide", "aioxide", "asyncio"),
    ("aioxide", "asyncio", "asyncio"),
)


def functions(name: str) -> Any:
    """The public names of one implementation's modules."""
    found = SimpleNamespace()
    for each in MODULES:
        module = importlib.import_module(f"{name}.{each}")
        for public in module.__all__:
            setattr(found, public, getattr(module, public))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "aio" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("aioxide_only") is not None
    option = metafunc.config.getoption("--implementation")
    rows = [
        row for row in MATRIX if (row[0] == "aioxide" or not only) and option in ("both", row[0])
    ]
    names = [f"{each[0]}-on-{each[1]}-{each[2]}-tasks" for each in rows]
    metafunc.parametrize("matrix", rows, ids=names, scope="function")


@pytest.fixture
def aio(matrix: tuple[str, str, str]) -> Any:
    """The functions under test."""
    return functions(matrix[0])


@pytest.fixture
def loop(matrix: tuple[str, str, str], contexts: Contexts) -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop with the tasks of the row; wound up after the test."""
    loop = implementation(matrix[1]).new_event_loop()
    loop.set_exception_handler(contexts)
    if matrix[1] != matrix[2]:
        task = implementation(matrix[2]).Task
        loop.set_task_factory(lambda loop, coro, **options: task(coro, loop=loop, **options))
    yield loop
    left = asyncio.all_tasks(loop)
    names = [repr(task) for task in left]
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    left.clear()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert not names, f"tasks left running: {names}"
