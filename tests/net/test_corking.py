"""What a turn writes leaves when it is over: nothing that a program can see is different.

The same bodies run on asyncio, which sends at each write; where the difference is the point, the
test says so.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import aioxide
from helpers import (
    Implementation,
    Recorder,
    Service,
    attach,
    port_of,
    recv_all,
    recv_exactly,
    tcp_pair,
    turns,
    until,
)
from net.tls import Certificates

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.usefixtures("loop"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
MUCH = 8 << 20


class Answering(Recorder):
    """Answers what comes with what the test wants."""

    answer: Callable[[Any], object]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.answer(self.transport)


async def asked(answer: Callable[[Any], object]) -> tuple[Any, socket.socket]:
    """A connection whose protocol has been asked, and has answered."""
    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.received(1)
    return protocol, far


async def finish(protocol: Any, far: socket.socket) -> None:
    protocol.transport.abort()
    await protocol.lost
    far.close()


def there(sock: socket.socket) -> bytes:
    """What can be received without waiting."""
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


async def test_the_pieces_of_an_answer_leave_together(implementation: Implementation) -> None:
    seen: list[bytes] = []

    def answer(transport: Any) -> None:
        for piece in (b"status ", b"headers ", b"body"):
            transport.write(piece)
            seen.append(there(far))

    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.received(1)
    if implementation.name == "aioxide":
        assert seen == [b"", b"", b""]
        assert there(far) == b"status headers body"
    else:
        assert b"".join(seen) == b"status headers body"
    await finish(protocol, far)


async def test_pieces_of_all_kinds_and_sizes_keep_their_order() -> None:
    sizes = [1, 0, 5000, 3, 70_000, 2, 2, 40_000, 1, 100_000, *[7] * 200, 16_384, 1]
    pieces = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
    kinds = [bytes, bytearray, memoryview]

    def answer(transport: Any) -> None:
        transport.set_write_buffer_limits(high=1 << 30)
        for index, piece in enumerate(pieces):
            transport.write(kinds[index % 3](piece))
        transport.writelines([b"x" * 10, bytearray(b"y" * 5000), b"z"])
        transport.write(b"end")

    protocol, far = await asked(answer)
    wanted = b"".join(pieces) + b"x" * 10 + b"y" * 5000 + b"z" + b"end"
    assert await recv_exactly(far, len(wanted)) == wanted
    await finish(protocol, far)


async def test_the_caller_may_change_its_buffer_after_write() -> None:
    def answer(transport: Any) -> None:
        for kind in (bytearray, lambda data: memoryview(bytearray(data))):
            buffer = kind(b"0123456789")
            transport.write(buffer)
            buffer[0:1] = b"#"
            transport.writelines([buffer])
            buffer[0:1] = b"!"

    protocol, far = await asked(answer)
    assert await recv_exactly(far, 40) == b"0123456789#123456789" * 2
    await finish(protocol, far)


async def test_bytes_with_a_destructor_that_writes() -> None:
    class Farewell(bytes):
        def __del__(self) -> None:
            said.append(len(self))

    said: list[int] = []

    def answer(transport: Any) -> None:
        transport.write(Farewell(b"one "))
        transport.write(Farewell(b"two "))
        transport.writelines([Farewell(b"three "), Farewell(b"four")])

    protocol, far = await asked(answer)
    assert await recv_exactly(far, 18) == b"one two three four"
    await until(lambda: sorted(said) == [4, 4, 4, 6])
    await finish(protocol, far)


@pytest.mark.parametrize("size", [10, 1000, 40_000])
async def test_the_buffer_is_empty_after_a_write_that_fits(size: int) -> None:
    sizes: list[int] = []

    def answer(transport: Any) -> None:
        transport.write(b"x" * size)
        sizes.append(transport.get_write_buffer_size())
        sizes.append(len(there(far)))

    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.received(1)
    assert sizes == [0, size]
    await finish(protocol, far)


async def test_pause_writing_is_called_inside_the_write_that_fills_the_buffer() -> None:
    paused: list[bool] = []

    def answer(transport: Any) -> None:
        for _ in range(MUCH // 10_000):
            transport.write(b"x" * 10_000)
            paused.append("pause" in protocol.events)

    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.received(1)
    assert True in paused
    assert protocol.events.count("pause") == 1
    size = protocol.transport.get_write_buffer_size()
    assert size > 64 * 1024
    # It was the first write that brought the buffer over the mark, and none before.
    late = paused.index(True)
    assert size - (len(paused) - late) * 10_000 <= 64 * 1024
    await finish(protocol, far)


async def test_with_a_mark_of_zero_what_is_left_over_pauses_at_once() -> None:
    def answer(transport: Any) -> None:
        transport.set_write_buffer_limits(high=0)
        transport.write(b"x" * MUCH)
        events.extend(protocol.events)

    events: list[str] = []
    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.received(1)
    assert events == ["made", "data", "pause"]
    await finish(protocol, far)


ENDS: dict[str, Callable[[Any], object]] = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "write_eof": lambda transport: transport.write_eof(),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_was_written_precedes_the_end(end: str) -> None:
    def answer(transport: Any) -> None:
        transport.write(b"last ")
        transport.write(b"words")
        ENDS[end](transport)

    protocol, far = await asked(answer)
    assert await recv_all(far) == b"last words"
    if end == "write_eof":
        protocol.transport.close()
    assert await protocol.lost is None
    far.close()


async def test_close_is_told_one_turn_later_as_ever() -> None:
    def answer(transport: Any) -> None:
        transport.write(b"bye")
        transport.close()
        asyncio.get_running_loop().call_soon(protocol.events.append, "next turn")

    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    await protocol.lost
    assert protocol.events == ["made", "data", "lost", "next turn"]
    far.close()


async def test_a_callback_that_raises_has_written_all_the_same(contexts: Any) -> None:
    def answer(transport: Any) -> None:
        transport.write(b"before ")
        transport.write(b"the fall")
        raise ZeroDivisionError

    protocol, far = await attach(Answering)
    protocol.answer = answer
    far.send(b"?")
    assert await recv_all(far) == b"before the fall"
    assert isinstance(await protocol.lost, ZeroDivisionError)
    contexts.clear()
    far.close()


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_loop_has_written_all_the_same(
    loop: asyncio.AbstractEventLoop, exception: type[BaseException]
) -> None:
    def answer(transport: Any) -> None:
        transport.write(b"exit")
        raise exception

    protocol, far = loop.run_until_complete(attach(Answering))
    protocol.answer = answer
    far.send(b"?")
    with pytest.raises(exception):
        loop.run_forever()
    assert there(far) == b"exit"
    loop.run_until_complete(finish(protocol, far))


def test_the_last_callback_before_the_loop_stops(loop: asyncio.AbstractEventLoop) -> None:
    def answer(transport: Any) -> None:
        transport.write(b"stop")
        loop.stop()

    protocol, far = loop.run_until_complete(attach(Answering))
    protocol.answer = answer
    far.send(b"?")
    loop.run_forever()
    assert there(far) == b"stop"
    protocol.transport.write(b"ped")
    assert there(far) == b"ped"
    loop.run_until_complete(finish(protocol, far))


async def test_a_task_and_a_handle_write_as_a_protocol_does() -> None:
    protocol, far = await attach()
    transport = protocol.transport

    async def task() -> None:
        transport.write(b"task ")
        transport.write(b"one, ")
        await asyncio.sleep(0)
        assert there(far) == b"task one, "
        transport.write(b"task two")

    await asyncio.ensure_future(task())
    assert there(far) == b"task two"
    loop = asyncio.get_running_loop()
    loop.call_soon(transport.write, b"handle")
    await turns(2)
    assert there(far) == b"handle"
    await finish(protocol, far)


async def test_drain_sends(implementation: Implementation) -> None:
    names: Any = aioxide if implementation.name == "aioxide" else asyncio
    protocol, far = await attach()
    reader = names.StreamReader()
    stream = names.StreamReaderProtocol(reader)
    protocol.transport.set_protocol(stream)
    stream.connection_made(protocol.transport)
    loop = asyncio.get_running_loop()
    writer = names.StreamWriter(protocol.transport, stream, reader, loop)
    writer.write(b"drained ")
    writer.write(b"at once")
    await writer.drain()
    assert there(far) == b"drained at once"
    protocol.transport.set_protocol(protocol)
    await finish(protocol, far)


async def test_drain_of_stock_streams_sends_and_notices_errors() -> None:
    """asyncio's own writer on our loop: it touches the transport by `is_closing()` alone."""
    protocol, far = await attach()
    reader = asyncio.StreamReader()
    stream = asyncio.StreamReaderProtocol(reader)
    protocol.transport.set_protocol(stream)
    stream.connection_made(protocol.transport)
    loop = asyncio.get_running_loop()
    writer = asyncio.StreamWriter(protocol.transport, stream, reader, loop)
    writer.write(b"drained ")
    writer.write(b"at once")
    await writer.drain()
    assert there(far) == b"drained at once"
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    drained = 0
    with pytest.raises(ConnectionResetError):  # noqa: PT012
        while drained < 1000:
            writer.write(b"to nobody")
            await writer.drain()
            drained += 1
    # The write is refused, and the drain behind it says so.
    assert drained <= 2
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_is_closing_is_true_once_a_write_has_failed() -> None:
    protocol, far = await attach()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    transport = protocol.transport
    transport.write(b"refused")
    assert transport.is_closing()
    assert isinstance(await protocol.lost, (ConnectionResetError, BrokenPipeError))


