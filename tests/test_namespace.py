"""`import aioxide as asyncio`: every public name of asyncio, with its signature and its place."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import subprocess
import sys
import textwrap
import warnings
from typing import Any

import pytest

import aioxide
from aioxide import _namespace

pytestmark = pytest.mark.aioxide_only

COUNTERPARTS = {each.name: each for each in _namespace.counterparts()}

#: Native whatever else may change: the work of the package.
NATIVE = {
    "Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier",
    "Queue", "PriorityQueue", "LifoQueue",
    "StreamReader", "StreamWriter", "StreamReaderProtocol",
    "open_connection", "start_server", "open_unix_connection", "start_unix_server",
    "sleep", "gather", "wait", "wait_for", "timeout", "timeout_at", "Task",
}  # fmt: skip


def read(module: Any, name: str) -> Any:
    """An attribute whose reading may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(module, name)


def test_every_public_name_of_asyncio_is_here() -> None:
    assert set(asyncio.__all__) <= set(aioxide.__all__)
    for name in aioxide.__all__:
        read(aioxide, name)


def test_what_a_queue_that_was_shut_down_raises_has_a_name_on_every_python() -> None:
    """Our queues can be shut down on every Python; asyncio's, and the name, are new in 3.13."""
    queue = aioxide.Queue[int]()
    queue.shutdown()
    with pytest.raises(aioxide.QueueShutDown):
        queue.put_nowait(1)
    if hasattr(asyncio, "QueueShutDown"):
        assert aioxide.QueueShutDown is asyncio.QueueShutDown


def test_what_is_native_is_and_the_rest_is_asyncios() -> None:
    assert set(COUNTERPARTS) >= NATIVE
    ours = {*COUNTERPARTS, "EventLoop", "Future", "Handle", "Runner", "TimerHandle"}
    ours |= {"new_event_loop", "run"}
    for name in set(asyncio.__all__) - ours:
        assert read(aioxide, name) is read(asyncio, name), name
    for name in ours & set(asyncio.__all__):
        assert read(aioxide, name) is not read(asyncio, name), name


def test_star_import_gives_them_too() -> None:
    namespace: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec("from aioxide import *", namespace)
    assert namespace["sleep"] is aioxide.sleep
    assert set(asyncio.__all__) <= set(namespace)


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = aioxide.no_such_name  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = aioxide._no_such_name  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COUNTERPARTS))
def test_signatures_are_asyncios(name: str) -> None:
    pair = COUNTERPARTS[name]
    compare(pair.theirs, pair.ours)
    if not inspect.isclass(pair.theirs):
        return
    for attribute, theirs in inspect.getmembers(pair.theirs):
        if attribute.startswith("_") and attribute not in ("__aenter__", "__aexit__", "__anext__"):
            continue
        ours = getattr(pair.ours, attribute)
        assert callable(theirs) == callable(ours), attribute
        if callable(theirs):
            compare(theirs, ours)


#: (ours, theirs) differ on purpose: what newer Pythons have is there on older ones too.
MORE = {"StreamWriter.start_tls", "Queue.shutdown", "Task"}


def compare(theirs: Any, ours: Any) -> None:
    """The same parameters with the same defaults, and a docstring of its own."""
    name = getattr(theirs, "__qualname__", repr(theirs))
    if name in MORE and sys.version_info < (3, 13):
        return
    expected, got = parameters(theirs), parameters(ours)
    assert got == expected, name
    assert ours.__doc__ or not theirs.__doc__, name


def parameters(function: Any) -> Any:
    """Names, kinds and defaults, of whatever `inspect` can look into."""
    try:
        found = inspect.signature(function)
    except ValueError:
        return None
    return [
        (each.name, each.kind, repr(each.default))
        for each in found.parameters.values()
        # `self` goes by position anyway; asyncio keeps a module alive in a default.
        if each.name not in ("self", "warnings")
    ]


@pytest.mark.parametrize("name", sorted(COUNTERPARTS))
def test_coroutine_functions_are_known_as_such(name: str) -> None:
    pair = COUNTERPARTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = asyncio.iscoroutinefunction(pair.theirs)
        assert asyncio.iscoroutinefunction(pair.ours) == expected
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(pair.ours) == inspect.iscoroutinefunction(pair.theirs)


@pytest.mark.parametrize("name", sorted(COUNTERPARTS))
def test_classes_derive_from_asyncios(name: str) -> None:
    pair = COUNTERPARTS[name]
    if inspect.isclass(pair.theirs) and not issubclass(pair.theirs, BaseException):
        assert issubclass(pair.ours, pair.theirs)


SUBMODULES = (
    "coroutines", "events", "exceptions", "futures", "locks", "protocols", "queues", "runners",
    "streams", "subprocess", "tasks", "taskgroups", "threads", "timeouts", "transports",
)  # fmt: skip


@pytest.mark.parametrize("module", SUBMODULES)
def test_modules_have_the_names_of_asyncios(module: str) -> None:
    theirs = importlib.import_module(f"asyncio.{module}")
    ours = importlib.import_module(f"aioxide.{module}")
    assert getattr(aioxide, module) is ours
    for name in theirs.__all__:
        mine, original = read(ours, name), read(theirs, name)
        if name in COUNTERPARTS:
            assert mine is COUNTERPARTS[name].ours
        elif mine is not original:
            assert mine is read(aioxide, name), name


@pytest.mark.parametrize("module", ["base_events", "constants", "log", "sslproto", "trsock"])
def test_asyncios_other_modules_can_be_reached(module: str) -> None:
    assert getattr(aioxide, module) is importlib.import_module(f"asyncio.{module}")


def test_a_whole_program_under_another_name() -> None:
    program = """
        import aioxide as asyncio

        async def worker(queue, results, lock):
            while (item := await queue.get()) is not None:
                async with lock:
                    results.append(item)
                queue.task_done()

        async def main():
            queue, results, lock = asyncio.Queue(), [], asyncio.Lock()
            async with asyncio.timeout(10):
                async with asyncio.TaskGroup() as group:
                    for _ in range(3):
                        group.create_task(worker(queue, results, lock))
                    for number in range(10):
                        await queue.put(number)
                    await queue.join()
                    for _ in range(3):
                        await queue.put(None)
            assert sorted(results) == list(range(10))
            one, two = await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(lambda: 2))
            assert (one, two) == (1, 2)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
            except asyncio.TimeoutError:
                print("done")

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
