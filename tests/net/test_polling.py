"""When the loop polls: in every iteration, as on asyncio, if a file descriptor is watched."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from helpers import Implementation, Recorder, attach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("loop")
BOUND = 1
"""Iterations until a file descriptor is served: the next one polls before it runs callbacks."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


class Busy:
    """Callbacks that keep the queue full, and count turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, width: int) -> None:
        self.loop = loop
        self.turn = 0
        self.at: dict[int, Callable[[], object]] = {}
        self.going = True
        loop.call_soon(self._lead)
        for _ in range(width - 1):
            loop.call_soon(self._follow)

    def _lead(self) -> None:
        self.turn += 1
        act = self.at.pop(self.turn, None)
        if act is not None:
            act()
        if self.turn > 10_000:
            self.loop.stop()
        elif self.going:
            self.loop.call_soon(self._lead)

    def _follow(self) -> None:
        if self.going:
            self.loop.call_soon(self._follow)


@pytest.mark.parametrize("width", [1, 3, 100])
def test_a_reader_is_served_within_the_bound(
    loop: asyncio.AbstractEventLoop, pair: tuple[socket.socket, socket.socket], width: int
) -> None:
    near, far = pair
    waits: list[int] = []
    sent_at = 0

    def readable() -> None:
        near.recv(100)
        waits.append(busy.turn - sent_at)
        if len(waits) == 20:
            loop.stop()
        else:
            busy.at[busy.turn + 1 + 5 * len(waits)] = send

    def send() -> None:
        nonlocal sent_at
        far.send(b"x")
        sent_at = busy.turn

    loop.add_reader(near, readable)
    busy = Busy(loop, width)
    busy.at[7] = send
    loop.run_forever()
    busy.going = False
    loop.remove_reader(near)
    assert len(waits) == 20
    assert max(waits) <= BOUND


async def test_a_transport_is_served_within_the_bound() -> None:
    protocol, far = await attach(Recorder)
    busy = Busy(asyncio.get_running_loop(), 2)
    for size in range(1, 11):
        turn = busy.turn
        far.send(b"x")
        await protocol.received(size)
        # The task that waits takes a turn more than the protocol.
        assert busy.turn - turn <= BOUND + 2
    busy.going = False
    protocol.transport.abort()
    await protocol.lost
    far.close()


def test_two_connections_of_a_busy_loop_take_turns(
    loop: asyncio.AbstractEventLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A descriptor that is always ready does not keep out one that is seldom so."""
    near, far = pair
    seldom_near, seldom_far = socket.socketpair()
    served: list[str] = []

    def often() -> None:
        served.append("often")

    def seldom() -> None:
        served.append("seldom")
        seldom_near.recv(100)
        loop.stop()

    far.send(b"always ready")
    loop.add_reader(near, often)
    loop.add_reader(seldom_near, seldom)
    loop.call_later(0.001, seldom_far.send, b"x")
    loop.run_forever()
    loop.remove_reader(near)
    loop.remove_reader(seldom_near)
    seldom_near.close()
    seldom_far.close()
    assert served[-1] == "seldom"
    # Once it was ready, it was the turn after the next at the latest; often runs once a turn.
    assert "often" in served


def test_callbacks_alone_make_no_system_call(
    loop: asyncio.AbstractEventLoop, implementation: Implementation
) -> None:
    """The poll descriptor is something else meanwhile: asking it would be an error."""
    if implementation.name != "aioxide":
        pytest.skip("asyncio polls its self-pipe in every iteration")
    poll_fd = loop._epoll_fd()  # type: ignore[attr-defined]
    kept = os.dup(poll_fd)
    null = os.open(os.devnull, os.O_RDONLY)
    busy = Busy(loop, 3)
    busy.at[5000] = loop.stop
    os.dup2(null, poll_fd)
    try:
        loop.run_forever()
    finally:
        os.dup2(kept, poll_fd)
        os.close(kept)
        os.close(null)
    busy.going = False
    assert busy.turn >= 5000