async def test_the_repr_shows_what_the_kernel_has_not_taken() -> None:
    protocol, far = await attach()
    protocol.transport.write(b"taken")
    assert "write=<idle, bufsize=0>" in repr(protocol.transport)
    assert there(far) == b"taken"
    await finish(protocol, far)


async def test_drain_under_tls_sends(implementation: Implementation) -> None:
    """What is held back there is the connection's below."""
    names: Any = aioxide if implementation.name == "aioxide" else asyncio
    tls = Certificates()
    service = await Service().start(ssl=tls.server)
    _, writer = await names.open_connection(
        "127.0.0.1", port_of(service.server), ssl=tls.client, server_hostname="localhost"
    )
    (far,) = await service.accepted()
    await turns(2)
    arrives = far.transport.get_extra_info("socket")
    writer.write(b"drained ")
    writer.write(b"at once")
    await writer.drain()
    assert select.select([arrives], [], [], 5)[0], "nothing was sent"
    await far.received(15)
    assert bytes(far.data) == b"drained at once"
    writer.close()
    await writer.wait_closed()
    service.made.clear()
    await service.close()


async def test_two_transports_in_turn() -> None:
    one, far_one = await attach()
    two, far_two = await attach()
    for number in range(50):
        one.transport.write(b"a%02d" % number)
        two.transport.write(b"b%02d" % number)
        if number % 7 == 0:
            one.transport.write(b"!")
    assert await recv_exactly(far_two, 150) == b"".join(b"b%02d" % n for n in range(50))
    wanted = b"".join(b"a%02d" % n + (b"!" if n % 7 == 0 else b"") for n in range(50))
    assert await recv_exactly(far_one, len(wanted)) == wanted
    await finish(one, far_one)
    await finish(two, far_two)


