"""File descriptors that are closed while the loop watches them, and reused by other files.

The kernel drops a registration when its open file is closed, whatever the loop's table says. On
asyncio a new file with the same number then gets no events, because the selector believes that the
number is registered. uvloop and aioxide register the new file.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from helpers import Recorder, finish_once, recv_exactly, turns

pytestmark = [pytest.mark.usefixtures("loop"), pytest.mark.aioxide_only]


def pair_at(number: int) -> tuple[socket.socket, socket.socket]:
    """Return a connected pair whose first socket has this number, which is free."""
    near, far = socket.socketpair()
    if near.fileno() != number:
        os.dup2(near.fileno(), number)
        near.close()
        near = socket.socket(fileno=number)
    near.setblocking(False)
    far.setblocking(False)
    return near, far


async def works(near: socket.socket, far: socket.socket) -> None:
    """Exchange bytes through a transport over `near`, and find `far` untouched by others."""
    reader, writer = await asyncio.open_connection(sock=near)
    far.send(b"question")
    assert await reader.readexactly(8) == b"question"
    writer.write(b"answer")
    assert await recv_exactly(far, 6) == b"answer"
    writer.close()
    await writer.wait_closed()
    far.close()


async def test_a_listening_socket_closed_before_its_server() -> None:
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(Recorder, sock=sock)
    number = sock.fileno()
    sock.close()
    server.close()
    assert loop.remove_reader(number) is False
    await works(*pair_at(number))


async def test_a_listening_socket_closed_whose_server_stays() -> None:
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(Recorder, sock=sock)
    number = sock.fileno()
    sock.close()
    await works(*pair_at(number))
    server.close()


async def test_a_unix_socket_closed_before_its_server(tmp_path: Any) -> None:
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "socket"))
    server = await loop.create_unix_server(Recorder, sock=sock)
    number = sock.fileno()
    sock.close()
    server.close()
    await works(*pair_at(number))


ADDED: dict[str, tuple[str, ...]] = {
    "reader": ("add_reader",),
    "writer": ("add_writer",),
    "both": ("add_reader", "add_writer"),
}


@pytest.mark.parametrize("added", ADDED)
async def test_a_transport_after_callbacks(added: str) -> None:
    """No callback of the closed socket runs for the new connection."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    number = near.fileno()
    called: list[str] = []
    for method in ADDED[added]:
        getattr(loop, method)(near, called.append, method)
    near.close()
    far.close()
    near, far = pair_at(number)
    reader, writer = await asyncio.open_connection(sock=near)
    await turns(3)
    called.clear()
    far.send(b"question")
    assert await reader.readexactly(8) == b"question"
    await turns(3)
    assert called == []
    writer.close()
    await writer.wait_closed()
    far.close()


@pytest.mark.parametrize("first", ["add_reader", "add_writer"])
@pytest.mark.parametrize("second", ["add_reader", "add_writer"])
async def test_a_callback_after_a_callback(first: str, second: str) -> None:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    number = near.fileno()
    stale: list[None] = []
    getattr(loop, first)(number, stale.append, None)
    near.close()
    far.close()
    near, far = pair_at(number)
    far.send(b"x")
    called: asyncio.Future[None] = loop.create_future()
    getattr(loop, second)(number, finish_once, called)
    await turns(1)
    stale.clear()
    await called
    await turns(3)
    assert stale == []
    loop.remove_reader(number)
    loop.remove_writer(number)
    near.close()
    far.close()


WAITS: dict[str, Callable[[asyncio.AbstractEventLoop, socket.socket], Any]] = {
    "recv": lambda loop, sock: loop.sock_recv(sock, 100),
    "recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(100)),
}


@pytest.mark.parametrize("how", WAITS)
async def test_an_operation_after_a_callback(how: str) -> None:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    number = near.fileno()
    stale: list[None] = []
    loop.add_writer(number, stale.append, None)
    near.close()
    far.close()
    near, far = pair_at(number)
    waiting = asyncio.ensure_future(WAITS[how](loop, near))
    await turns(2)
    stale.clear()
    far.send(b"x")
    assert await waiting
    await turns(3)
    assert stale == []
    near.close()
    far.close()


async def test_a_callback_after_an_operation() -> None:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    near.setblocking(False)
    number = near.fileno()
    waiting = asyncio.ensure_future(loop.sock_recv(near, 100))
    await turns(2)
    near.close()
    far.close()
    near, far = pair_at(number)
    called: asyncio.Future[None] = loop.create_future()
    loop.add_reader(near, finish_once, called)
    far.send(b"x")
    await called
    assert loop.remove_reader(near) is True
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    near.close()
    far.close()


async def test_events_of_a_file_that_lives_on_in_a_duplicate() -> None:
    """The kernel reports the old file under the old number; the new file hears nothing of it."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    number = near.fileno()
    loop.add_reader(number, list)
    copy = os.dup(number)
    near.close()
    near, other = pair_at(number)
    called: list[None] = []
    loop.add_reader(number, called.append, None)
    far.send(b"for the duplicate")
    await turns(40)
    assert called == []
    other.send(b"x")
    while not called:
        await turns(1)
    loop.remove_reader(number)
    os.close(copy)
    for sock in (near, far, other):
        sock.close()


async def test_a_connection_whose_socket_was_closed_under_it() -> None:
    """The number is the new connection's, whatever becomes of the old one."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    number = near.fileno()
    stale, _ = await loop.create_connection(Recorder, sock=near)
    stale.pause_reading()
    near.close()
    near, far_of_new = pair_at(number)
    reader, writer = await asyncio.open_connection(sock=near)
    stale.write(b"to nobody")
    stale.abort()
    await turns(3)
    far_of_new.send(b"question")
    assert await reader.readexactly(8) == b"question"
    writer.write(b"answer")
    writer.close()
    await writer.wait_closed()
    assert await recv_exactly(far_of_new, 100) == b"answer"
    far.close()
    far_of_new.close()
