"""Handle and TimerHandle: what `call_soon`, `call_later` and `call_at` give back."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import weakref
from typing import Any

import pytest

from helpers import Contexts, outcome, run_turns, shape

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def callback(*args: object) -> None:
    """Do nothing."""


class Callable:
    """A callable with a name of its own in reprs."""

    def __call__(self, *args: object) -> None: ...

    def __repr__(self) -> str:
        return "Callable!"

    def method(self, *args: object) -> None: ...


def made_by(loop: asyncio.AbstractEventLoop, how: str, call: Any, *args: Any) -> Any:
    if how == "soon":
        return loop.call_soon(call, *args)
    if how == "threadsafe":
        return loop.call_soon_threadsafe(call, *args)
    if how == "later":
        return loop.call_later(1000, call, *args)
    return loop.call_at(loop.time() + 1000, call, *args)


HOW = pytest.mark.parametrize("how", ["soon", "threadsafe", "later", "at"])


@HOW
def test_type(loop: asyncio.AbstractEventLoop, how: str) -> None:
    handle = made_by(loop, how, callback)
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, asyncio.TimerHandle) is (how in ("later", "at"))
    if how != "threadsafe":  # 3.14 has a class of its own there
        assert type(handle).__name__ == ("TimerHandle" if how in ("later", "at") else "Handle")


def test_call_later_without_delay_is_a_timer(loop: asyncio.AbstractEventLoop) -> None:
    assert isinstance(loop.call_later(0, callback), asyncio.TimerHandle)


@HOW
@pytest.mark.parametrize("count", range(7))
def test_arguments(loop: asyncio.AbstractEventLoop, how: str, count: int) -> None:
    got: list[tuple[object, ...]] = []
    args = tuple(range(count))
    handle = made_by(loop, how, lambda *args: got.append(args), *args)
    assert handle._args == args
    handle._run()
    assert got == [args]
    handle.cancel()


@pytest.mark.parametrize("count", range(7))
def test_arguments_in_a_turn(loop: asyncio.AbstractEventLoop, count: int) -> None:
    got: list[tuple[object, ...]] = []
    args = tuple(object() for _ in range(count))
    loop.call_soon(lambda *args: got.append(args), *args)
    loop.call_later(0, lambda *args: got.append(args), *args)
    loop.call_soon_threadsafe(lambda *args: got.append(args), *args)
    run_turns(loop, 2)
    assert got == [args] * 3


@HOW
def test_keywords_are_refused(loop: asyncio.AbstractEventLoop, how: str) -> None:
    schedule: Any = {
        "soon": loop.call_soon,
        "threadsafe": loop.call_soon_threadsafe,
        "later": functools.partial(loop.call_later, 1),
        "at": functools.partial(loop.call_at, 1),
    }[how]
    assert outcome(lambda: schedule(callback, key=1)) is TypeError
    assert outcome(lambda: schedule()) is TypeError
    assert outcome(lambda: schedule(callback, contexts=None)) is TypeError


@HOW
def test_context(loop: asyncio.AbstractEventLoop, how: str) -> None:
    context = contextvars.Context()
    context.run(variable.set, "given")
    schedule: Any = {
        "soon": loop.call_soon,
        "threadsafe": loop.call_soon_threadsafe,
        "later": functools.partial(loop.call_later, 0),
        "at": functools.partial(loop.call_at, loop.time()),
    }[how]
    got: list[str] = []
    handle = schedule(lambda: got.append(variable.get()), context=context)
    assert handle._context is context
    if sys.version_info >= (3, 12):  # Handle.get_context is new there
        assert handle.get_context() is context
    schedule(lambda: got.append(variable.get()), context=None)
    run_turns(loop, 2)
    assert got == ["given", "unset"]


@HOW
def test_context_is_copied_when_scheduled(loop: asyncio.AbstractEventLoop, how: str) -> None:
    def body() -> None:
        variable.set("then")
        handles.append(made_by(loop, how, lambda: got.append(variable.get())))
        variable.set("later")

    got: list[str] = []
    handles: list[Any] = []
    contextvars.copy_context().run(body)
    assert handles[0]._context.run(variable.get) == "then"
    handles[0]._run()
    assert got == ["then"]
    handles[0].cancel()


@HOW
def test_cancel(loop: asyncio.AbstractEventLoop, how: str) -> None:
    ran: list[int] = []
    handle = made_by(loop, how, ran.append, 1)
    assert handle.cancelled() is False
    assert handle._cancelled is False
    handle.cancel()
    handle.cancel()
    assert handle.cancelled() is True
    assert handle._cancelled is True
    run_turns(loop, 2)
    assert ran == []


@HOW
def test_cancel_lets_go_of_the_callback(loop: asyncio.AbstractEventLoop, how: str) -> None:
    call, argument = Callable(), Callable()
    gone = weakref.ref(call), weakref.ref(argument)
    handle = made_by(loop, how, call, argument)
    del call, argument
    assert handle._callback is gone[0]()
    handle.cancel()
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert (handle._callback, handle._args) == (None, None)


def test_the_callback_is_kept_after_it_ran(loop: asyncio.AbstractEventLoop) -> None:
    handle: Any = loop.call_soon(callback, 1)
    run_turns(loop)
    assert handle.cancelled() is False
    assert (handle._callback, handle._args) == (callback, (1,))
    handle.cancel()
    assert handle.cancelled() is True


def test_run_reports_what_the_callback_raises(
    loop: asyncio.AbstractEventLoop, contexts: Contexts
) -> None:
    handle: Any = loop.call_soon(lambda: 1 / 0)
    assert handle._run() is None
    context = contexts.take_one()
    assert context["handle"] is handle
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["message"].startswith("Exception in callback ")
    handle.cancel()


@pytest.mark.parametrize("base", [SystemExit, KeyboardInterrupt])
def test_run_lets_exits_through(loop: asyncio.AbstractEventLoop, base: type[BaseException]) -> None:
    def leave() -> None:
        raise base

    handle: Any = loop.call_soon(leave)
    with pytest.raises(base):
        handle._run()
    handle.cancel()


@HOW
def test_weak_references(loop: asyncio.AbstractEventLoop, how: str) -> None:
    handle = made_by(loop, how, callback)
    reference = weakref.ref(handle)
    assert reference() is handle
    handle.cancel()
    del handle
    run_turns(loop)
    if how in ("later", "at"):
        loop.close()  # a cancelled timer may rest in the heap until its time
    gc.collect()
    assert reference() is None


@HOW
def test_no_other_attributes(loop: asyncio.AbstractEventLoop, how: str) -> None:
    handle = made_by(loop, how, callback)
    with pytest.raises(AttributeError):
        handle.anything = 1
    assert handle._loop is loop
    handle.cancel()


REPRS = pytest.mark.parametrize(
    "call",
    [
        callback,
        Callable(),
        Callable().method,
        functools.partial(callback, 1, key=2),
        functools.partial(functools.partial(callback, 1), 2),
        len,
        Callable,
        functools.lru_cache(callback),
    ],
    ids=["function", "object", "method", "partial", "nested", "builtin", "class", "wrapped"],
)


@REPRS
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("args", [(), (1, "two")], ids=["none", "two"])
def test_repr(loop: asyncio.AbstractEventLoop, call: Any, debug: bool, args: Any) -> None:
    loop.set_debug(debug)
    ours, theirs = loop.call_soon(call, *args), asyncio.Handle(call, args, loop)
    assert shape(ours) == shape(theirs)
    ours.cancel()
    theirs.cancel()
    assert shape(ours) == shape(theirs)
    assert "cancelled" in repr(ours)


@REPRS
@pytest.mark.parametrize("debug", [False, True])
def test_timer_repr(loop: asyncio.AbstractEventLoop, call: Any, debug: bool) -> None:
    loop.set_debug(debug)
    when = loop.time() + 1000
    ours, theirs = loop.call_at(when, call, 1), asyncio.TimerHandle(when, call, (1,), loop)
    assert shape(ours) == shape(theirs)
    ours.cancel()
    theirs.cancel()
    assert shape(ours) == shape(theirs)


@HOW
def test_debug_remembers_where_it_was_made(loop: asyncio.AbstractEventLoop, how: str) -> None:
    loop.set_debug(False)  # under `python -X dev` it starts on
    assert made_by(loop, how, callback)._source_traceback is None
    loop.set_debug(True)
    handle = made_by(loop, how, callback)
    # The last entry is the caller of the loop's method, as asyncio cuts off its own frames.
    assert handle._source_traceback[-1].name == "made_by"
    assert handle._source_traceback[-1].filename == __file__
    assert f"created at {__file__}" in repr(handle)


def test_debug_traceback_reaches_the_exception_handler(
    loop: asyncio.AbstractEventLoop, contexts: Contexts
) -> None:
    loop.set_debug(True)
    handle: Any = loop.call_soon(lambda: 1 / 0)
    run_turns(loop)
    assert contexts.take_one()["source_traceback"] is handle._source_traceback


WHENS = [0.0, 0.1, 1e-9, 12345.678901234567, 1 / 3, 3e8, 2**60 + 0.0, -5.5]


@pytest.mark.parametrize("when", WHENS)
def test_when_gives_back_the_exact_float(loop: asyncio.AbstractEventLoop, when: float) -> None:
    handle = loop.call_at(when, callback)
    assert handle.when() == when
    assert type(handle.when()) is float
    assert handle.when() == handle._when  # type: ignore[attr-defined]
    handle.cancel()
    assert handle.when() == when


def test_call_later_when(loop: asyncio.AbstractEventLoop) -> None:
    before = loop.time()
    handle = loop.call_later(10, callback)
    assert before + 10 <= handle.when() <= loop.time() + 10


def test_scheduled_flag(loop: asyncio.AbstractEventLoop) -> None:
    handle: Any = loop.call_later(0, callback)
    assert handle._scheduled is True
    run_turns(loop, 2)
    assert handle._scheduled is False


def test_timer_comparisons(loop: asyncio.AbstractEventLoop) -> None:
    now = loop.time() + 1000
    early, late = loop.call_at(now, callback), loop.call_at(now + 1, callback)
    twin, other = loop.call_at(now, callback), loop.call_at(now, len)
    stock: Any = asyncio.TimerHandle(now, callback, (), loop)
    assert (early < late, early <= late, early > late, early >= late) == (True, True, False, False)
    assert (early == late, early != late) == (False, True)
    for same in (twin, stock):
        assert (early == same, early != same) == (True, False)
        assert (early < same, early <= same, early > same, early >= same) == (
            False,
            True,
            False,
            True,
        )
        assert hash(early) == hash(same) == hash(now)
    # Same time, another callback: neither equal nor ordered.
    assert (early == other, early < other, early > other) == (False, False, False)
    assert (early <= other, early >= other) == (False, False)
    twin.cancel()
    assert early != twin


def test_timer_comparison_with_others(loop: asyncio.AbstractEventLoop) -> None:
    timer, handle = loop.call_later(1000, callback), loop.call_soon(callback)
    assert timer != handle
    assert timer != 1
    assert timer.__eq__(1) is NotImplemented
    for method in ("__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(timer, method)(handle) is NotImplemented
        assert getattr(timer, method)(None) is NotImplemented
    with pytest.raises(TypeError):
        timer < handle  # noqa: B015 - the comparison itself is under test
    assert handle == handle
    assert handle != loop.call_soon(callback)
    assert hash(handle) == object.__hash__(handle)


def test_stock_handles_on_the_loop(loop: asyncio.AbstractEventLoop, contexts: Contexts) -> None:
    """Code that builds handles itself may run, cancel and compare them."""
    got: list[int] = []
    asyncio.Handle(got.append, (1,), loop)._run()
    timer: Any = asyncio.TimerHandle(loop.time(), got.append, (2,), loop)
    timer._run()
    timer.cancel()
    asyncio.Handle(lambda: 1 / 0, (), loop)._run()
    assert got == [1, 2]
    assert isinstance(contexts.take_one()["exception"], ZeroDivisionError)


@pytest.mark.parametrize("how", ["call_soon", "call_later"])
@pytest.mark.parametrize("args", [(), (1, 2), (1, 2, 3, 4), [5, 6], None])
async def test_callback_and_arguments_can_be_set(
    loop: asyncio.AbstractEventLoop, contexts: Contexts, how: str, args: Any
) -> None:
    """Programs replace the callback of a handle that is scheduled."""
    called: list[tuple[object, ...]] = []
    handle: Any
    if how == "call_soon":
        handle = loop.call_soon(print, "never")
    else:
        handle = loop.call_later(0, print, "never")
    handle._callback = lambda *given: called.append(given)
    handle._args = args
    assert handle._args is args
    while not called and not contexts:
        await asyncio.sleep(0)
    if args is None:
        assert isinstance(contexts.take_one()["exception"], TypeError)
    else:
        assert called == [tuple(args)]


async def test_slots_can_be_set(loop: asyncio.AbstractEventLoop) -> None:
    handle: Any = loop.call_later(3600, print)
    context = contextvars.copy_context()
    for name, value in [("_when", 5), ("_when", 2.5), ("_context", context), ("_loop", loop)]:
        setattr(handle, name, value)
        assert getattr(handle, name) is value
    assert handle.when() == 2.5
    if sys.version_info >= (3, 12):
        assert handle.get_context() is context
    assert handle < loop.call_at(3, print)
    handle._args = ["shown"]
    assert handle._args == ["shown"]
    handle.cancel()