async def test_the_socket_itself_comes_after_what_was_written() -> None:
    protocol, far = await attach()
    protocol.transport.write(b"written, ")
    sock = protocol.transport.get_extra_info("socket")
    os.write(sock.fileno(), b"then by hand")
    assert await recv_exactly(far, 21) == b"written, then by hand"
    await finish(protocol, far)


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_what_resume_writing_writes_precedes_an_end_that_was_asked_for(end: str) -> None:
    """The buffer runs empty, the protocol hears of it and writes once more: that is sent first."""

    class Refills(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if end == "close":
                self.transport.write(b"last ")
                self.transport.write(b"words")

    protocol, far = await attach(Refills)
    protocol.transport.set_write_buffer_limits(high=0)
    protocol.transport.write(b"x" * MUCH)
    assert protocol.events == ["made", "pause"]
    getattr(protocol.transport, end)()
    got = await recv_all(far)
    assert len(got) == MUCH + (10 if end == "close" else 0)
    assert got.endswith(b"last words" if end == "close" else b"x")
    assert protocol.events[:3] == ["made", "pause", "resume"]
    if end == "write_eof":
        protocol.transport.close()
    assert await protocol.lost is None
    far.close()


async def test_many_transports_in_one_turn() -> None:
    pairs = [await attach() for _ in range(300)]
    for number, (protocol, _) in enumerate(pairs * 3):
        protocol.transport.write(b"%03d " % number)
    for number, (protocol, far) in enumerate(pairs):
        wanted = b"".join(b"%03d " % (number + 300 * turn) for turn in range(3))
        assert await recv_exactly(far, len(wanted)) == wanted
        await finish(protocol, far)


@pytest.mark.aioxide_only
@pytest.mark.parametrize("pieces", [1, 2, 20])
async def test_much_in_one_turn_leaves_before_it_is_over(pieces: int) -> None:
    """All connections together hold back half a MiB; what was sent counts no more."""
    pairs = [await attach() for _ in range(60)]
    piece = bytes(10_240 // pieces)

    def write(count: int) -> int:
        """How many of so many connections have sent when all of them have written 10 KiB."""
        for protocol, _ in pairs[:count]:
            protocol.transport.write(piece)
            protocol.transport.writelines([piece] * (pieces // 2))
            for _ in range(pieces - 1 - pieces // 2):
                protocol.transport.write(piece)
        return sum(bool(there(far)) for _, far in pairs[:count])

    assert write(51) == 0
    for protocol, far in pairs[:51]:
        assert protocol.transport.get_write_buffer_size() == 0
        assert len(there(far)) == 10_240
    assert write(51) == 0
    await turns(2)
    for _, far in pairs[:51]:
        assert len(there(far)) == 10_240
    assert write(60) == 52
    for each in pairs:
        await finish(*each)


async def test_bytes_whose_destructor_writes_to_another_transport() -> None:
    one, far_one = await attach()
    two, far_two = await attach()

    class Farewell(bytes):
        def __del__(self) -> None:
            two.transport.write(b"second")

    two.transport.write(b"first ")
    one.transport.write(Farewell(b"only"))
    assert await recv_exactly(far_one, 4) == b"only"
    assert await recv_exactly(far_two, 12) == b"first second"
    await finish(one, far_one)
    await finish(two, far_two)


async def test_a_write_that_fails_closes_the_connection() -> None:
    protocol, far = await attach()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    transport = protocol.transport
    for _ in range(20):
        transport.write(b"to nobody")
        await turns(1)
    assert isinstance(await protocol.lost, (ConnectionResetError, BrokenPipeError))


def test_another_thread_while_the_loop_sleeps(loop: asyncio.AbstractEventLoop) -> None:
    """asyncio does not allow it and sends at once all the same; so do we."""
    loop.set_debug(False)

    async def body() -> None:
        protocol, far = await attach()
        got = loop.create_future()

        def write() -> None:
            protocol.transport.write(b"from afar")
            far.setblocking(True)
            far.settimeout(30)
            data = far.recv(100)
            loop.call_soon_threadsafe(got.set_result, data)

        thread = threading.Thread(target=write)
        loop.call_soon(thread.start)
        assert await got == b"from afar"
        thread.join()
        await finish(protocol, far)

    loop.run_until_complete(body())


async def test_a_fork_sends_once() -> None:
    def answer(transport: Any) -> None:
        transport.write(b"once ")
        pid = os.fork()
        if not pid:
            # As a child that goes on: out of the callback, without the loop's next turn.
            os._exit(0)
        os.waitpid(pid, 0)
        transport.write(b"only")

    protocol, far = await asked(answer)
    assert await recv_exactly(far, 9) == b"once only"
    assert there(far) == b""
    await finish(protocol, far)


def test_the_child_of_a_fork_sends_nothing_of_its_parents(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """The child leaves the callback, and the loop, by an exception."""

    class Leave(SystemExit):
        pass

    def answer(transport: Any) -> None:
        nonlocal pid
        transport.write(b"parent ")
        pid = os.fork()
        if not pid:
            raise Leave
        transport.write(b"and child")

    pid = -1
    protocol, far = loop.run_until_complete(attach(Answering))
    protocol.answer = answer
    far.send(b"?")
    try:
        got = loop.run_until_complete(recv_exactly(far, 16))
    except Leave:
        os._exit(0)
    os.waitpid(pid, 0)
    assert got == b"parent and child"
    assert there(far) == b""
    loop.run_until_complete(finish(protocol, far))


async def test_sendfile_comes_after_what_was_written(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"file " * 10_000)
    protocol, far = await attach()
    loop = asyncio.get_running_loop()
    protocol.transport.write(b"head ")
    protocol.transport.write(b"er ")
    with path.open("rb") as file:
        await loop.sendfile(protocol.transport, file)
    protocol.transport.write(b"tail")
    assert await recv_exactly(far, 50_012) == b"head er " + b"file " * 10_000 + b"tail"
    await finish(protocol, far)


async def test_an_object_that_only_looks_like_a_socket_is_written_to_at_once() -> None:
    """Whoever looks at such a stand-in, a test, expects to see each write."""

    class StandIn:
        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self.sock, name)

    near, far = tcp_pair()
    protocol = Recorder()
    loop: Any = asyncio.get_running_loop()
    transport = loop._make_socket_transport(StandIn(near), protocol)
    await protocol.connected
    far.setblocking(False)
    for piece in (b"first", b"second"):
        transport.write(piece)
        assert far.recv(100) == piece
    transport.writelines([b"a", b"b"])
    assert far.recv(100) == b"ab"
    await finish(protocol, far)


@pytest.mark.aioxide_only
async def test_a_destructor_that_writes_while_room_is_made() -> None:
    """It writes to the very transport whose write was one too many: behind that write."""
    pairs = [await attach() for _ in range(256)]
    last, far = pairs[-1]
    much = b"x" * 10_000_000

    class Farewell(bytes):
        def __del__(self) -> None:
            last.transport.write(much)

    pairs[0][0].transport.write(Farewell(b"."))
    for protocol, _ in pairs[1:-1]:
        protocol.transport.write(b".")
    last.transport.write(b"first")
    last.transport.write(b"last")
    got = await recv_exactly(far, 9 + len(much))
    assert got.replace(b"x", b"") == b"firstlast"
    assert got.startswith(b"first")
    assert got.count(b"x") == len(much)
    assert b"x" * len(much) in got
    for each in pairs:
        await finish(*each)
