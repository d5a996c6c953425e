"""Future: states, callbacks, its iterator and its messages, for each type on each loop."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import sys
import types as python_types
import weakref
from typing import Any

import pytest

from helpers import Contexts, Implementation, collect, outcome, run_turns, shape

pytestmark = pytest.mark.usefixtures("loop")  # coroutine functions run on it

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def future(loop: asyncio.AbstractEventLoop, types: Implementation) -> Any:
    """A pending future of the type under test on the loop under test."""
    return types.Future(loop=loop)


def test_type(loop: asyncio.AbstractEventLoop, types: Implementation, future: Any) -> None:
    assert isinstance(future, asyncio.Future)
    assert asyncio.isfuture(future)
    assert not isinstance(future, asyncio.Task)
    assert asyncio.isfuture(loop.create_future())
    assert issubclass(types.Future, asyncio.Future)
    assert type(future).__name__ == "Future"


def test_create_future_is_of_the_implementation(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    assert type(loop.create_future()) is implementation.Future


def test_states(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    pending, done, failed, cancelled = (types.Future(loop=loop) for _ in range(4))
    done.set_result(1)
    failed.set_exception(LookupError())
    assert cancelled.cancel() is True
    assert [f.done() for f in (pending, done, failed, cancelled)] == [False, True, True, True]
    assert [f.cancelled() for f in (pending, done, failed, cancelled)] == [
        False,
        False,
        False,
        True,
    ]
    assert [f._state for f in (pending, done, failed, cancelled)] == [
        "PENDING",
        "FINISHED",
        "FINISHED",
        "CANCELLED",
    ]
    assert outcome(pending.result) is asyncio.InvalidStateError
    assert outcome(pending.exception) is asyncio.InvalidStateError
    assert (done.result(), done.exception()) == (1, None)
    assert outcome(failed.result) is LookupError
    assert isinstance(failed.exception(), LookupError)
    assert outcome(cancelled.result) is asyncio.CancelledError
    assert outcome(cancelled.exception) is asyncio.CancelledError
    for finished in (done, failed, cancelled):
        assert finished.cancel() is False
        assert outcome(lambda f=finished: f.set_result(2)) is asyncio.InvalidStateError
        assert outcome(lambda f=finished: f.set_exception(KeyError())) is asyncio.InvalidStateError
    assert pending.get_loop() is loop


@pytest.mark.parametrize(
    "make",
    [
        lambda cls, loop: cls(1, loop=loop),
        lambda cls, loop: cls(loop),
        lambda cls, loop: cls(loop=loop, other=1),
        lambda cls, loop: cls(loop=None),
        lambda cls, loop: cls(),
        lambda cls, loop: cls(loop=1),
    ],
    ids=["positional", "positional-loop", "keyword", "none", "nothing", "no-loop"],
)
def test_constructor_errors(
    loop: asyncio.AbstractEventLoop, types: Implementation, make: Any
) -> None:
    # 3.11 to 3.13 create a current loop (with a warning) where 3.14 refuses.
    asyncio.set_event_loop(loop)
    try:
        ours, control = (
            outcome(lambda: make(types.Future, loop)),
            outcome(lambda: make(asyncio.Future, loop)),
        )
    finally:
        asyncio.set_event_loop(None)
    if isinstance(control, asyncio.Future):
        assert isinstance(ours, asyncio.Future)
        assert ours.get_loop() is loop
    else:
        assert ours is control


async def test_loop_is_the_running_one(
    loop: asyncio.AbstractEventLoop, types: Implementation
) -> None:
    assert types.Future().get_loop() is loop


@pytest.mark.parametrize(
    "argument", [StopIteration(), StopIteration, 1, None, int], ids=lambda value: shape(value)
)
def test_set_exception_refusals(
    loop: asyncio.AbstractEventLoop, types: Implementation, argument: Any
) -> None:
    # Newer Pythons wrap a StopIteration in a RuntimeError instead of refusing it.
    results = []
    for cls in (types.Future, asyncio.Future):
        future = cls(loop=loop)
        got = outcome(lambda f=future: f.set_exception(argument))
        assert future.done() is (got is None)
        found = future.exception() if future.done() else None
        results.append((got, type(found), type(getattr(found, "__cause__", None))))
    assert results[0] == results[1]
    if not (isinstance(argument, StopIteration) or argument is StopIteration):
        assert results[0][0] is TypeError


def test_set_exception_class(future: Any) -> None:
    future.set_exception(LookupError)
    assert type(future.exception()) is LookupError


def test_the_traceback_of_a_result_does_not_grow(future: Any) -> None:
    def length() -> int:
        try:
            future.result()
        except LookupError as exc:
            count, trace = 0, exc.__traceback__
            while trace:
                count, trace = count + 1, trace.tb_next
            return count
        raise AssertionError

    future.set_exception(LookupError())
    assert length() == length()


@pytest.mark.parametrize("message", [None, "why", "", 42, ("a", 1)])
def test_cancel_message(future: Any, message: Any) -> None:
    assert future.cancel(message) is True
    assert future._cancel_message == message
    with pytest.raises(asyncio.CancelledError) as info:
        future.result()
    assert info.value.args == (() if message is None else (message,))


def test_cancel_message_by_keyword(future: Any) -> None:
    future.cancel(msg="why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        future.exception()
    assert outcome(lambda: future.cancel("a", "b")) is TypeError
    assert outcome(lambda: future.cancel(message="a")) is TypeError


def test_cancel_message_is_writable(future: Any) -> None:
    future._cancel_message = "set"
    assert future._cancel_message == "set"
    future.cancel("given")
    assert future._cancel_message == "given"


def test_callbacks_run_in_order_in_a_later_turn(
    loop: asyncio.AbstractEventLoop, future: Any
) -> None:
    log: list[object] = []
    for number in range(5):
        future.add_done_callback(lambda f, n=number: log.append((n, f)))
    future.set_result(None)
    future.add_done_callback(lambda f: log.append("added when done"))
    assert log == []
    run_turns(loop)
    assert log == [(n, future) for n in range(5)] + ["added when done"]


@pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
def test_callbacks_run_at_every_end(loop: asyncio.AbstractEventLoop, future: Any, end: str) -> None:
    log: list[object] = []
    future.add_done_callback(log.append)
    future.add_done_callback(log.append)
    {
        "set_result": lambda: future.set_result(1),
        "set_exception": lambda: future.set_exception(LookupError()),
        "cancel": future.cancel,
    }[end]()
    run_turns(loop)
    assert log == [future, future]
    if not future.cancelled():
        future.exception()


def test_callback_contexts(loop: asyncio.AbstractEventLoop, future: Any) -> None:
    log: list[str] = []
    given = contextvars.Context()
    given.run(variable.set, "given")

    def add() -> None:
        variable.set("copied")
        future.add_done_callback(lambda f: log.append(variable.get()))
        variable.set("too late")

    future.add_done_callback(lambda f: log.append(variable.get()), context=given)
    contextvars.copy_context().run(add)
    future.add_done_callback(lambda f: log.append(variable.get()))
    future.set_result(None)
    run_turns(loop)
    assert log == ["given", "copied", "unset"]


def test_callback_arguments(future: Any) -> None:
    assert outcome(lambda: future.add_done_callback()) is TypeError
    assert outcome(lambda: future.add_done_callback(len, contextvars.Context())) is TypeError
    assert outcome(lambda: future.add_done_callback(len, ctx=None)) is TypeError
    assert future.add_done_callback(len, context=contextvars.Context()) is None


def test_remove_done_callback(loop: asyncio.AbstractEventLoop, future: Any) -> None:
    log: list[str] = []

    def one(f: Any) -> None:
        log.append("one")

    def two(f: Any) -> None:
        log.append("two")

    assert future.remove_done_callback(one) == 0
    for callback in (one, two, one, one, two):
        future.add_done_callback(callback)
    assert future.remove_done_callback(one) == 3
    assert future.remove_done_callback(one) == 0
    future.add_done_callback(one)
    future.set_result(None)
    assert future.remove_done_callback(two) == 0  # they are with the loop already
    run_turns(loop)
    assert log == ["two", "two", "one"]


@pytest.mark.parametrize("act", ["remove", "add", "finish", "raise"])
def test_a_comparison_that_interferes_with_removal(
    loop: asyncio.AbstractEventLoop, types: Implementation, act: str
) -> None:
    class Evil:
        """Equal to nothing; acts upon the future when it is compared, once."""

        def __init__(self) -> None:
            self.armed = True

        def __eq__(self, other: object) -> bool:
            if self.armed:
                self.armed = False
                actions[act]()
            return False

        __hash__ = None  # type: ignore[assignment]

        def __call__(self, f: object) -> None:
            called.append(self)

    def added(f: object) -> None:
        called.append(f)

    called: list[object] = []
    future = types.Future(loop=loop)
    actions: dict[str, Any] = {
        "remove": lambda: future.remove_done_callback(added),
        "add": lambda: future.add_done_callback(added),
        "finish": lambda: future.done() or future.set_result(None),
        "raise": lambda: 1 / 0,
    }
    future.add_done_callback(added)
    for _ in range(4):
        future.add_done_callback(Evil())
    got = outcome(lambda: future.remove_done_callback(len))
    assert (got is ZeroDivisionError) if act == "raise" else isinstance(got, int)
    future.cancel()
    run_turns(loop)
    # However the list was treated, whatever is called is called with a whole object.
    assert all(isinstance(entry, Evil) or entry is future for entry in called)


def test_bound_methods_are_removed_by_equality(
    loop: asyncio.AbstractEventLoop, future: Any
) -> None:
    log: list[object] = []
    future.add_done_callback(log.append)
    future.add_done_callback(log.append)
    assert future.remove_done_callback(log.append) == 2


def test_callbacks_attribute(loop: asyncio.AbstractEventLoop, future: Any) -> None:
    """anyio reads `_callbacks`."""

    def callback(f: Any) -> None: ...

    assert future._callbacks is None
    context = contextvars.copy_context()
    future.add_done_callback(callback, context=context)
    assert future._callbacks == [(callback, context)]
    future.add_done_callback(len, context=context)
    assert future._callbacks == [(callback, context), (len, context)]
    future.remove_done_callback(len)
    future.set_result(None)
    assert future._callbacks is None


def test_a_failing_callback(
    loop: asyncio.AbstractEventLoop, future: Any, contexts: Contexts
) -> None:
    log: list[object] = []
    future.add_done_callback(lambda f: 1 / 0)
    future.add_done_callback(log.append)
    future.set_result(None)
    run_turns(loop)
    assert log == [future]
    context = contexts.take_one()
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["message"].startswith("Exception in callback test_a_failing_callback")


def test_never_retrieved(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts
) -> None:
    loop.set_debug(False)  # under `python -X dev` it starts on

    def describe(make: Any) -> list[Any]:
        future = make(loop=loop)
        future.set_exception(LookupError("lost"))
        expected = shape(future)
        del future
        collect()
        context = contexts.take_one()
        assert context.keys() == {"message", "exception", "future"}
        assert shape(context["future"]) == expected
        return [context["message"], repr(context["exception"]), shape(context["future"])]

    assert describe(types.Future) == describe(asyncio.Future)


@pytest.mark.parametrize("look", ["result", "exception", "await", "flag"])
def test_retrieved(
    loop: asyncio.AbstractEventLoop, types: Implementation, contexts: Contexts, look: str
) -> None:
    future = types.Future(loop=loop)
    future.set_exception(LookupError())
    assert future._log_traceback is True
    if look == "flag":
        future._log_traceback = False
        with pytest.raises(ValueError, match="_log_traceback can only be set to False"):
            future._log_traceback = True
    elif look == "await":
        with pytest.raises(LookupError):
            loop.run_until_complete(future)
    elif look == "result":
        assert outcome(future.result) is LookupError
    else:
        future.exception()
    assert future._log_traceback is False
    del future
    collect()
    assert contexts == []


@pytest.mark.parametrize("debug", [False, True])
def test_repr(loop: asyncio.AbstractEventLoop, types: Implementation, debug: bool) -> None:
    def callback(f: Any) -> None: ...

    loop.set_debug(debug)
    prepare: list[Any] = [
        lambda f: None,
        lambda f: f.set_result("x" * 1000),
        lambda f: f.set_result(f),
        lambda f: f.set_exception(LookupError("no")),
        lambda f: f.cancel(),
        lambda f: f.cancel("message"),
        lambda f: f.add_done_callback(callback),
        lambda f: (f.add_done_callback(callback), f.add_done_callback(len)),
        lambda f: [f.add_done_callback(callback) for _ in range(5)],
    ]
    for act in prepare:
        ours, theirs = (cls(loop=loop) for cls in (types.Future, asyncio.Future))
        act(ours), act(theirs)
        assert shape(ours) == shape(theirs)
        for future in (ours, theirs):
            if future.done() and not future.cancelled():
                future.exception()


def test_repr_of_a_cycle(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    first, second = types.Future(loop=loop), types.Future(loop=loop)
    first.set_result(second)
    second.set_result(first)
    assert "..." in repr(first)


def test_source_traceback(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    loop.set_debug(False)  # under `python -X dev` it starts on
    assert types.Future(loop=loop)._source_traceback is None
    loop.set_debug(True)
    future = types.Future(loop=loop)
    assert future._source_traceback[-1].name == "test_source_traceback"
    assert f"created at {__file__}" in repr(future)
    made: Any = loop.create_future()
    assert "test_source_traceback" in [entry.name for entry in made._source_traceback]


def test_weak_references_and_attributes(future: Any) -> None:
    assert weakref.ref(future)() is future
    future.anything = 1
    assert future.anything == 1
    del future.anything
    assert not hasattr(future, "anything")


def test_generic_alias(types: Implementation) -> None:
    alias = types.Future[int]
    assert isinstance(alias, python_types.GenericAlias)
    assert alias.__origin__ is types.Future
    assert alias.__args__ == (int,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused(future: Any, protocol: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(future, protocol)


def test_truth_and_identity(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    one, two = types.Future(loop=loop), types.Future(loop=loop)
    assert one == one
    assert one != two
    assert bool(one)
    assert len({one, two, one}) == 2


def test_subclass(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    class Sub(types.Future):  # type: ignore[misc, name-defined]
        def __init__(self, *, loop: Any, note: str) -> None:
            super().__init__(loop=loop)
            self.note = note

        def set_result(self, result: Any) -> None:
            log.append(("set_result", result))
            super().set_result(result)

        def cancel(self, msg: Any = None) -> bool:
            log.append(("cancel", msg))
            return super().cancel(msg)

        def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
            log.append("add_done_callback")
            super().add_done_callback(fn, context=context)

        def __del__(self) -> None:
            log.append("__del__")
            getattr(super(), "__del__", lambda: None)()

    log: list[Any] = []

    async def waits(future: Any) -> Any:
        return await future

    future = Sub(loop=loop, note="kept")
    task = loop.create_task(waits(future))
    run_turns(loop)
    assert log == ["add_done_callback"]  # the task goes through the override
    task.cancel("stop")
    assert log[1:] in ([("cancel", "stop")], [("cancel", None)])
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert (future.note, future.cancelled()) == ("kept", True)
    assert repr(future).startswith("<Sub cancelled")
    log.clear()
    del task, future
    collect()
    assert log == ["__del__"]


def test_subclass_reviving_itself(loop: asyncio.AbstractEventLoop, types: Implementation) -> None:
    class Phoenix(types.Future):  # type: ignore[misc, name-defined]
        def __del__(self) -> None:
            saved.append(self)

    saved: list[Any] = []
    future = Phoenix(loop=loop)
    future.add_done_callback(saved.append)
    del future
    collect()
    (back,) = saved
    back.set_result(1)
    run_turns(loop)
    assert saved == [back, back]
    assert back.result() == 1


def test_initialising_again(loop: asyncio.AbstractEventLoop, future: Any) -> None:
    future.set_result(1)
    if sys.version_info >= (3, 15):
        with pytest.raises(RuntimeError, match="already initialized"):
            future.__init__(loop=loop)
        return
    future.__init__(loop=loop)
    assert not future.done()
    assert future._callbacks is None
