"""An echo server and its client written as callbacks: `Protocol` and `Transport`.

The loop calls a protocol when something has happened; nobody waits for anything. This is the
fastest of the three ways, and the one in which you keep the state of a conversation yourself. The
other two are in echo_futures.py and echo_coroutines.py.

Runs by `aioxide.run` with asyncio's names: `create_server` and the transports are the loop's.
"""

from __future__ import annotations

from _support import command_line

import asyncio
from functools import partial
from typing import cast

import aioxide

CLIENTS, MESSAGES = 5, 200


class Echo(asyncio.Protocol):
    """The server's end: what comes in goes out."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        # The client sends faster than it reads: read no more until it has caught up.
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class Client(asyncio.Protocol):
    """The client's end: sends a message, waits for its echo, sends the next."""

    def __init__(self, name: str, closed: asyncio.Future[int]) -> None:
        self.message = f"{name} says hello\n".encode()
        self.closed = closed
        self.echoed = 0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        self.received += data  # a message may come in pieces
        if len(self.received) < len(self.message):
            return
        assert self.received == self.message
        self.received = b""
        self.echoed += 1
        if self.echoed < MESSAGES:
            self.transport.write(self.message)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.done():
            return  # nobody waits any more
        if exc is None:
            self.closed.set_result(self.echoed)
        else:
            self.closed.set_exception(exc)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print("an echo server of callbacks listens on loopback")
    async with server:
        ends = []
        for number in range(CLIENTS):
            closed: asyncio.Future[int] = loop.create_future()
            new_client = partial(Client, f"client {number}", closed)
            await loop.create_connection(new_client, host, port)
            ends.append(closed)
        echoed = await asyncio.gather(*ends)
    for number, messages in enumerate(echoed):
        print(f"client {number}: {messages} messages echoed")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
