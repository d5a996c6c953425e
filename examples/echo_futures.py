"""An echo server and its client written as futures: `sock_*` and `add_done_callback`.

Each operation on a plain socket gives something to wait for, and a callback on it starts the next
operation. This is what a coroutine does for you: compare it with echo_coroutines.py, which says
the same in half the lines. Callbacks on futures are for code that cannot be a coroutine.

Runs by `aioxide.run` with asyncio's names: the `sock_*` methods are the loop's.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import aioxide

CLIENTS, MESSAGES = 5, 200

T = TypeVar("T")


class Conversation:
    """One socket, and what is to happen to it next."""

    all: ClassVar[set[Conversation]] = set()

    def __init__(self, sock: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = False
        self.sock = sock
        sock.setblocking(False)
        self.all.add(self)

    def then(self, operation: Coroutine[Any, Any, T], callback: Callable[[T], object]) -> None:
        """Start an operation, and call back with its result. An error ends the conversation."""

        def done(task: asyncio.Task[T]) -> None:
            if self.stopped or task.cancelled():
                self.end(None)
            elif error := task.exception():
                self.end(error)
            else:
                callback(task.result())

        self.step = asyncio.ensure_future(operation)
        self.step.add_done_callback(done)

    def stop(self) -> None:
        """Cancel the step that is under way, and take no other."""
        self.stopped = True
        self.step.cancel()

    def end(self, error: BaseException | None) -> None:
        self.sock.close()
        self.all.discard(self)


class Listener(Conversation):
    """The server: accepts one connection after the other."""

    def accept(self) -> None:
        self.then(self.loop.sock_accept(self.sock), self.accepted)

    def accepted(self, connection: tuple[socket.socket, Any]) -> None:
        Echo(connection[0]).receive(None)
        self.accept()


class Echo(Conversation):
    """One connection of the server: receives and sends in turns."""

    def receive(self, _: object) -> None:
        self.then(self.loop.sock_recv(self.sock, 4096), self.received)

    def received(self, data: bytes) -> None:
        if data:
            self.then(self.loop.sock_sendall(self.sock, data), self.receive)
        else:
            self.end(None)


class Client(Conversation):
    """Sends a message, receives its echo, sends the next; `echoed` is done at the end."""

    def __init__(self, number: int, address: tuple[str, int]) -> None:
        super().__init__(socket.socket())
        self.message = f"client {number} says hello\n".encode()
        self.left = MESSAGES
        self.echoed: asyncio.Future[int] = self.loop.create_future()
        self.then(self.loop.sock_connect(self.sock, address), self.send)

    def send(self, _: object) -> None:
        self.then(self.loop.sock_sendall(self.sock, self.message), self.receive)

    def receive(self, _: object) -> None:
        self.then(self.loop.sock_recv(self.sock, len(self.message)), self.received)

    def received(self, data: bytes) -> None:
        assert data == self.message
        self.left -= 1
        self.send(None) if self.left else self.end(None)

    def end(self, error: BaseException | None) -> None:
        super().end(error)
        if error:
            self.echoed.set_exception(error)
        elif not self.echoed.done():  # if not cancelled
            self.echoed.set_result(MESSAGES - self.left)


async def main() -> None:
    listener = Listener(socket.create_server(("127.0.0.1", 0)))
    listener.accept()
    print("an echo server of futures listens on loopback")
    clients = [Client(number, listener.sock.getsockname()) for number in range(CLIENTS)]
    try:
        echoed = await asyncio.gather(*(client.echoed for client in clients))
    finally:
        # Nobody waits for what callbacks have started: it has to be stopped by hand.
        for conversation in Conversation.all:
            conversation.stop()
    for number, messages in enumerate(echoed):
        print(f"client {number}: {messages} messages echoed")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
