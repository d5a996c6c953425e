"""`run`, `Runner` and `new_event_loop`: asyncio's behaviour, on our loop."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import aioxide

# The same test on the standard library, which says what is right.
both = pytest.mark.parametrize("library", [asyncio, aioxide], ids=["asyncio", "aioxide"])


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def raised(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    with pytest.raises(BaseException) as info:
        call()
    return info.type, str(info.value)


def test_run_is_on_a_new_loop_of_ours_and_closes_it() -> None:
    first, second = aioxide.run(running_loop()), aioxide.run(running_loop())
    assert type(first) is type(second) is aioxide.EventLoop
    assert first is not second
    assert first.is_closed()
    assert second.is_closed()


def test_run_on_the_loop_of_a_given_factory() -> None:
    loop = aioxide.run(running_loop(), loop_factory=asyncio.SelectorEventLoop)
    assert type(loop) is asyncio.SelectorEventLoop


@both
@pytest.mark.parametrize("debug", [True, False, None])
def test_debug_is_passed_on(library: Any, debug: bool | None) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    # None leaves the loop as it was made, which `-X dev` may have put into debug mode.
    expected = sys.flags.dev_mode if debug is None else debug
    assert library.run(main(), debug=debug) is expected


@both
def test_exception_of_main_comes_out(library: Any) -> None:
    async def main() -> None:
        raise LookupError("main")

    with pytest.raises(LookupError, match="main"):
        library.run(main())


@both
def test_cancelled_main_comes_out_as_cancelled(library: Any) -> None:
    async def main() -> None:
        raise asyncio.CancelledError("by itself")

    with pytest.raises(asyncio.CancelledError, match="by itself"):
        library.run(main())


@both
def test_other_tasks_are_cancelled_and_waited_for(library: Any) -> None:
    events: list[str] = []

    async def other() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            events.append("other wound up")

    async def main() -> None:
        task = asyncio.ensure_future(other())
        await asyncio.sleep(0)
        events.append(f"main done, other {'done' if task.done() else 'running'}")

    library.run(main())
    assert events == ["main done, other running", "other wound up"]


@both
def test_open_async_generators_are_closed(library: Any) -> None:
    events: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            events.append("generator closed")

    generator = numbers()

    async def main() -> None:
        assert await anext(generator) == 1

    library.run(main())
    assert events == ["generator closed"]


@both
def test_what_is_not_a_coroutine_is_refused_like_asyncio_does(library: Any) -> None:
    assert raised(lambda: library.run(123)) == raised(lambda: asyncio.run(123))  # type: ignore[arg-type]


@both
def test_run_inside_a_running_loop_is_refused(library: Any) -> None:
    async def main() -> tuple[type[BaseException], str]:
        inner = forever()
        try:
            return raised(lambda: library.run(inner))
        finally:
            inner.close()

    text = "asyncio.run() cannot be called from a running event loop"
    assert library.run(main()) == (RuntimeError, text)


def test_new_event_loops_are_ours_and_not_set() -> None:
    loop = aioxide.new_event_loop()
    try:
        assert type(loop) is aioxide.EventLoop
        assert isinstance(loop, asyncio.BaseEventLoop)
        assert asyncio._get_running_loop() is None
    finally:
        loop.close()


def test_new_event_loop_is_a_loop_factory_for_asyncio() -> None:
    with asyncio.Runner(loop_factory=aioxide.new_event_loop) as runner:
        assert type(runner.run(running_loop())) is aioxide.EventLoop


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.run has no loop_factory before")
def test_new_event_loop_is_a_loop_factory_for_asyncio_run() -> None:
    run: Any = asyncio.run
    assert type(run(running_loop(), loop_factory=aioxide.new_event_loop)) is aioxide.EventLoop


def test_runner_is_an_asyncio_runner_on_our_loop() -> None:
    with aioxide.Runner() as runner:
        assert isinstance(runner, asyncio.Runner)
        assert type(runner.get_loop()) is aioxide.EventLoop
        assert runner.run(running_loop()) is runner.run(running_loop()) is runner.get_loop()


def test_runner_takes_another_factory() -> None:
    with aioxide.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert type(runner.get_loop()) is asyncio.SelectorEventLoop


@both
def test_runs_of_a_runner_share_one_context(library: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def set_it() -> None:
        variable.set("set in the first run")

    async def get_it() -> str:
        return variable.get()

    with library.Runner() as runner:
        runner.run(set_it())
        assert runner.run(get_it()) == "set in the first run"
        assert runner.run(get_it(), context=contextvars.Context()) == "unset"
    assert variable.get() == "unset"


@both
def test_closed_runner_is_refused(library: Any) -> None:
    runner = library.Runner()
    runner.run(asyncio.sleep(0))
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@both
@pytest.mark.usefixtures("ctrl_c")
def test_first_ctrl_c_cancels_main_and_comes_out(library: Any) -> None:
    events: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await forever()
        except asyncio.CancelledError:
            events.append("main cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        library.run(main())
    assert events == ["main cancelled"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@both
@pytest.mark.usefixtures("ctrl_c")
def test_second_ctrl_c_comes_out_of_a_main_that_ignores_the_first(library: Any) -> None:
    events: list[str] = []

    async def main() -> None:
        for _ in range(2):
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            try:
                await forever()
            except asyncio.CancelledError:
                events.append("ignored")

    with pytest.raises(KeyboardInterrupt):
        library.run(main())
    assert events[:1] == ["ignored"]


@both
@pytest.mark.usefixtures("ctrl_c")
def test_task_ended_by_ctrl_c_may_return_a_result(library: Any) -> None:
    async def main() -> str:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await forever()
        except asyncio.CancelledError:
            return "wound up"
        return "not interrupted"

    assert library.run(main()) == "wound up"
