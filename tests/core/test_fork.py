"""fork: the child has no running loop and may start one; the parent's goes on untouched."""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
import warnings
from collections.abc import Callable

import pytest

from helpers import Implementation, finish_once, outcome, turns, value

pytestmark = [
    pytest.mark.usefixtures("loop"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(check: Callable[[], object]) -> None:
    """Run `check` in a forked child and demand that it ends well there."""
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
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert (status, told.decode()) == (0, "")


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
