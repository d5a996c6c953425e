"""Signals: handlers in the loop, Ctrl-C, and the wake-up descriptor put back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from helpers import Implementation, outcome, run_turns, turns

pytestmark = pytest.mark.usefixtures("loop")


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test does, the process's handlers and wake-up descriptor are as before."""
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watched = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    yield
    now = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    assert now == wakeup
    assert [signal.getsignal(number) for number in watched] == before


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_handler_with_arguments(loop: asyncio.AbstractEventLoop) -> None:
    got: list[tuple[object, ...]] = []

    def handler(*args: object) -> None:
        assert asyncio.get_running_loop() is loop
        got.append(args)
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two")
    loop.call_soon(send, signal.SIGUSR1)
    loop.run_forever()
    assert got == [(1, "two")]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_a_signal_wakes_a_sleeping_loop(loop: asyncio.AbstractEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    # From a thread, so that it arrives while the loop sleeps without any time limit.
    sender = threading.Timer(0.02, send, (signal.SIGUSR1,))
    sender.start()
    loop.run_forever()
    sender.join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_python_handler_runs_while_the_loop_sleeps(loop: asyncio.AbstractEventLoop) -> None:
    """signal.signal() alone, as most programs do it."""

    def handler(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(loop.stop)

    old = signal.signal(signal.SIGUSR2, handler)
    sender = threading.Timer(0.02, send, (signal.SIGUSR2,))
    try:
        sender.start()
        loop.run_forever()
    finally:
        sender.join()
        signal.signal(signal.SIGUSR2, old)


def test_replacing_and_several(loop: asyncio.AbstractEventLoop) -> None:
    log: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, log.append, "old")
    loop.add_signal_handler(signal.SIGUSR1, log.append, "one")
    loop.add_signal_handler(signal.SIGUSR2, log.append, "two")

    async def body() -> None:
        send(signal.SIGUSR1)
        send(signal.SIGUSR2)
        while len(log) < 2:
            await asyncio.sleep(0.001)

    loop.run_until_complete(body())
    assert sorted(log) == ["one", "two"]
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.remove_signal_handler(signal.SIGUSR2)


def test_close_removes_the_handlers(loop: asyncio.AbstractEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, len)
    loop.add_signal_handler(signal.SIGINT, len)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("number", "handler", "kind"),
    [
        (signal.SIGKILL, len, RuntimeError),
        (-1, len, ValueError),
        (1000, len, ValueError),
        ("SIGINT", len, TypeError),
        (1.5, len, TypeError),
    ],
)
def test_refusals(
    loop: asyncio.AbstractEventLoop, number: Any, handler: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        loop.add_signal_handler(number, handler)
    if kind is not RuntimeError:
        with pytest.raises(kind):
            loop.remove_signal_handler(number)


def test_coroutines_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TypeError, match="coroutines cannot be used with add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, turns)


def test_only_on_the_main_thread(implementation: Implementation) -> None:
    def run() -> None:
        loop = implementation.new_event_loop()
        results.append(outcome(lambda: loop.add_signal_handler(signal.SIGUSR1, len)))
        loop.run_until_complete(turns(1))
        loop.close()

    results: list[object] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results[0] in (ValueError, RuntimeError)


def test_someone_else_s_wakeup_descriptor_comes_back(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """Running without signal handlers leaves another's wake-up descriptor in place."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    old = signal.set_wakeup_fd(write)
    try:
        run_turns(loop, 3)
        found = signal.set_wakeup_fd(write)
        assert found == write
    finally:
        signal.set_wakeup_fd(old)
        os.close(read)
        os.close(write)


def test_ctrl_c_in_run_forever(loop: asyncio.AbstractEventLoop) -> None:
    sender = threading.Timer(0.02, send, (signal.SIGINT,))
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    sender.join()
    assert not loop.is_running()
    run_turns(loop)


def test_ctrl_c_in_a_callback_that_computes(loop: asyncio.AbstractEventLoop) -> None:
    def compute() -> None:
        send(signal.SIGINT)
        for _ in range(10**9):
            pass

    loop.call_soon(compute)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    run_turns(loop)


def test_ctrl_c_when_the_loop_never_sleeps(loop: asyncio.AbstractEventLoop) -> None:
    """Native callbacks alone, turn after turn, must not starve Python's signal handlers."""
    log: list[int] = []

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    def handler(number: int, frame: object) -> None:
        log.append(number)
        task.cancel()

    old = signal.signal(signal.SIGUSR1, handler)
    task = loop.create_task(spin())
    sender = threading.Timer(0.02, send, (signal.SIGUSR1,))
    sender.start()
    try:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, old)
    assert log == [signal.SIGUSR1]


def test_runner_turns_ctrl_c_into_cancellation(implementation: Implementation) -> None:
    async def body() -> None:
        asyncio.get_running_loop().call_soon(send, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    log: list[str] = []
    with (
        asyncio.Runner(loop_factory=implementation.new_event_loop) as runner,
        pytest.raises(KeyboardInterrupt),
    ):
        runner.run(body())
    assert log == ["cancelled"]


def test_runner_while_sleeping(implementation: Implementation) -> None:
    async def body() -> None:
        sender.start()
        await asyncio.Event().wait()

    sender = threading.Timer(0.02, send, (signal.SIGINT,))
    with (
        asyncio.Runner(loop_factory=implementation.new_event_loop) as runner,
        pytest.raises(KeyboardInterrupt),
    ):
        runner.run(body())
    sender.join()


def test_close_at_interpreter_exit_is_quiet(implementation: Implementation) -> None:
    program = f"""
        import asyncio, signal, warnings
        warnings.simplefilter("ignore", ResourceWarning)
        from {"asyncio" if implementation.name == "asyncio" else "aioxide"} import new_event_loop
        loop = new_event_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        loop.call_soon(print, "never")
        loop.call_later(100, print, "never")
        future = loop.create_future()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
