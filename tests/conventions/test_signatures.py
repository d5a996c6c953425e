"""`inspect.signature` of everything public says what asyncio's says."""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from typing import Any

import pytest

import aioxide
from conventions import subjects
from conventions.calling import signature_of
from conventions.test_calling import METHODS, functions
from helpers import implementation
from misuse.stage import Stage

pytestmark = [pytest.mark.aioxide_only, pytest.mark.filterwarnings("ignore")]


def parameters(function: Any, *, skip: int = 0) -> list[tuple[str, str, Any]] | None:
    """Return names, kinds and defaults of a function's parameters, without the first `skip`."""
    signature = signature_of(function)
    if signature is None:
        return None
    return [(p.name, str(p.kind), p.default) for p in signature.parameters.values()][skip:]


def signatures(name: str, kind: str) -> dict[str, Any]:
    """Return the parameters of every method of one implementation's object, and its class's."""
    stage = Stage(implementation(name))

    async def body() -> dict[str, Any]:
        made = await subjects.MAKERS[kind](stage)
        try:
            found = {}
            for each, method in METHODS:
                if each == kind:
                    found[method] = parameters(getattr(made, method))
                    # That `self` can be given by position only, nobody can tell by calling.
                    unbound = inspect.getattr_static(type(made), method, None)
                    is_static = isinstance(unbound, (classmethod, staticmethod))
                    found[f"type.{method}"] = parameters(unbound, skip=not is_static)
            return found
        finally:
            await subjects.end_child(stage)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read: dict[str, Any] = stage.run(body())
            return read
        finally:
            stage.leave()


#: What newer Pythons have, and ours has on every one.
NEWER = {"start_tls"} if sys.version_info < (3, 12) else set()
NEWER_FUNCTIONS = {"Task", "run"} if sys.version_info < (3, 12) else set()


@pytest.mark.may_leave_residue
@pytest.mark.parametrize("kind", subjects.MAKERS)
def test_methods_have_asyncios_signatures(kind: str) -> None:
    theirs, ours = signatures("asyncio", kind), signatures("aioxide", kind)
    assert {
        name: (expected, ours[name])
        for name, expected in theirs.items()
        if expected is not None
        and ours[name] != expected
        and name.removeprefix("type.") not in NEWER
    } == {}


@pytest.mark.parametrize("name", list(functions()))
def test_functions_and_classes_have_asyncios_signatures(name: str) -> None:
    theirs, ours = getattr(asyncio, name), getattr(aioxide, name)
    expected = parameters(theirs)
    if expected is not None and name not in NEWER_FUNCTIONS:
        assert parameters(ours) == expected
    if inspect.isclass(theirs):
        assert signature_of(ours.__init__) is not None or signature_of(theirs.__init__) is None
