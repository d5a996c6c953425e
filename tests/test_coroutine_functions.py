"""What is a coroutine function in asyncio is one here: frameworks ask, and so do mocks."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
import warnings
from typing import Any
from unittest import mock

import pytest

import aioxide
from aioxide import _namespace

pytestmark = [pytest.mark.aioxide_only, pytest.mark.usefixtures("loop")]

CLASSES = {
    each.name: (each.theirs, each.ours)
    for each in _namespace.counterparts()
    if inspect.isclass(each.theirs) and not issubclass(each.theirs, BaseException)
}
CLASSES["EventLoop"] = (asyncio.SelectorEventLoop, aioxide.EventLoop)

#: asyncio's own insides, which nobody calls on our loop.
INSIDES = {"_accept_connection2"}


def is_coroutine_function(function: Any) -> bool:
    """What `unittest.mock`, Starlette and others ask."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found: bool = asyncio.iscoroutinefunction(function)
    # On 3.11 inspect knows only what has the code of an `async def`.
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(function) == found
    return found


def coroutine_functions() -> list[Any]:
    """Each with the class of ours that has to have it too."""
    found = []
    for name, (theirs, ours) in CLASSES.items():
        for attribute in dir(theirs):
            function = getattr(theirs, attribute, None)
            if inspect.iscoroutinefunction(function) and attribute not in INSIDES:
                found.append(pytest.param(ours, attribute, id=f"{name}.{attribute}"))
    return found


@pytest.mark.parametrize(("cls", "attribute"), coroutine_functions())
def test_methods(cls: Any, attribute: str) -> None:
    assert is_coroutine_function(getattr(cls, attribute))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_what_is_none_there_is_none_here(name: str) -> None:
    theirs, ours = CLASSES[name]
    for attribute in dir(theirs):
        if not attribute.startswith("_") and not inspect.iscoroutinefunction(
            getattr(theirs, attribute, None)
        ):
            assert not is_coroutine_function(getattr(ours, attribute)), attribute


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_mock_of_the_class_awaits_what_asyncios_does(name: str) -> None:
    def asynchronous(cls: Any) -> set[str]:
        fake = mock.MagicMock(spec=cls)
        return {
            attribute
            for attribute in dir(cls)
            if not attribute.startswith("_")
            and isinstance(getattr(fake, attribute), mock.AsyncMock)
        }

    theirs, ours = CLASSES[name]
    assert asynchronous(ours) >= asynchronous(theirs)


@pytest.mark.parametrize(
    ("name", "count"),
    [("create_connection", 2), ("sock_recv", 2), ("getaddrinfo", 2), ("start_tls", 3)],
)
async def test_patched_methods_of_the_running_loop(name: str, count: int) -> None:
    """As tests of clients do, to see with what they connect."""
    loop: Any = asyncio.get_running_loop()
    assert is_coroutine_function(getattr(loop, name))
    with mock.patch.object(loop, name, autospec=True, spec_set=True) as fake:
        fake.return_value = name
        assert await getattr(loop, name)(*range(count)) == name
        fake.assert_awaited_once_with(*range(count))
        with pytest.raises(TypeError):
            await getattr(loop, name)(no_such_parameter=1)


async def test_an_autospec_of_a_class() -> None:
    queue = mock.create_autospec(aioxide.Queue, instance=True)
    queue.get.return_value = 1
    assert await queue.get() == 1
    await queue.put(2)
    queue.put.assert_awaited_once_with(2)
    with pytest.raises(AttributeError):
        _ = queue.no_such_method


def test_a_wrapper_is_what_it_is_itself() -> None:
    """`functools.wraps` copies the attributes, and those must not make it a coroutine function."""
    for function in (aioxide.sleep, aioxide.wait_for, aioxide.Queue.get):

        @functools.wraps(function)
        def wrapper(*args: Any) -> None:
            pass

        class Callable:
            def __call__(self) -> None:
                pass

        made = functools.update_wrapper(Callable(), function)
        assert not is_coroutine_function(wrapper), function
        assert not is_coroutine_function(made), function


async def test_in_a_class_a_function_is_a_method() -> None:
    """As any that `def` has made."""

    class Derived(aioxide.Event):
        pause = aioxide.sleep
        waiting = aioxide.Event.wait

    cls: Any = Derived
    derived = cls()
    assert inspect.ismethod(derived.pause)
    assert not inspect.ismethod(cls.pause)
    derived.set()
    assert await derived.waiting() is True
    with pytest.raises(TypeError):
        await derived.pause(0, 1)


def test_a_method_wants_an_object_of_its_class() -> None:
    for function in (aioxide.Queue.get, aioxide.Lock.acquire, aioxide.EventLoop.sock_recv):
        method: Any = function
        with pytest.raises(TypeError):
            method()
        with pytest.raises(TypeError):
            method(object())
    queue: Any = aioxide.Queue()
    with pytest.raises(TypeError):
        queue.get(1)
    with pytest.raises(TypeError):
        queue.get(timeout=1)


@pytest.mark.parametrize(
    "function", [aioxide.Queue.get, aioxide.EventLoop.sock_recv, aioxide.sleep, aioxide.gather]
)
def test_copies(function: Any) -> None:
    """Of settings that hold one: dataclasses copy those, processes pickle them."""
    assert copy.copy(function) is function
    assert copy.deepcopy({"call": function}) == {"call": function}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function


@pytest.mark.parametrize("function", [aioxide.Queue.get, aioxide.StreamReader.read, aioxide.sleep])
def test_names(function: Any) -> None:
    assert function.__doc__
    assert function.__qualname__.endswith(function.__name__)
    assert function.__name__ in repr(function)
