"""Every behaviour runs on stock asyncio, as the control, and on aioxide, and leaves nothing behind.

A test asks for `loop`; as a coroutine function it is run by that loop. After it no task, no native
object, no descriptor and no context at the exception handler may be left that was not expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import (
    NAMES,
    Contexts,
    Implementation,
    collect,
    implementation,
    live_objects,
    open_fds,
)

_before = pytest.StashKey[tuple[dict[str, int], dict[int, str]]]()
_contexts = pytest.StashKey[Contexts]()
_failed = pytest.StashKey[bool]()
_dirty = pytest.StashKey[bool]()
_file = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--implementation",
        choices=[*NAMES, "both"],
        default="both",
        help="run the behaviour tests on one implementation only (default: both)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "aioxide_only: about aioxide itself, without a control")
    config.addinivalue_line("markers", "may_leave_residue: looks after its own leavings")
    # What a finalizer complains about must fail the test that left the object behind.
    config.addinivalue_line("filterwarnings", "error::ResourceWarning")
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnraisableExceptionWarning")
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")


def freeze() -> None:
    """Take what exists by now out of the collector's sight: it runs eight times a test."""
    gc.collect()
    gc.freeze()


def chosen(config: pytest.Config) -> list[str]:
    """Return the names of the implementations to run."""
    option = config.getoption("--implementation")
    return list(NAMES) if option == "both" else [option]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = chosen(metafunc.config)
    if metafunc.definition.get_closest_marker("aioxide_only"):
        names = ["aioxide"]
    for fixture in ("implementation", "types"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, names, indirect=True, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs aioxide alone when only asyncio was asked for."""
    if config.getoption("--implementation") == "asyncio":
        items[:] = [item for item in items if item.get_closest_marker("aioxide_only") is None]


def pytest_collection_finish(session: pytest.Session) -> None:
    freeze()


@pytest.fixture(name="implementation")
def implementation_fixture(request: pytest.FixtureRequest) -> Implementation:
    """The implementation under test: `loop` comes from it."""
    return implementation(request.param)


@pytest.fixture
def types(request: pytest.FixtureRequest) -> Implementation:
    """The Future and Task under test; with `loop` a matrix of types and loops."""
    return implementation(request.param)


@pytest.fixture
def contexts(request: pytest.FixtureRequest) -> Contexts:
    """What reached the loop's exception handler; whatever a test does not take fails it."""
    return request.node.stash.setdefault(_contexts, Contexts())


@pytest.fixture
def loop(implementation: Implementation, contexts: Contexts) -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop; a test may close it, else it is wound up as `asyncio.run` does."""
    loop = implementation.new_event_loop()
    loop.set_exception_handler(contexts)
    yield loop
    if loop.is_closed():
        return
    left = asyncio.all_tasks(loop)
    names = [repr(task) for task in left]
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True)) if left else None
    left.clear()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert not names, f"tasks left running: {names}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function on the loop that it asked for."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}
    pyfuncitem.funcargs["loop"].run_until_complete(pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[_failed] = not report.passed
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    if item.config.stash.get(_file, None) != item.path:
        # The tests of another file may have imported half of the world.
        item.config.stash[_file] = item.path
        freeze()
    if item.get_closest_marker("may_leave_residue") is None:
        if "aioxide" in chosen(item.config):
            # What importing creates once and keeps is not the first test's doing; where it
            # fails, the fixture that needs it says so.
            with contextlib.suppress(ImportError):
                implementation("aioxide")
        collect()
        item.stash[_before] = (live_objects(), open_fds())
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look for what the test left, after every fixture was wound up."""
    result = yield
    if isinstance(item, pytest.Function):
        item.funcargs.clear()  # they keep the loop alive until after this hook
    contexts = item.stash.get(_contexts, Contexts())
    if item.stash.get(_failed, True):
        item.config.stash[_dirty] = True
        # One failure is enough: what it left is dropped quietly, before the next test.
        for name in ("last_exc", "last_value", "last_traceback"):
            if hasattr(sys, name):
                delattr(sys, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            contexts.clear()
            collect()
        return result
    if _before not in item.stash:
        return result
    collect()
    assert not contexts, f"unexpected contexts at the exception handler: {contexts.take()}"
    objects, fds = item.stash[_before]
    now = live_objects()
    alive = {kind: now[kind] - objects.get(kind, 0) for kind in now}
    alive = {kind: count for kind, count in alive.items() if count > 0}
    assert not alive, f"native objects left alive: {alive}"
    open_now = open_fds()
    left = {fd: target for fd, target in open_now.items() if fd not in fds}
    assert not left, f"descriptors left open: {left}"
    gone = {fd: target for fd, target in fds.items() if fd not in open_now}
    # What a failed test left behind may go at any time after it.
    assert not gone or item.config.stash.get(_dirty, False), f"others' descriptors closed: {gone}"
    item.config.stash[_dirty] = False
    return result
