"""Many datagrams at once: they come in order, and what happens in between counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from helpers import Contexts, DatagramRecorder, ended, endpoint, sockname, turns

pytestmark = pytest.mark.usefixtures("loop")


def bare() -> socket.socket:
    """Return a bound socket without an endpoint."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def filled(
    *messages: bytes, protocol: Callable[[], Any] = DatagramRecorder
) -> tuple[Any, socket.socket]:
    """Return an endpoint for which these datagrams wait already, and the socket that sent them."""
    near, far = bare(), bare()
    for message in messages:
        far.sendto(message, near.getsockname())
    return await endpoint(protocol, sock=near), far


async def test_all_that_wait_are_received_in_order() -> None:
    messages = [b"%d" % number for number in range(200)]
    server, far = await filled(*messages)
    assert await server.get(200) == messages
    far.close()
    await ended(server)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_nothing_is_received_after_the_end(how: str) -> None:
    class Ends(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"2":
                getattr(self.transport, how)()
                assert self.events[-1] == "data"

    server, far = await filled(*(b"%d" % number for number in range(10)), protocol=Ends)
    assert await server.lost is None
    assert server.messages == [b"0", b"1", b"2"]
    assert server.events == ["made", *["data"] * 3, "lost"]
    far.close()


async def test_pausing_among_many() -> None:
    class Pauses(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data in (b"2", b"5"):
                self.transport.pause_reading()

    server, far = await filled(*(b"%d" % number for number in range(8)), protocol=Pauses)
    transport = server.transport
    for end in (3, 6):
        await server.get(end)
        await turns(3)
        assert len(server.received) == end
        assert not transport.is_reading()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.is_reading()
        transport.resume_reading()
    assert await server.get(8) == [b"%d" % number for number in range(8)]
    far.close()
    await ended(server)
    assert not transport.is_reading()


async def test_another_protocol_among_many() -> None:
    class Hands(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"1":
                other.transport = self.transport
                self.transport.set_protocol(other)

    other = DatagramRecorder()
    server, far = await filled(b"0", b"1", b"2", b"3", protocol=Hands)
    assert await other.get(2) == [b"2", b"3"]
    assert server.messages == [b"0", b"1"]
    assert server.transport.get_protocol() is other
    far.close()
    await ended(other)
    assert server.events == ["made", "data", "data"]


async def test_what_a_datagram_schedules_comes_before_the_next() -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []

    class Schedules(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            order.append(f"data {data.decode()}")
            if data in (b"1", b"2"):
                loop.call_soon(order.append, f"after {data.decode()}")

    server, far = await filled(b"0", b"1", b"2", b"3", protocol=Schedules)
    await server.get(4)
    assert order == ["data 0", "data 1", "after 1", "data 2", "after 2", "data 3"]
    far.close()
    await ended(server)


async def test_a_task_may_wait_for_each_datagram() -> None:
    """It has its future set up again before the next one comes."""

    class One(DatagramRecorder):
        future: asyncio.Future[bytes]

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.future.set_result(data)

    near, far = bare(), bare()
    for number in range(5):
        far.sendto(b"%d" % number, near.getsockname())
    One.future = asyncio.get_running_loop().create_future()
    server = await endpoint(One, sock=near)
    got = []
    for _ in range(5):
        got.append(await server.future)
        server.future = asyncio.get_running_loop().create_future()
    assert got == [b"0", b"1", b"2", b"3", b"4"]
    server.future.cancel()
    del One.future
    far.close()
    await ended(server)


def test_stop_comes_before_the_next_datagram(loop: asyncio.AbstractEventLoop) -> None:
    class Stops(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"1":
                loop.stop()

    async def body() -> Any:
        return await endpoint(Stops)

    server, far = loop.run_until_complete(body()), bare()
    for message in (b"0", b"1", b"2"):
        far.sendto(message, sockname(server))
    loop.run_forever()
    assert server.messages == [b"0", b"1"]
    loop.run_until_complete(server.get(3))
    assert server.messages == [b"0", b"1", b"2"]
    far.close()
    loop.run_until_complete(ended(server))


async def test_an_exception_among_many(contexts: Contexts) -> None:
    class Breaks(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"1":
                raise LookupError("in the protocol")

    server, far = await filled(*(b"%d" % number for number in range(4)), protocol=Breaks)
    assert await server.get(4) == [b"0", b"1", b"2", b"3"]
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert context["message"].startswith("Exception in callback ")
    assert "_read_ready" in context["message"]
    assert isinstance(context["handle"], asyncio.Handle)
    assert not server.transport.is_closing()
    far.close()
    await ended(server)


@pytest.mark.parametrize("base", [SystemExit, KeyboardInterrupt])
def test_exits_leave_the_loop(loop: asyncio.AbstractEventLoop, base: type[BaseException]) -> None:
    class Leaves(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"0":
                raise base("out")

    async def body() -> Any:
        near, far = bare(), bare()
        return await endpoint(Leaves, sock=near), far

    server, far = loop.run_until_complete(body())
    for message in (b"0", b"1"):
        far.sendto(message, sockname(server))
    with pytest.raises(base, match="out"):
        loop.run_until_complete(server.get(2))
    loop.run_until_complete(server.get(2))
    far.close()
    loop.run_until_complete(ended(server))


async def test_answers_from_the_callback() -> None:
    class Echo(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.sendto(data.upper(), addr)

    server, far = await filled(*(b"a%d" % number for number in range(20)), protocol=Echo)
    await server.get(20)
    assert [far.recv(10) for _ in range(20)] == [b"A%d" % number for number in range(20)]
    far.close()
    await ended(server)


async def test_two_endpoints_play_ping_pong() -> None:
    class Pong(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if len(self.received) < 300:
                self.transport.sendto(data, addr)

    first, second = await endpoint(Pong), await endpoint(Pong)
    first.transport.sendto(b"ball", sockname(second))
    await first.get(299)
    await second.get(300)
    assert len(first.received) == 299
    await ended(first, second)
