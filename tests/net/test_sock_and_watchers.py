"""sock_* operations and callbacks of add_reader on one descriptor, and on numbers used again."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from helpers import cancelled_and_done, recv_exactly, tcp_pair, turns, until

pytestmark = pytest.mark.usefixtures("loop")
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = tcp_pair()
    with near, far:
        yield near, far


async def waited(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, peer: socket.socket, data: bytes
) -> None:
    """Receive something that was not there yet."""
    task = loop.create_task(loop.sock_recv(sock, 100))
    await turns(2)
    peer.send(data)
    assert await task == data


async def test_waiting_again_and_again(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    for _ in range(5):
        await waited(loop, near, far, b"near")
        await waited(loop, far, near, b"far")


async def test_nobody_waits_and_data_comes(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    await waited(loop, near, far, b"first")
    far.send(b"unread")
    await turns(5)
    assert await loop.sock_recv(near, 100) == b"unread"
    await waited(loop, near, far, b"last")


async def test_a_callback_after_an_operation(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    await waited(loop, near, far, b"first")
    heard: list[bytes] = []
    loop.add_reader(near, lambda: heard.append(near.recv(1)))
    far.send(b"abc")
    await until(lambda: len(heard) == 3)  # told as long as there is something
    assert loop.remove_reader(near)
    assert not loop.remove_reader(near)
    await waited(loop, near, far, b"last")


async def test_a_callback_beside_an_operation(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    receiving = loop.create_task(loop.sock_recv(near, 100))
    await turns(2)
    calls: list[int] = []
    loop.add_writer(near, calls.append, 1)
    await until(lambda: len(calls) > 2)
    assert loop.remove_writer(near)
    far.send(b"still waiting")
    assert await receiving == b"still waiting"

    heard: list[bytes] = []
    data = b"d" * (4 << 20)
    sending = loop.create_task(loop.sock_sendall(near, data))
    await turns(2)
    assert not sending.done()
    loop.add_reader(near, lambda: heard.append(near.recv(100)))
    far.send(b"in between")
    await until(lambda: heard)
    assert loop.remove_reader(near)
    assert await recv_exactly(far, len(data)) == data
    await sending


async def test_a_callback_takes_an_operation_s_place(
    loop: asyncio.AbstractEventLoop, pair: Pair
) -> None:
    near, far = pair
    receiving = loop.create_task(loop.sock_recv(near, 100))
    await turns(2)
    heard: list[bytes] = []
    loop.add_reader(near, lambda: heard.append(near.recv(100)))
    far.send(b"for the callback")
    await until(lambda: heard)
    assert not receiving.done()
    await cancelled_and_done(receiving)
    assert loop.remove_reader(near)  # the end of the operation has not removed it


@pytest.mark.parametrize("duplicated", [False, True])
async def test_numbers_used_again(loop: asyncio.AbstractEventLoop, duplicated: bool) -> None:
    """The kernel may still know the file behind a closed number, if it was duplicated."""
    for _ in range(5):
        near, far = tcp_pair()
        await waited(loop, near, far, b"near")
        await waited(loop, far, near, b"far")
        copy = os.dup(near.fileno()) if duplicated else None
        near.close()
        far.close()
        near, far = tcp_pair()
        with near, far:
            await waited(loop, near, far, b"another")
            await waited(loop, far, near, b"and another")
        if copy is not None:
            os.close(copy)


async def test_a_transport_after_an_operation(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    near, far = pair
    await waited(loop, near, far, b"first")
    reader, writer = await asyncio.open_connection(sock=near)
    far.send(b"second")
    assert await reader.readexactly(6) == b"second"
    with pytest.raises(RuntimeError, match="is used by transport"):
        await loop.sock_recv(near, 10)
    writer.write(b"answer")
    assert await recv_exactly(far, 6) == b"answer"
    writer.close()
    await writer.wait_closed()
