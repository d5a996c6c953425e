"""add_reader and add_writer: what is called when a descriptor becomes ready."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from helpers import Contexts, attach, collect, finish_once, outcome, run_turns, turns

pytestmark = pytest.mark.usefixtures("loop")
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    with one, other:
        yield one, other


def drained(sock: socket.socket) -> bytes:
    """Read what a non-blocking socket has."""
    try:
        return sock.recv(1 << 16)
    except BlockingIOError:
        return b""


async def test_reader(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, other = pair
    got: asyncio.Future[tuple[object, ...]] = loop.create_future()

    def ready(*args: object) -> None:
        loop.remove_reader(one)
        got.set_result(args)

    assert loop.add_reader(one, ready, 1, "two") is None
    await turns(3)
    assert not got.done()
    other.send(b"x")
    assert await got == (1, "two")


async def test_writer(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, other = pair
    while outcome(lambda: one.send(b"x" * 65536)) is not BlockingIOError:
        pass
    got: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        loop.remove_writer(one.fileno())
        got.set_result(None)

    loop.add_writer(one.fileno(), ready)
    await turns(3)
    assert not got.done()
    while drained(other):
        pass
    await got


async def test_level_triggered(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    """Called in every turn for as long as the descriptor stays ready."""
    one, other = pair
    calls: list[int] = []
    done: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        calls.append(1)
        if len(calls) == 5:
            assert one.recv(1) == b"x"
            loop.call_later(0.005, done.set_result, None)

    other.send(b"x")
    loop.add_reader(one, ready)
    await done
    assert len(calls) == 5
    loop.remove_reader(one)


async def test_both_directions(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, other = pair
    read: asyncio.Future[None] = loop.create_future()
    written: asyncio.Future[None] = loop.create_future()
    loop.add_reader(one, finish_once, read)
    loop.add_writer(one, finish_once, written)
    await written
    assert not read.done()
    assert loop.remove_writer(one) is True
    other.send(b"x")
    await read
    assert loop.remove_reader(one) is True


async def test_remove_tells_whether_there_was_one(
    loop: asyncio.AbstractEventLoop, pair: Pair
) -> None:
    one, _ = pair
    assert loop.remove_reader(one) is False
    assert loop.remove_writer(one) is False
    loop.add_reader(one, len)
    assert loop.remove_writer(one) is False
    assert loop.remove_reader(one.fileno()) is True
    assert loop.remove_reader(one) is False
    assert loop.remove_reader(10_000) is False


async def test_replacing(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, other = pair
    log: list[str] = []
    got: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        log.append("new")
        loop.remove_reader(one)
        got.set_result(None)

    other.send(b"x")
    loop.add_reader(one, log.append, "old")
    loop.add_reader(one, ready)
    await got
    await turns(2)
    assert log == ["new"]


async def test_removed_by_another_of_the_same_batch(loop: asyncio.AbstractEventLoop) -> None:
    pairs = [socket.socketpair() for _ in range(4)]
    log: list[int] = []

    def ready(number: int) -> None:
        log.append(number)
        for one, _ in pairs:
            loop.remove_reader(one)

    for number, (one, other) in enumerate(pairs):
        loop.add_reader(one, ready, number)
        other.send(b"x")
    while not log:
        await turns(1)
    await turns(3)
    assert len(log) == 1
    for one, other in pairs:
        one.close()
        other.close()


async def test_replaced_within_the_batch(loop: asyncio.AbstractEventLoop) -> None:
    """A callback replaced after its event was seen does not run any more."""
    pairs = [socket.socketpair() for _ in range(2)]
    log: list[str] = []

    def replaced(sock: socket.socket) -> None:
        log.append("new")
        loop.remove_reader(sock)

    def ready(number: int) -> None:
        log.append(f"old {number}")
        loop.add_reader(pairs[1 - number][0], replaced, pairs[1 - number][0])
        loop.remove_reader(pairs[number][0])

    for number, (one, other) in enumerate(pairs):
        loop.add_reader(one, ready, number)
        other.send(b"x")
    while "new" not in log:
        await turns(1)
    assert sum(entry.startswith("old") for entry in log) == 1
    for one, other in pairs:
        one.close()
        other.close()


async def test_a_descriptor_used_again(loop: asyncio.AbstractEventLoop) -> None:
    """A number that was closed and given out again is a new registration."""
    for _ in range(20):
        one, other = socket.socketpair()
        number = one.fileno()
        got: asyncio.Future[None] = loop.create_future()
        loop.add_reader(one, got.set_result, None)
        other.send(b"x")
        await got
        loop.remove_reader(one)
        one.close()
        other.close()
        assert outcome(lambda n=number: os.fstat(n)) is OSError


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_removing_what_was_closed(loop: asyncio.AbstractEventLoop, side: str) -> None:
    """A socket that was closed first has no number any more, and is still found."""
    add, remove = getattr(loop, f"add_{side}"), getattr(loop, f"remove_{side}")
    other = loop.remove_writer if side == "reader" else loop.remove_reader
    one, far = socket.socketpair()
    with far:
        one.setblocking(False)
        add(one, len)
        one.close()
        assert other(one) is False
        assert remove(one) is True
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            remove(one)


async def test_closed_without_removing(loop: asyncio.AbstractEventLoop) -> None:
    """The user's mistake, and a common one: it must not break the loop or the number's reuse."""
    one, other = socket.socketpair()
    number = one.fileno()
    loop.add_reader(one, len, ())
    one.close()
    other.close()
    again, peer = socket.socketpair()
    assert again.fileno() == number
    got: asyncio.Future[None] = loop.create_future()
    loop.remove_reader(number)
    loop.add_reader(again, got.set_result, None)
    peer.send(b"x")
    await got
    assert loop.remove_reader(again) is True
    again.close()
    peer.close()


@pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
@pytest.mark.parametrize(
    "bad", [-1, "text", None, 1.5, object(), 2**70, [], True - 2], ids=lambda bad: repr(type(bad))
)
def test_bad_descriptors(loop: asyncio.AbstractEventLoop, method: str, bad: Any) -> None:
    arguments = (len,) if method.startswith("add") else ()
    control = asyncio.SelectorEventLoop()
    expected = outcome(lambda: getattr(control, method)(bad, *arguments))
    control.close()
    got = outcome(lambda: getattr(loop, method)(bad, *arguments))
    # A number too large for a descriptor may be refused before the kernel is asked.
    assert got == expected or (bad == 2**70 and got is ValueError)


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_closed_descriptors_and_files(loop: asyncio.AbstractEventLoop, method: str) -> None:
    with tempfile.TemporaryFile() as file:
        with pytest.raises(PermissionError):
            getattr(loop, method)(file.fileno(), len)
        number = file.fileno()
    with pytest.raises(OSError):
        getattr(loop, method)(number, len)
    closed = socket.socket()
    closed.close()
    with pytest.raises(ValueError):
        getattr(loop, method)(closed, len)
    run_turns(loop, 2)


def test_a_closed_loop(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    loop.close()
    for add in (loop.add_reader, loop.add_writer):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            add(pair[0], len)
    assert loop.remove_reader(pair[0]) is False
    assert loop.remove_writer(pair[0]) is False


async def test_a_transport_s_descriptor_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    protocol, far = await attach()
    number = protocol.transport.get_extra_info("socket").fileno()
    for call in (
        lambda: loop.add_reader(number, len),
        lambda: loop.add_writer(number, len),
        lambda: loop.remove_reader(number),
        lambda: loop.remove_writer(number),
    ):
        with pytest.raises(RuntimeError, match="is used by transport"):
            call()
    with pytest.raises(RuntimeError, match="is used by transport"):
        await loop.sock_recv(protocol.transport.get_extra_info("socket")._sock, 1)
    protocol.transport.close()
    await protocol.lost
    far.close()


async def test_a_callback_replaced_on_a_closed_number(loop: asyncio.AbstractEventLoop) -> None:
    """As tornado does, whose handlers outlive the number: the kernel is not asked again."""
    one, other = socket.socketpair()
    number = one.detach()
    loop.add_reader(number, len)
    os.close(number)
    loop.add_reader(number, len)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_writer(number, len)
    loop.remove_reader(number)
    loop.remove_writer(number)
    other.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_number_reused_while_its_transport_is_collected(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """A socket's finalizer, which comes first, lets others have the number before it returns."""
    reused: list[tuple[int, socket.socket, socket.socket]] = []

    class Closing(socket.socket):
        def __del__(self) -> None:
            number = self.fileno()
            if number < 0:
                return
            self.close()
            near, far = socket.socketpair()
            if near.fileno() != number:
                os.dup2(near.fileno(), number)
                near.close()
                near = socket.socket(fileno=number)
            reused.append((number, near, far))
            loop.add_reader(number, len)

    class Cyclic(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

    near, far = socket.socketpair()
    sock = Closing(fileno=near.detach())
    transport, _ = await loop.create_connection(Cyclic, sock=sock)
    transport.pause_reading()
    del transport, sock, _
    await turns(2)
    collect()
    # None if the transport was finalized before its socket.
    for number, near, other in reused:
        assert loop.remove_reader(number) is True
        near.close()
        other.close()
    far.close()


async def test_exceptions_in_callbacks(
    loop: asyncio.AbstractEventLoop, pair: Pair, contexts: Contexts
) -> None:
    one, other = pair

    def ready() -> None:
        one.recv(1)
        raise LookupError("in the callback")

    loop.add_reader(one, ready)
    other.send(b"x")
    while not contexts:
        await turns(1)
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert isinstance(context["handle"], asyncio.Handle)
    assert loop.remove_reader(one) is True  # one failure does not unregister


async def test_hang_up_reaches_both(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, other = pair
    log: set[str] = set()
    loop.add_reader(one, log.add, "reader")
    loop.add_writer(one, log.add, "writer")
    other.close()
    while log != {"reader", "writer"}:
        await turns(1)
    loop.remove_reader(one)
    loop.remove_writer(one)


async def test_pipes(loop: asyncio.AbstractEventLoop) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    got: asyncio.Future[bytes] = loop.create_future()

    def ready() -> None:
        loop.remove_reader(read)
        got.set_result(os.read(read, 10))

    loop.add_reader(read, ready)
    os.write(write, b"pipe")
    assert await got == b"pipe"
    os.close(write)
    os.close(read)


async def test_many_descriptors(loop: asyncio.AbstractEventLoop) -> None:
    pairs = [socket.socketpair() for _ in range(200)]
    seen: set[int] = set()
    done: asyncio.Future[None] = loop.create_future()

    def ready(number: int, one: socket.socket) -> None:
        loop.remove_reader(one)
        seen.add(number)
        if len(seen) == len(pairs):
            done.set_result(None)

    for number, (one, _) in enumerate(pairs):
        loop.add_reader(one, ready, number, one)
    for _, other in pairs:
        other.send(b"x")
    await done
    for one, other in pairs:
        one.close()
        other.close()


def test_close_forgets_the_callbacks(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    class Token:
        def __call__(self) -> None: ...

    token = Token()
    gone = weakref.ref(token)
    loop.add_reader(pair[0], token)
    loop.add_writer(pair[0], token)
    del token
    loop.close()
    collect()
    assert gone() is None
