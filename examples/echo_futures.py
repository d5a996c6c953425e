"""An echo server and its client written as futures: `sock_*` and `add_done_callback`.

Each operation on a plain socket gives something to wait for, and a callback on it starts the next
operation. This is what a coroutine does for you: compare it with echo_coroutines.py, which says
the same in half the lines. Callbacks on futures are for code that cannot be a coroutine.

Runs by `aioxide.run` with asyncio's names: the `sock_*` methods are the loop's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from _support import command_line

import aioxide

CLIENTS, MESSAGES = 5, 400

T = TypeVar("T")


def then(operation: Coroutine[Any, Any, T], callback: Callable[[T], object]) -> asyncio.Task[T]:
    """Start an operation, and call back with its result; an error ends the conversation."""

    def done(task: asyncio.Task[T]) -> None:
        if not task.cancelled() and task.exception() is None:
            callback(task.result())

    task = asyncio.ensure_future(operation)
    task.add_done_callback(done)
    return task


class Echo:
    """The server: accepts, and for each connection receives and sends in turns."""

    def __init__(self, listener: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        self.listener = listener
        self.accept()

    def accept(self) -> None:
        # The loop refers to a task only weakly, so that somebody has to hold it.
        self.accepting = then(self.loop.sock_accept(self.listener), self.accepted)

    def accepted(self, connection: tuple[socket.socket, Any]) -> None:
        self.receive(connection[0])
        self.accept()

    def receive(self, sock: socket.socket) -> None:
        then(self.loop.sock_recv(sock, 4096), lambda data: self.received(sock, data))

    def received(self, sock: socket.socket, data: bytes) -> None:
        if data:
            then(self.loop.sock_sendall(sock, data), lambda _: self.receive(sock))
        else:
            sock.close()


class Client:
    """Sends a message, receives its echo, sends the next; `finished` is done at the end."""

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[int] = self.loop.create_future()
        self.message = f"{name} says hello\n".encode()
        self.echoed = 0
        self.sock = socket.socket()
        self.sock.setblocking(False)
        then(self.loop.sock_connect(self.sock, address), self.send)

    def send(self, _: object) -> None:
        then(self.loop.sock_sendall(self.sock, self.message), self.receive)

    def receive(self, _: object) -> None:
        then(self.loop.sock_recv(self.sock, len(self.message)), self.received)

    def received(self, data: bytes) -> None:
        assert data == self.message
        self.echoed += 1
        if self.echoed < MESSAGES:
            self.send(None)
        else:
            self.sock.close()
            self.finished.set_result(self.echoed)


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = Echo(listener)
        print("an echo server of futures listens on loopback")
        clients = [Client(f"client {n}", listener.getsockname()) for n in range(CLIENTS)]
        echoed = await asyncio.gather(*(client.finished for client in clients))
        server.accepting.cancel()
        await asyncio.wait([server.accepting])
    for number, messages in enumerate(echoed):
        print(f"client {number}: {messages} messages echoed")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
