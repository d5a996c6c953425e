"""What tools read of public objects: names, docstrings, `dir()` and `help()`, beside asyncio's.

sphinx, IDEs and debuggers look here. What differs on purpose is listed in this file alone.
"""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import warnings
from typing import Any

import pytest

import aioxide
from conventions import subjects
from conventions.test_calling import METHODS, functions
from helpers import implementation
from misuse.stage import Stage

pytestmark = [pytest.mark.aioxide_only, pytest.mark.filterwarnings("ignore")]

#: Class names that are not asyncio's: asyncio's are private names of its implementation.
NAMES = {
    "_UnixSelectorEventLoop": "EventLoop",
    "_SelectorSocketTransport": "StreamTransport",
    "_SelectorDatagramTransport": "DatagramTransport",
    "_SSLProtocolTransport": "SSLTransport",
    "_UnixReadPipeTransport": "ReadPipeTransport",
    "_UnixWritePipeTransport": "WritePipeTransport",
    "_UnixSubprocessTransport": "SubprocessTransport",
}


def made(name: str, kind: str) -> Any:
    """Return an object of one implementation; its loop is closed."""
    stage = Stage(implementation(name))

    async def body() -> Any:
        try:
            return await subjects.MAKERS[kind](stage)
        finally:
            await subjects.end_child(stage)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return stage.run(body())
        finally:
            stage.leave()


@pytest.mark.may_leave_residue
@pytest.mark.parametrize("kind", subjects.MAKERS)
def test_objects_have_asyncios_public_names(kind: str) -> None:
    theirs, ours = made("asyncio", kind), made("aioxide", kind)
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public <= set(dir(ours))
    expected = type(theirs).__name__
    assert type(ours).__name__ in {expected, NAMES.get(expected)}
    for name in sorted(public):
        there = inspect.getattr_static(type(theirs), name, None)
        here = inspect.getattr_static(type(ours), name, None)
        if there is None or here is None:
            continue  # an attribute of the instance
        assert callable(there) == callable(here), name
        assert isinstance(there, property) <= inspect.isdatadescriptor(here), name
        assert here.__doc__ or not there.__doc__, name


@pytest.mark.may_leave_residue
@pytest.mark.parametrize("kind", subjects.MAKERS)
def test_methods_have_asyncios_names(kind: str) -> None:
    theirs, ours = made("asyncio", kind), made("aioxide", kind)
    for method in (name for each, name in METHODS if each == kind and name != "__class_getitem__"):
        there, here = getattr(theirs, method), getattr(ours, method)
        assert here.__name__ == there.__name__, method
        assert here.__qualname__.rpartition(".")[2] == there.__qualname__.rpartition(".")[2], method
        # A built-in method has none, as those of asyncio's own C classes.
        assert getattr(here, "__module__", None) is None or here.__module__.startswith(
            ("aioxide", "asyncio")
        ), method


@pytest.mark.parametrize("name", list(functions()))
def test_functions_and_classes_have_asyncios_names(name: str) -> None:
    theirs, ours = getattr(asyncio, name), getattr(aioxide, name)
    assert ours.__doc__ or not theirs.__doc__
    if name not in {"EventLoop", "eager_task_factory"}:  # a class, and a closure, of another name
        assert ours.__name__ == theirs.__name__
        assert ours.__qualname__ == theirs.__qualname__
    assert ours.__module__.partition(".")[0] in {"aioxide", "asyncio"}
    missing = {each for each in dir(theirs) if not each.startswith("_")} - set(dir(ours))
    assert missing == set()
    assert ours.__name__ in pydoc.render_doc(ours, renderer=pydoc.plaintext)
