"""The loop's sock_* operations on bare sockets."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from helpers import outcome_of, recv_exactly, refused_port, tcp_pair, turns

pytestmark = pytest.mark.usefixtures("loop")
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = tcp_pair()
    with near, far:
        yield near, far


@pytest.fixture
def datagrams() -> Iterator[Pair]:
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with one, other:
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        yield one, other


def fill(sock: socket.socket) -> int:
    """Write until the kernel takes no more."""
    sent = 0
    while True:
        try:
            sent += sock.send(b"f" * 65536)
        except BlockingIOError:
            return sent


async def test_recv(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    far.send(b"at once")
    assert await loop.sock_recv(near, 100) == b"at once"
    waiting = loop.create_task(loop.sock_recv(near, 3))
    await turns(2)
    assert not waiting.done()
    far.send(b"later")
    assert await waiting == b"lat"
    assert await loop.sock_recv(near, 100) == b"er"
    far.close()
    assert await loop.sock_recv(near, 100) == b""


async def test_recv_of_nothing(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    far.send(b"x")
    assert await loop.sock_recv(near, 0) == b""
    assert await loop.sock_recv(near, 1) == b"x"


@pytest.mark.parametrize("make", [bytearray, lambda n: memoryview(bytearray(n))])
async def test_recv_into(loop: asyncio.AbstractEventLoop, pair: Pair, make: Any) -> None:
    near, far = pair
    buffer = make(10)
    far.send(b"at once")
    assert await loop.sock_recv_into(near, buffer) == 7
    assert bytes(buffer) == b"at once\0\0\0"
    waiting = loop.create_task(loop.sock_recv_into(near, buffer))
    await turns(2)
    far.send(b"later and longer")
    assert await waiting == 10
    assert bytes(buffer) == b"later and "
    if isinstance(buffer, bytearray):
        buffer.append(1)  # nobody holds it any more
    far.close()
    await loop.sock_recv_into(near, buffer)
    assert await loop.sock_recv_into(near, buffer) == 0


async def test_recvfrom(loop: asyncio.AbstractEventLoop, datagrams: Pair) -> None:
    one, other = datagrams
    other.sendto(b"at once", one.getsockname())
    assert await loop.sock_recvfrom(one, 100) == (b"at once", other.getsockname())
    waiting = loop.create_task(loop.sock_recvfrom(one, 100))
    await turns(2)
    other.sendto(b"", one.getsockname())
    assert await waiting == (b"", other.getsockname())


async def test_recvfrom_into(loop: asyncio.AbstractEventLoop, datagrams: Pair) -> None:
    one, other = datagrams
    buffer = bytearray(10)
    other.sendto(b"at once", one.getsockname())
    assert await loop.sock_recvfrom_into(one, buffer) == (7, other.getsockname())
    assert buffer == b"at once\0\0\0"
    waiting = loop.create_task(loop.sock_recvfrom_into(one, buffer, 3))
    await turns(2)
    other.sendto(b"later", one.getsockname())
    assert await waiting == (3, other.getsockname())
    assert buffer == b"latonce\0\0\0"


async def test_sendto(loop: asyncio.AbstractEventLoop, datagrams: Pair) -> None:
    one, other = datagrams
    assert await loop.sock_sendto(one, b"hello", other.getsockname()) == 5
    assert await loop.sock_recvfrom(other, 100) == (b"hello", one.getsockname())
    assert await loop.sock_sendto(one, memoryview(b"hello")[1:], other.getsockname()) == 4
    assert (await loop.sock_recvfrom(other, 100))[0] == b"ello"


async def test_connected_datagrams(loop: asyncio.AbstractEventLoop, datagrams: Pair) -> None:
    one, other = datagrams
    await loop.sock_connect(one, other.getsockname())
    await loop.sock_sendall(one, b"connected")
    assert await loop.sock_recv(other, 100) == b"connected"


@pytest.mark.parametrize(
    "data", [b"data", bytearray(b"data"), memoryview(b"data"), memoryview(b"-data")[1:], b""]
)
async def test_sendall(loop: asyncio.AbstractEventLoop, pair: Pair, data: Any) -> None:
    near, far = pair
    await loop.sock_sendall(near, data)
    near.close()
    assert await recv_exactly(far, 100) == bytes(data)


async def test_large_sendall_with_a_slow_reader(
    loop: asyncio.AbstractEventLoop, pair: Pair
) -> None:
    near, far = pair
    data = os.urandom(1 << 16) * 128  # 8 MiB, more than the kernel's buffers
    sending = loop.create_task(loop.sock_sendall(near, data))
    await turns(3)
    assert not sending.done()
    got = bytearray()
    while len(got) < len(data):
        got += await loop.sock_recv(far, 100_000)
        await turns(1)
    await sending
    assert got == data


@pytest.mark.aioxide_only  # asyncio counts in items of the buffer there, and never ends
async def test_wide_items_are_counted_in_bytes(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    numbers = array.array("I", range(1 << 20))  # 4 MiB: several sends
    sending = loop.create_task(loop.sock_sendall(near, numbers))
    assert await recv_exactly(far, 4 << 20) == numbers.tobytes()
    await sending


async def test_full_duplex(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    """Both directions of one socket may wait at the same time."""
    near, far = pair
    data = b"n" * (4 << 20)
    results = await asyncio.gather(
        loop.sock_sendall(near, data),
        loop.sock_sendall(far, data),
        recv_exactly(near, len(data)),
        recv_exactly(far, len(data)),
    )
    assert results[2] == results[3] == data


async def test_connect_and_accept(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        accepting = loop.create_task(loop.sock_accept(listener))
        await turns(2)
        await loop.sock_connect(client, listener.getsockname())
        conn, address = await accepting
        with conn:
            assert address == client.getsockname()
            assert conn.gettimeout() == 0
            assert not conn.get_inheritable()
            await loop.sock_sendall(client, b"hello")
            assert await loop.sock_recv(conn, 10) == b"hello"
        # The second one waits in the queue already.
        with socket.create_connection(listener.getsockname()) as second:
            conn, address = await loop.sock_accept(listener)
            assert address == second.getsockname()
            conn.close()


async def test_connect_by_name(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
        assert client.getpeername() == listener.getsockname()


async def test_connection_refused(loop: asyncio.AbstractEventLoop) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        with pytest.raises(ConnectionRefusedError) as info:
            await loop.sock_connect(client, ("127.0.0.1", refused_port()))
    assert info.value.errno is not None


async def test_unix_sockets(loop: asyncio.AbstractEventLoop, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        client.setblocking(False)
        await loop.sock_connect(client, path)
        conn, _ = await loop.sock_accept(listener)
        with conn:
            await loop.sock_sendall(conn, b"unix")
            assert await loop.sock_recv(client, 10) == b"unix"


async def test_peer_reset(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    waiting = loop.create_task(loop.sock_recv(near, 10))
    await turns(2)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await loop.sock_sendall(near, b"x")


OPERATIONS: dict[str, Any] = {
    "recv": lambda loop, near: loop.sock_recv(near, 10),
    "recv_into": lambda loop, near: loop.sock_recv_into(near, bytearray(10)),
    "recvfrom": lambda loop, near: loop.sock_recvfrom(near, 10),
    "recvfrom_into": lambda loop, near: loop.sock_recvfrom_into(near, bytearray(10)),
    "sendall": lambda loop, near: loop.sock_sendall(near, b"x" * 100),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cancelling_unregisters_at_once(
    loop: asyncio.AbstractEventLoop, pair: Pair, operation: str
) -> None:
    near, far = pair
    if operation == "sendall":
        fill(near)
    task = loop.create_task(OPERATIONS[operation](loop, near))
    await turns(3)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Nothing is left that would say True here, or take what comes now.
    assert loop.remove_reader(near) is False
    assert loop.remove_writer(near) is False
    far.send(b"for somebody else")
    await turns(3)
    assert await loop.sock_recv(near, 100) == b"for somebody else"


async def test_cancelled_connect_and_accept(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        task = loop.create_task(loop.sock_accept(listener))
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_reader(listener) is False
        with socket.create_connection(listener.getsockname()):
            conn, _ = await loop.sock_accept(listener)
            conn.close()


async def test_a_number_used_again_after_cancelling(loop: asyncio.AbstractEventLoop) -> None:
    """Closing right after the cancellation, before it is awaited, must not hit the next socket."""
    for _ in range(20):
        near, far = tcp_pair()
        number = near.fileno()
        task = loop.create_task(loop.sock_recv(near, 10))
        await turns(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        near.close()
        far.close()
        again, peer = tcp_pair()
        with again, peer:
            assert number in (again.fileno(), peer.fileno()) or again.fileno() > 0
            waiting = loop.create_task(loop.sock_recv(again, 10))
            await turns(2)
            peer.send(b"new")
            assert await waiting == b"new"


async def test_a_second_reader_takes_the_first_one_s_place(
    loop: asyncio.AbstractEventLoop, pair: Pair
) -> None:
    near, far = pair
    first = loop.create_task(loop.sock_recv(near, 10))
    await turns(2)
    second = loop.create_task(loop.sock_recv(near, 10))
    await turns(2)
    far.send(b"x")
    assert await second == b"x"
    assert not first.done()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


DEBUG_OPERATIONS: dict[str, Any] = {
    **OPERATIONS,
    "accept": lambda loop, sock: loop.sock_accept(sock),
    "connect": lambda loop, sock: loop.sock_connect(sock, ("127.0.0.1", 1)),
    "sendto": lambda loop, sock: loop.sock_sendto(sock, b"x", ("127.0.0.1", 1)),
}


@pytest.mark.parametrize("operation", DEBUG_OPERATIONS)
async def test_blocking_sockets_are_refused_in_debug(
    loop: asyncio.AbstractEventLoop, operation: str
) -> None:
    loop.set_debug(True)
    with socket.socket() as sock:
        sock.setblocking(True)
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await DEBUG_OPERATIONS[operation](loop, sock)


WRONG: dict[str, Any] = {
    "recv without a size": lambda loop, sock: loop.sock_recv(sock),
    "recv of text": lambda loop, sock: loop.sock_recv(sock, "10"),
    "recv of None": lambda loop, sock: loop.sock_recv(sock, None),
    "recv negative": lambda loop, sock: loop.sock_recv(sock, -1),
    "recv float": lambda loop, sock: loop.sock_recv(sock, 1.5),
    "recv from a number": lambda loop, sock: loop.sock_recv(sock.fileno(), 10),
    "recv from None": lambda loop, sock: loop.sock_recv(None, 10),
    "recv_into bytes": lambda loop, sock: loop.sock_recv_into(sock, b"constant"),
    "recv_into a number": lambda loop, sock: loop.sock_recv_into(sock, 10),
    "recvfrom text": lambda loop, sock: loop.sock_recvfrom(sock, "10"),
    "recvfrom negative": lambda loop, sock: loop.sock_recvfrom(sock, -1),
    "recvfrom_into bytes": lambda loop, sock: loop.sock_recvfrom_into(sock, b"constant"),
    "recvfrom_into too much": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(2), 5),
    "recvfrom_into negative": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(2), -1),
    "sendall text": lambda loop, sock: loop.sock_sendall(sock, "text"),
    "sendall None": lambda loop, sock: loop.sock_sendall(sock, None),
    "sendall number": lambda loop, sock: loop.sock_sendall(sock, 5),
    "sendto no address": lambda loop, sock: loop.sock_sendto(sock, b"x"),
    "sendto text": lambda loop, sock: loop.sock_sendto(sock, "text", ("127.0.0.1", 1)),
    "sendto bad address": lambda loop, sock: loop.sock_sendto(sock, b"x", 5),
    "connect bad address": lambda loop, sock: loop.sock_connect(sock, 5),
    "connect text port": lambda loop, sock: loop.sock_connect(sock, ("127.0.0.1", "port")),
    "connect connected": lambda loop, sock: loop.sock_connect(sock, sock.getpeername()),
    "accept no listener": lambda loop, sock: loop.sock_accept(sock),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(loop: asyncio.AbstractEventLoop, case: str) -> None:
    """The same kind of exception as asyncio's own loop raises."""

    def attempt(on: asyncio.AbstractEventLoop) -> object:
        near, far = tcp_pair()
        with near, far:
            far.send(b"some data")
            return on.run_until_complete(outcome_of(lambda: WRONG[case](on, near)))

    control = asyncio.SelectorEventLoop()
    expected = attempt(control)
    control.close()
    assert isinstance(expected, type)
    assert attempt(loop) is expected


async def test_closed_socket(loop: asyncio.AbstractEventLoop) -> None:
    sock = socket.socket()
    sock.setblocking(False)
    sock.close()
    for operation in ("recv", "recv_into", "sendall"):
        with pytest.raises((OSError, ValueError)):
            await OPERATIONS[operation](loop, sock)


async def test_they_are_coroutines(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    """What people do with coroutines works: tasks, wait_for, gather, closing unstarted."""
    near, far = pair
    unstarted = loop.sock_recv(near, 10)
    assert asyncio.iscoroutine(unstarted)
    assert not asyncio.isfuture(unstarted)
    unstarted.close()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(loop.sock_recv(near, 10), 0.001)
    far.send(b"ab")
    task = loop.create_task(loop.sock_recv(near, 1))
    assert await asyncio.gather(task) == [b"a"]
    assert await asyncio.wait_for(loop.sock_recv(near, 1), 10) == b"b"
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        loop.sock_recv(near, 1)  # type: ignore[unused-coroutine]
