"""The public names of the package."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib import resources

import pytest

import aioxide

ENTRANCES = {"EventLoop", "Future", "Runner", "Task", "new_event_loop", "run"}


def test_all_is_complete() -> None:
    """`__all__` names the entrances, each once, and everything in it is there."""
    names = vars(aioxide)["__all__"]  # put together at run time, so no stub has it
    assert set(names) >= ENTRANCES
    assert len(set(names)) == len(names)
    for name in set(names) - {"EventLoopPolicy"}:  # asking for that one may warn
        assert hasattr(aioxide, name), name


def test_package_is_typed() -> None:
    """Type checkers believe a package that has the marker."""
    package = resources.files("aioxide")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_aioxide.pyi").is_file()


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("EventLoop", asyncio.BaseEventLoop),
        ("Future", asyncio.Future),
        ("Task", asyncio.Task),
        ("Runner", asyncio.Runner),
    ],
)
def test_everything_is_one_of_asyncios(name: str, base: type) -> None:
    """`isinstance` and `except` written for asyncio hold."""
    assert issubclass(getattr(aioxide, name), base)


IMPORT_CHANGES_NOTHING = """
import asyncio, asyncio.base_events, asyncio.events, asyncio.futures, asyncio.tasks, sys, signal

modules = [asyncio, asyncio.base_events, asyncio.events, asyncio.futures, asyncio.tasks]
def everything():
    return [dict(vars(module)) for module in modules], signal.getsignal(signal.SIGINT)

before = everything()
import aioxide
after = everything()
for module, old, new in zip(modules, before[0], after[0]):
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) is not new.get(name))
    assert not changed, (module.__name__, changed)
assert before[1] is after[1]
"""


def test_import_changes_nothing() -> None:
    """Importing aioxide leaves asyncio and the process as they were, without a warning."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", IMPORT_CHANGES_NOTHING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
