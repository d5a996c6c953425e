"""How an implementation takes asyncio's place before a test module is imported.

`install()` replaces what it replaces for everybody. Four tables say what else is done, each entry
with its reason:

* `NAMES`: attributes of asyncio that are given another value, in every process;
* `LOOP_OF_CLASS`: test classes whose `create_event_loop` names a selector, which means nothing to
  another loop;
* `TASKS_OF_CLASS`: test classes that put pure Python tasks into asyncio's place themselves;
* `REPEATED`: test classes that would only run the same tests on the same loop again.

What stays asyncio's: `_PyFuture` and `_PyTask` (they are the other half of the mixed
parametrisations), `_c_current_task` and its like (they must see our tasks as they are), `TestLoop`
of the tests' `utils` (a mock loop on which our futures and tasks must work), the child processes
that tests start with `-c`, and `asyncio.new_event_loop` itself, which asks the event loop policy
on all Pythons so far and which tests replace by a policy of their own.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .implementations import Implementation


class SubstitutionError(Exception):
    """A table here does not fit this Python: better to stop than to test the wrong thing."""


Value = Callable[[Implementation], Any]


def _loop_class(implementation: Implementation) -> Any:
    return implementation.loop_class


def _loop_factory(implementation: Implementation) -> Any:
    # A plain function in a class would be bound to the policy: keep it from getting `self`.
    factory = implementation.new_event_loop
    return None if factory is None else staticmethod(factory)


def _future(implementation: Implementation) -> Any:
    return implementation.future


def _task(implementation: Implementation) -> Any:
    return implementation.task


def _handle(implementation: Implementation) -> Any:
    return implementation.handle


def _timer_handle(implementation: Implementation) -> Any:
    return implementation.timer_handle


def _ssl_protocol(implementation: Implementation) -> Any:
    return implementation.ssl_protocol


def _eager_task_factory(implementation: Implementation) -> Any:
    task = implementation.task
    return None if task is None else asyncio.create_eager_task_factory(task)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Name:
    """`owner.attribute` gets `value(implementation)`, unless that is None."""

    owner: str
    attribute: str
    value: Value
    reason: str
    since: tuple[int, int] = (3, 11)


NAMES = (
    Name(
        "asyncio.unix_events:_UnixDefaultEventLoopPolicy",
        "_loop_factory",
        _loop_factory,
        "new_event_loop, get_event_loop, run, Runner and IsolatedAsyncioTestCase all end here",
    ),
    Name("asyncio", "SelectorEventLoop", _loop_class, "how tests name the default loop of Unix"),
    Name("asyncio.unix_events", "SelectorEventLoop", _loop_class, "the same class by its module"),
    Name("asyncio", "EventLoop", _loop_class, "how newer tests name it, as loop_factory", (3, 13)),
    Name("asyncio.unix_events", "EventLoop", _loop_class, "the same by its module", (3, 13)),
    Name("asyncio", "Future", _future, "the public name"),
    Name("asyncio.futures", "Future", _future, "what create_future of TestLoop makes"),
    Name("asyncio.futures", "_CFuture", _future, "the C half of the tests' parametrisations"),
    Name("asyncio", "Task", _task, "the public name"),
    Name("asyncio.tasks", "Task", _task, "what create_task of TestLoop makes"),
    Name("asyncio.tasks", "_CTask", _task, "the C half of the tests' parametrisations"),
    Name(
        "asyncio.tasks",
        "eager_task_factory",
        _eager_task_factory,
        "asyncio's own was closed over the C Task when it was made",
        (3, 12),
    ),
    Name("asyncio", "eager_task_factory", _eager_task_factory, "the public name", (3, 12)),
    Name("asyncio", "Handle", _handle, "the public name, which tests make handles by"),
    Name("asyncio.events", "Handle", _handle, "what call_soon of TestLoop makes"),
    Name("asyncio", "TimerHandle", _timer_handle, "the public name, which tests make handles by"),
    Name("asyncio.events", "TimerHandle", _timer_handle, "what call_at of TestLoop makes"),
    Name("asyncio.sslproto", "SSLProtocol", _ssl_protocol, "which tests make on mocks"),
)

#: module -> (the one class kept, why its `create_event_loop` is replaced)
LOOP_OF_CLASS = {
    "test_events": ("EPollEventLoopTests", "passes an EpollSelector to the loop"),
    "test_sendfile": ("EPollEventLoopTests", "passes an EpollSelector to the loop"),
    "test_sock_lowlevel": ("EPollEventLoopTests", "passes an EpollSelector to the loop"),
}

#: module -> (a class, why its loop is given a task factory): `asyncio.tasks.Task` as it then is
TASKS_OF_CLASS = {
    "test_graph": ("TestCallStackPy", "replaces asyncio.tasks.Task to test pure Python tasks"),
}

#: module -> (classes left out, why)
REPEATED = dict.fromkeys(
    LOOP_OF_CLASS,
    (
        ("PollEventLoopTests", "SelectEventLoopTests"),
        "EPollEventLoopTests with another selector, which another loop does not take",
    ),
)


def substitute_names(implementation: Implementation) -> None:
    """Install, and fill in `NAMES`. Called before a test module, which keeps what it finds."""
    if implementation.install is not None:
        implementation.install()
    for name in NAMES:
        value = name.value(implementation) if sys.version_info >= name.since else None
        if value is None:
            continue
        owner = pkgutil.resolve_name(name.owner)
        if not hasattr(owner, name.attribute):
            raise SubstitutionError(f"{name.owner} has no {name.attribute} ({name.reason})")
        setattr(owner, name.attribute, value)
    _check(implementation)


def _check(implementation: Implementation) -> None:
    """Refuse to go on if asyncio's usual entrances still lead to asyncio's own types."""
    loop = asyncio.new_event_loop()
    try:
        expected = implementation.loop_class
        if expected is not None and not isinstance(loop, expected):
            raise SubstitutionError(f"asyncio.new_event_loop() still makes a {type(loop)!r}")
        future: asyncio.Future[object] = asyncio.Future(loop=loop)
        if implementation.future is not None and type(future) is not implementation.future:
            raise SubstitutionError(f"asyncio.Future() still makes a {type(future)!r}")
        future.cancel()
    finally:
        loop.close()


def substitute_in_module(implementation: Implementation, module: ModuleType) -> None:
    """Give classes of the module the loop and the tasks that they are to be run with."""
    factory = implementation.new_event_loop
    if factory is None:
        return
    name = module.__name__.rpartition(".")[2]
    if name in LOOP_OF_CLASS:
        test_class = _class(module, LOOP_OF_CLASS[name][0], "create_event_loop")
        test_class.create_event_loop = lambda _self: factory()
    if name in TASKS_OF_CLASS:
        test_class = _class(module, TASKS_OF_CLASS[name][0], "loop_factory")
        test_class.loop_factory = staticmethod(lambda: _with_tasks_of_asyncio(factory()))


def _class(module: ModuleType, name: str, attribute: str) -> Any:
    """A test class whose `attribute` is about to be replaced."""
    test_class = getattr(module, name, None)
    if test_class is None or not hasattr(test_class, attribute):
        raise SubstitutionError(f"{module.__name__}.{name} has no {attribute}")
    return test_class


def _with_tasks_of_asyncio(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """The loop, asked to make tasks of whatever is called `asyncio.tasks.Task` at the time."""

    def make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        return asyncio.tasks.Task(coro, loop=loop, **options)

    loop.set_task_factory(make_task)
    return loop


def omitted_classes(implementation: Implementation, module: ModuleType) -> dict[str, str]:
    """The test classes of `module` that are left out, and why."""
    name = module.__name__.rpartition(".")[2]
    if implementation.new_event_loop is None or name not in REPEATED:
        return {}
    classes, reason = REPEATED[name]
    for class_name in classes:
        if not hasattr(module, class_name):
            raise SubstitutionError(f"{name} has no {class_name}")
    return dict.fromkeys(classes, reason)
