"""Every public function, method and constructor, called in every way that a signature allows.

The signatures are those of the running Python's asyncio, read by `inspect`; no expectation is
written by hand. Each call is made on both implementations, and acceptance, result and type of
the exception must be the same.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import aioxide
from conventions import subjects
from conventions.calling import differences, signature_of
from conventions.variants import Shape, ways_to_call
from helpers import implementation
from misuse.stage import Stage

if TYPE_CHECKING:
    from conventions.calling import Finder

pytestmark = [pytest.mark.aioxide_only, pytest.mark.filterwarnings("ignore")]

SPECIAL = (
    "__aenter__", "__aexit__", "__anext__", "__enter__", "__exit__", "__class_getitem__",
)  # fmt: skip

#: Methods that run or end the loop itself: called in another thread they say whether they
#: accept the arguments, and change nothing.
LOOP_IS_BUSY = {"run_until_complete", "run_forever"}
#: Functions that need a thread without a running loop.
NEED_NO_LOOP = {"run", "runner.run", "runner.get_loop", "runner.__enter__", "Runner"}
#: Look up a host in another thread, and end without anybody's help.
END = {
    "open_connection", "start_server", "loop.create_connection", "loop.create_server",
}  # fmt: skip
#: Would end the test's own process, loop or thread.
NOT_CALLED = {"loop.close"}


def members(name: str) -> Iterator[str]:
    """Yield the names of the methods that asyncio's object of this kind has."""
    stage = Stage(implementation("asyncio"))

    async def body() -> list[str]:
        try:
            made = await subjects.MAKERS[name](stage)
            return [
                each
                for each in dir(made)
                if (not each.startswith("_") or each in SPECIAL) and callable(getattr(made, each))
            ]
        finally:
            await subjects.end_child(stage)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from stage.run(body())
    finally:
        stage.leave()


METHODS = [
    (kind, method)
    for kind in subjects.MAKERS
    for method in members(kind)
    if f"{kind}.{method}" not in NOT_CALLED
]


def functions() -> Iterator[str]:
    """Yield the names in `asyncio` of functions and classes that are ours in `aioxide`."""
    for name in sorted(asyncio.__all__):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, ours = getattr(asyncio, name), getattr(aioxide, name)
        if callable(theirs) and theirs is not ours:
            yield name


def shape_of(owner: str, theirs: Any) -> Shape:
    """Return the parameters of asyncio's function."""
    signature = signature_of(theirs)
    if signature is None:
        signature = inspect.Signature()
    return Shape.of(owner, signature)


def method_shape(kind: str, method: str) -> Shape:
    """Return the parameters of a method of asyncio's object."""
    stage = Stage(implementation("asyncio"))

    async def body() -> Shape:
        try:
            return shape_of(method, getattr(await subjects.MAKERS[kind](stage), method))
        finally:
            await subjects.end_child(stage)

    try:
        made: Shape = stage.run(body())
        return made
    finally:
        stage.leave()


@pytest.mark.may_leave_residue
@pytest.mark.parametrize(("kind", "method"), METHODS, ids=map(".".join, METHODS))
def test_methods_are_called_as_asyncios_are(kind: str, method: str) -> None:
    find: Finder = lambda made, stage: getattr(made, method)  # noqa: E731
    threaded = method in LOOP_IS_BUSY or f"{kind}.{method}" in NEED_NO_LOOP
    waits = f"{kind}.{method}" not in END
    problems = [
        problem
        for variant in ways_to_call(method_shape(kind, method))
        for problem in differences(
            subjects.MAKERS[kind], find, variant, threaded=threaded, waits=waits
        )
    ]
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)


@pytest.mark.may_leave_residue
@pytest.mark.parametrize("name", list(functions()))
def test_functions_and_classes_are_called_as_asyncios_are(name: str) -> None:
    find: Finder = lambda _, stage: getattr(subjects.namespace(stage), name)  # noqa: E731
    problems = [
        problem
        for variant in ways_to_call(shape_of(name, getattr(asyncio, name)))
        for problem in differences(
            None, find, variant, threaded=name in NEED_NO_LOOP, waits=name not in END
        )
    ]
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)
