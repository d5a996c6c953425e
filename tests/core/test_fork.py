"""fork: the child has no running loop and may start one; the parent's goes on untouched."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from helpers import Implementation, finish_once, implementation, outcome, turns, value

pytestmark = [
    pytest.mark.usefixtures("loop"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(check: Callable[[], object]) -> None:
    """Run `check` in a forked child and demand that it ends well there."""
    forking(check)()


def forking(check: Callable[[], object]) -> Callable[[], None]:
    """Fork, and run `check` in the child. Returns what waits for it, and demands a good end."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads may exist
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(write)

    def wait() -> None:
        with os.fdopen(read, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert (status, told.decode()) == (0, "")

    return wait


async def test_no_running_loop_in_the_child(loop: asyncio.AbstractEventLoop) -> None:
    def check() -> None:
        assert outcome(asyncio.get_running_loop) is RuntimeError
        assert asyncio._get_running_loop() is None

    in_child(check)
    assert asyncio.get_running_loop() is loop
    await turns(2)


async def test_the_child_may_run_a_loop(implementation: Implementation) -> None:
    def check() -> None:
        async def body() -> str:
            loop = asyncio.get_running_loop()
            one, other = socket.socketpair()
            with one, other:
                one.setblocking(False)
                other.setblocking(False)
                await loop.sock_sendall(one, b"child")
                got = await loop.sock_recv(other, 10)
            await asyncio.sleep(0.001)
            assert await loop.run_in_executor(None, os.getpid) == os.getpid()
            return got.decode()

        with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
            assert runner.run(body()) == "child"

    in_child(check)
    await turns(2)


@pytest.mark.aioxide_only
async def test_the_child_may_use_aioxide_run() -> None:
    def check() -> None:
        import aioxide

        assert aioxide.run(value(4)) == 4

    in_child(check)


async def test_the_parent_s_descriptors_are_untouched(loop: asyncio.AbstractEventLoop) -> None:
    """What the child does with its copies must not unregister anything in the parent."""

    def check() -> None:
        one.close()
        other.close()

    one, other = socket.socketpair()
    with one, other:
        got: asyncio.Future[None] = loop.create_future()
        loop.add_reader(one, finish_once, got)
        in_child(check)
        other.send(b"x")
        await got
        loop.remove_reader(one)


async def test_the_child_closing_the_parent_s_loop(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """A copy of the loop closed in the child leaves the parent's wake-ups working."""
    idle = implementation.new_event_loop()
    in_child(idle.close)
    assert await loop.run_in_executor(None, value_of, 3) == 3
    await asyncio.sleep(0.001)
    idle.close()


def value_of(argument: object) -> object:
    return argument


def test_the_child_runs_on_after_the_parent_s_loop_was_idle(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    loop.run_until_complete(turns(1))

    def check() -> None:
        fresh = implementation.new_event_loop()
        assert fresh.run_until_complete(value(5)) == 5
        fresh.close()

    in_child(check)
    assert loop.run_until_complete(value(6)) == 6


async def test_the_child_does_not_take_the_parents_watchers(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    if implementation.name == "asyncio":
        pytest.skip("there the child takes them")
    # The kernel's interest list is one for both processes. On asyncio's selector loop the child
    # removes the parent's registration here.
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        seen = loop.create_future()
        loop.add_reader(one, finish_once, seen)
        in_child(lambda: loop.remove_reader(one))
        other.send(b"x")
        await asyncio.wait_for(seen, 10)
        loop.remove_reader(one)


async def alive() -> int:
    """Use timers, descriptors and other threads for a moment."""
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        await loop.sock_sendall(one, b"x")
        assert await loop.sock_recv(other, 10) == b"x"
        seen: asyncio.Future[None] = loop.create_future()
        loop.add_reader(other, finish_once, seen)
        threading.Timer(0.001, one.send, (b"y",)).start()
        await seen
        loop.remove_reader(other)
    await asyncio.sleep(0.001)
    return os.getpid()


def run_alive(name: str) -> int:
    """Run a loop of this implementation; for other processes, which import this module."""
    factory = implementation(name).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return int(runner.run(alive()))


# Forks at odd moments


@pytest.mark.parametrize("moment", ["callback", "timer", "reader", "protocol"])
def test_from_within_a_callback(
    loop: asyncio.AbstractEventLoop, implementation: Implementation, moment: str
) -> None:
    """Whatever the parent's loop is doing, it does not run in the child, where another one can."""

    def check() -> None:
        assert outcome(asyncio.get_running_loop) is RuntimeError
        assert run_alive(implementation.name) == os.getpid()

    def fork(*_: object) -> None:
        in_child(check)
        done.set_result(None)

    def fork_once(sock: socket.socket) -> None:
        loop.remove_reader(sock)
        fork()

    class Forking(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            fork()

    async def body() -> None:
        one, other = socket.socketpair()
        transport = None
        with one, other:
            if moment == "callback":
                loop.call_soon(fork)
            elif moment == "timer":
                loop.call_later(0.001, fork)
            elif moment == "reader":
                loop.add_reader(one, fork_once, one)
            else:
                transport, _ = await loop.create_connection(Forking, sock=one)
            other.send(b"x")
            await done
            if transport is not None:
                transport.abort()
                await turns(2)
        assert await alive() == os.getpid()

    done: asyncio.Future[None] = loop.create_future()
    loop.run_until_complete(body())


def test_while_the_loop_runs_in_another_thread(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """The child has neither that thread nor its loop running; the parent's goes on."""

    def check() -> None:
        assert asyncio._get_running_loop() is None
        assert run_alive(implementation.name) == os.getpid()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    for _ in range(5):
        waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001, "slept"), loop)
        in_child(check)
        assert waiting.result(10) == "slept"
        assert asyncio.run_coroutine_threadsafe(alive(), loop).result(10) == os.getpid()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


async def test_several_children_at_once(implementation: Implementation) -> None:
    def check() -> None:
        assert run_alive(implementation.name) == os.getpid()

    waits = [forking(check) for _ in range(5)]
    assert await alive() == os.getpid()
    for wait in waits:
        wait()
    assert await alive() == os.getpid()


async def test_a_grandchild(implementation: Implementation) -> None:
    def check() -> None:
        async def body() -> None:
            in_child(lambda: run_alive(implementation.name))
            await alive()

        with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
            runner.run(body())

    in_child(check)
    assert await alive() == os.getpid()


# What the child does with its copy of the parent's loop


async def test_the_child_throws_the_loop_away(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """It lets go of what is registered, closes its copies, and ends as any program does."""

    def check() -> None:
        if implementation.name == "aioxide":  # on asyncio the child takes them from the parent
            assert loop.remove_reader(one)
            transport.abort()
        one.close()
        other.close()
        assert outcome(loop.close) is RuntimeError  # it was running when the child was made
        loop._thread_id = None  # type: ignore[attr-defined]
        asyncio._set_running_loop(None)

    near, far = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    one, other = socket.socketpair()
    with far, one, other:
        seen: asyncio.Future[None] = loop.create_future()
        loop.add_reader(one, finish_once, seen)
        in_child(check)
        other.send(b"x")
        await asyncio.wait_for(seen, 10)
        loop.remove_reader(one)
        assert await alive() == os.getpid()
        transport.abort()
        await turns(2)


@pytest.mark.aioxide_only  # asyncio's child takes the parent's self-pipe from the kernel's list
def test_the_child_ends_by_itself_inside_the_loop(implementation: Implementation) -> None:
    """`sys.exit` in a forked coroutine: the child winds its copy up, and the parent goes on."""

    async def background() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            os.write(log, b"%d" % (os.getpid() == parent))

    async def body() -> int:
        task = asyncio.create_task(background())
        await turns(2)
        pid = os.fork()
        if pid == 0:
            sys.exit(3)
        loop = asyncio.get_running_loop()
        _, status = await loop.run_in_executor(None, os.waitpid, pid, 0)
        assert await alive() == parent
        assert not task.done()
        return os.waitstatus_to_exitcode(status)

    parent = os.getpid()
    read, log = os.pipe()
    try:
        with asyncio.Runner(loop_factory=implementation.new_event_loop) as runner:
            status = runner.run(body())
    except SystemExit as error:
        os._exit(int(str(error.code)))  # the child, at its end
    assert status == 3
    # Both have cancelled their own copy of the task. From 3.14 on the child knows of none.
    assert os.read(read, 10) == (b"01" if sys.version_info < (3, 14) else b"1")
    os.close(read)
    os.close(log)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio up to 3.11 shares the descriptor")
async def test_signals_of_the_child_are_not_the_parent_s(loop: asyncio.AbstractEventLoop) -> None:
    log: list[str] = []

    def check() -> None:
        assert signal.set_wakeup_fd(-1) == -1
        os.kill(os.getpid(), signal.SIGUSR1)

    loop.add_signal_handler(signal.SIGUSR1, log.append, "got it")
    in_child(check)
    await turns(5)
    assert log == []
    os.kill(os.getpid(), signal.SIGUSR1)
    while not log:
        await asyncio.sleep(0.001)
    assert log == ["got it"]
    loop.remove_signal_handler(signal.SIGUSR1)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncio does it there: the test above")
@pytest.mark.aioxide_only
async def test_signals_of_the_child_are_not_the_parent_s_up_to_3_11(
    loop: asyncio.AbstractEventLoop,
) -> None:
    await test_signals_of_the_child_are_not_the_parent_s(loop)


# multiprocessing


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_multiprocessing(implementation: Implementation, method: str) -> None:
    """A process started from inside a running loop runs loops of its own."""
    context: Any = multiprocessing.get_context(method)
    parent, child = context.Pipe()
    process = context.Process(target=send_alive, args=(implementation.name, child))
    process.start()
    child.close()
    loop = asyncio.get_running_loop()
    told = await loop.run_in_executor(None, parent.recv)
    parent.close()
    await loop.run_in_executor(None, process.join)
    assert (process.exitcode, told) == (0, [process.pid] * 2)
    process.close()
    stop_helpers()
    assert await alive() == os.getpid()


def send_alive(name: str, pipe: Any) -> None:
    """Run in the process: a loop by its factory, and the package's own `run`."""
    pids = [run_alive(name)]
    if name == "aioxide":
        import aioxide

        pids.append(aioxide.run(alive()))
    else:
        pids.append(asyncio.run(alive()))
    pipe.send(pids)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_process_pool(implementation: Implementation, method: str) -> None:
    context = multiprocessing.get_context(method)
    loop = asyncio.get_running_loop()
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        work = functools.partial(loop.run_in_executor, pool, run_alive, implementation.name)
        pids = await asyncio.gather(*(work() for _ in range(4)))
        assert os.getpid() not in pids
        assert isinstance(await outcome_in(pool), LookupError)
    stop_helpers()
    assert await alive() == os.getpid()


async def outcome_in(pool: concurrent.futures.Executor) -> object:
    """Return the exception of what fails in another process."""
    loop = asyncio.get_running_loop()
    (end,) = await asyncio.gather(loop.run_in_executor(pool, fail), return_exceptions=True)
    return end


def fail() -> None:
    """Fail, in another process."""
    raise LookupError("over there")


def stop_helpers() -> None:
    """End the processes that multiprocessing keeps for the next time."""
    from multiprocessing import forkserver, resource_tracker

    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
