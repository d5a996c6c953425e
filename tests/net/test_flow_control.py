"""Write buffers: water marks, pausing and resuming the protocol, drain."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from helpers import Recorder, attach, outcome, recv_exactly, turns, until

pytestmark = pytest.mark.usefixtures("loop")
MUCH = 8 << 20


async def finish(protocol: Any, far: socket.socket) -> None:
    protocol.transport.abort()
    await protocol.lost
    far.close()


async def fill(protocol: Any) -> None:
    """Fill the kernel's buffers, so that what is written from now on stays with us."""
    protocol.transport.write(b"f" * MUCH)
    await turns(3)
    assert protocol.transport.get_write_buffer_size() > 0


LIMITS: list[tuple[dict[str, Any], object]] = [
    ({}, (16 * 1024, 64 * 1024)),
    ({"high": 1000}, (250, 1000)),
    ({"low": 1000}, (1000, 4000)),
    ({"high": 1000, "low": 10}, (10, 1000)),
    ({"high": 0}, (0, 0)),
    ({"low": 0}, (0, 0)),
    ({"high": 5, "low": 5}, (5, 5)),
    ({"high": 3}, (0, 3)),
    ({"high": 5, "low": 6}, ValueError),
    ({"high": -1}, ValueError),
    ({"low": -1}, ValueError),
    ({"high": None, "low": None}, (16 * 1024, 64 * 1024)),
]


@pytest.mark.parametrize(("arguments", "expected"), LIMITS)
async def test_limits(arguments: dict[str, Any], expected: object) -> None:
    protocol, far = await attach()
    transport = protocol.transport
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    got = outcome(lambda: transport.set_write_buffer_limits(**arguments))
    if isinstance(expected, tuple):
        assert got is None
        assert transport.get_write_buffer_limits() == expected
    else:
        assert got is expected
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    await finish(protocol, far)


async def test_pause_writing_is_called_inside_write() -> None:
    protocol, far = await attach()
    protocol.transport.write(b"x" * MUCH)
    assert protocol.events == ["made", "pause"]
    assert protocol.transport.get_write_buffer_size() > 64 * 1024
    protocol.transport.write(b"x")
    assert protocol.events == ["made", "pause"]
    await recv_exactly(far, MUCH + 1)
    await until(lambda: protocol.events[-1] == "resume")
    assert protocol.events == ["made", "pause", "resume"]
    assert protocol.transport.get_write_buffer_size() <= 16 * 1024
    await finish(protocol, far)


async def test_pause_at_the_exact_mark() -> None:
    """More than high pauses, exactly high does not; at low it resumes."""
    protocol, far = await attach()
    await fill(protocol)
    size = protocol.transport.get_write_buffer_size()
    protocol.events.clear()
    # Give the protocol a paused state of its own: raise the mark until nothing is paused.
    protocol.transport.set_write_buffer_limits(high=size + 1000, low=size + 1000)
    await until(lambda: protocol.events != [] or _drain(far) == 0)
    await until(lambda: "resume" in protocol.events)
    now = protocol.transport.get_write_buffer_size()
    if now:
        protocol.transport.set_write_buffer_limits(high=now + 100, low=0)
        protocol.transport.write(b"x" * 100)
        assert protocol.transport.get_write_buffer_size() == now + 100
        assert "pause" not in protocol.events
        protocol.transport.write(b"x")
        assert protocol.events[-1] == "pause"
    await finish(protocol, far)


def _drain(far: socket.socket) -> int:
    """Take a little, so that the transport writes once."""
    try:
        return len(far.recv(1 << 20)) - 1
    except BlockingIOError:
        return 1


async def test_lowering_the_limits_does_not_pause_by_itself_before_the_next_write() -> None:
    """asyncio pauses at set_write_buffer_limits too if the buffer exceeds the new mark."""
    protocol, far = await attach()
    protocol.transport.set_write_buffer_limits(high=2 * MUCH)
    await fill(protocol)
    assert "pause" not in protocol.events
    protocol.transport.set_write_buffer_limits(high=10)
    assert protocol.events[-1] == "pause"
    await finish(protocol, far)


async def test_zero_limits() -> None:
    """With high=0 every byte left over pauses, and only an empty buffer resumes."""
    protocol, far = await attach()
    protocol.transport.set_write_buffer_limits(high=0)
    await fill(protocol)
    assert protocol.events == ["made", "pause"]
    await recv_exactly(far, MUCH)
    await until(lambda: "resume" in protocol.events)
    assert protocol.transport.get_write_buffer_size() == 0
    await finish(protocol, far)


async def test_buffer_size_counts_everything() -> None:
    protocol, far = await attach()
    await fill(protocol)
    size = protocol.transport.get_write_buffer_size()
    protocol.transport.write(b"x" * 1000)
    protocol.transport.writelines([b"y" * 500, bytearray(500)])
    assert protocol.transport.get_write_buffer_size() == size + 2000
    assert len(await recv_exactly(far, MUCH + 2000)) == MUCH + 2000
    await until(lambda: protocol.transport.get_write_buffer_size() == 0)
    await finish(protocol, far)


async def test_losing_the_connection_while_paused() -> None:
    protocol, far = await attach()
    await fill(protocol)
    far.close()  # unread data: a reset
    assert isinstance(await protocol.lost, OSError)
    assert protocol.events == ["made", "pause", "lost"]
    assert protocol.transport.get_write_buffer_size() == 0


async def test_writing_from_resume_writing() -> None:
    class Refills(Recorder):
        rounds = 0

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.rounds < 3:
                self.rounds += 1
                self.transport.write(bytes([self.rounds]) * MUCH)

    protocol, far = await attach(Refills)
    # Left to itself the kernel lets the buffers grow, and then takes at once what is meant to be
    # too much.
    near = protocol.transport.get_extra_info("socket")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    protocol.transport.write(b"\0" * MUCH)
    got = await recv_exactly(far, 4 * MUCH)
    assert got == b"".join(bytes([number]) * MUCH for number in range(4))
    await until(lambda: protocol.events.count("resume") == 4)
    assert protocol.events == ["made", *["pause", "resume"] * 4]
    await finish(protocol, far)


async def test_closing_from_pause_writing() -> None:
    class Closes(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            self.transport.close()

    protocol, far = await attach(Closes)
    protocol.transport.write(b"x" * MUCH)
    assert await recv_exactly(far, MUCH + 1) == b"x" * MUCH
    assert await protocol.lost is None
    far.close()


async def test_aborting_from_pause_writing() -> None:
    class Aborts(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            self.transport.abort()

    protocol, far = await attach(Aborts)
    protocol.transport.write(b"x" * MUCH)
    protocol.transport.write(b"more")
    assert await protocol.lost is None
    far.close()


async def test_drain_of_many_writers(loop: asyncio.AbstractEventLoop) -> None:
    """Every waiting drain() is woken, and all fail when the connection breaks."""
    for breaks in (False, True):
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=near)
        writer.write(b"x" * MUCH)
        draining = [loop.create_task(writer.drain()) for _ in range(5)]
        await turns(3)
        assert not any(task.done() for task in draining)
        if breaks:
            far.close()
            results = await asyncio.gather(*draining, return_exceptions=True)
            assert all(isinstance(result, ConnectionError) for result in results)
        else:
            await recv_exactly(far, MUCH)
            await asyncio.gather(*draining)
            far.close()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        reader.exception()
