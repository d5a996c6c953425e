"""The order of callbacks when the program itself changes what the kernel reports.

Libraries rely on it: data that a file descriptor has when it is closed elsewhere in the same step,
a pipe that is read before another's connection_lost. A random program runs on stock asyncio and on
aioxide, and both must call the same callbacks in the same order.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
from typing import Any

import pytest

from helpers import implementation, turns

STEPS = 120


@pytest.mark.usefixtures("loop")
async def test_data_of_one_pipe_comes_before_the_end_of_another() -> None:
    """A library that redirects a process's input opens the new pipe, then closes the old one."""
    loop = asyncio.get_running_loop()
    order: list[str] = []

    class Pipe(asyncio.Protocol):
        def __init__(self, name: str) -> None:
            self.name = name

        def data_received(self, data: bytes) -> None:
            order.append(f"{self.name} {data!r}")

        def connection_lost(self, exc: Exception | None) -> None:
            order.append(f"{self.name} lost")

    async def opened(name: str, data: bytes) -> tuple[asyncio.ReadTransport, int]:
        read, write = os.pipe()
        os.write(write, data)
        transport, _ = await loop.connect_read_pipe(lambda: Pipe(name), os.fdopen(read, "rb"))
        return transport, write

    for _ in range(20):
        order.clear()
        old, old_write = await opened("old", b"first")
        await turns(2)
        new, new_write = await opened("new", b"second")
        old.close()
        await turns(3)
        assert order == ["old b'first'", "new b'second'", "old lost"]
        new.close()
        os.close(old_write)
        os.close(new_write)
        await turns(2)


class Random:
    """A program of random steps on pipes, socket pairs, transports and callbacks."""

    def __init__(self, seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.order: list[str] = []
        self.names = 0
        self.pairs: list[tuple[str, socket.socket, socket.socket]] = []
        self.transports: list[tuple[str, Any, Any]] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self.receiving: set[str] = set()

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind} {self.names}"

    async def run(self) -> list[str]:
        actions = [
            self.open_pair,
            self.open_pipe,
            self.open_connection,
            self.send,
            self.send,
            self.write,
            self.write,
            self.send_from_a_thread,
            self.watch,
            self.unwatch,
            self.close_pair,
            self.close_transport,
            self.call,
            self.receive,
            self.pause,
        ]
        for step in range(STEPS):
            self.order.append(f"step {step}")
            for _ in range(self.random.randrange(1, 4)):
                self.random.choice(actions)()
            for _ in range(self.random.choice([1, 1, 1, 2, 3])):
                await asyncio.sleep(0)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.receiving.clear()
        while self.pairs:
            self.close_pair()
        for _, transport, other in self.transports:
            transport.abort() if hasattr(transport, "abort") else transport.close()
            if isinstance(other, int):
                os.close(other)
            else:
                other.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.order

    def open_pair(self) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self.pairs.append((self.name("pair"), near, far))

    def open_pipe(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        if self.random.random() < 0.5:
            os.write(write, b"early")
        file = os.fdopen(read, "rb")
        self.tasks.append(
            self.loop.create_task(self.opened("pipe", self.loop.connect_read_pipe, file, write))
        )

    def open_connection(self) -> None:
        near, far = socket.socketpair()
        far.setblocking(False)

        def connect(factory: Any, sock: socket.socket) -> Any:
            return self.loop.create_connection(factory, sock=sock)

        self.tasks.append(self.loop.create_task(self.opened("connection", connect, near, far)))

    async def opened(self, kind: str, connect: Any, file: Any, other: Any) -> None:
        name = self.name(kind)
        try:
            transport, _ = await connect(lambda: Noting(self, name), file)
        except BaseException:
            file.close()
            os.close(other) if isinstance(other, int) else other.close()
            raise
        self.order.append(f"{name} opened")
        self.transports.append((name, transport, other))

    def send(self) -> None:
        if self.pairs:
            self.random.choice(self.pairs)[2].send(b"x")

    def send_from_a_thread(self) -> None:
        if self.pairs:
            far = self.random.choice(self.pairs)[2]
            thread = threading.Thread(target=far.send, args=(b"x",))
            thread.start()
            thread.join()

    def write(self) -> None:
        """Write to a transport, or from outside to what it reads."""
        if not self.transports:
            return
        _, transport, other = self.random.choice(self.transports)
        try:
            if isinstance(other, int):
                os.write(other, b"data")
            elif self.random.random() < 0.5:
                other.send(b"data")
            elif not transport.is_closing():
                transport.write(b"data")
        except OSError:
            pass

    def watch(self) -> None:
        if not self.pairs:
            return
        name, near, _ = self.random.choice(self.pairs)
        if self.random.random() < 0.7:
            self.loop.add_reader(near, self.readable, name, near)
        else:
            self.loop.add_writer(near, self.writable, name, near)

    def readable(self, name: str, sock: socket.socket) -> None:
        self.order.append(f"{name} readable")
        if self.random.random() < 0.5:
            self.loop.remove_reader(sock)
        else:
            sock.recv(self.random.choice([1, 100]))

    def writable(self, name: str, sock: socket.socket) -> None:
        self.order.append(f"{name} writable")
        self.loop.remove_writer(sock)

    def unwatch(self) -> None:
        if self.pairs:
            self.loop.remove_reader(self.random.choice(self.pairs)[1])

    def close_pair(self) -> None:
        if not self.pairs:
            return
        at = self.random.randrange(len(self.pairs))
        if self.pairs[at][0] in self.receiving:
            # On asyncio the next socket with its number would be deaf.
            return
        pair = self.pairs.pop(at)
        self.loop.remove_reader(pair[1])
        self.loop.remove_writer(pair[1])
        pair[1].close()
        pair[2].close()

    def close_transport(self) -> None:
        if not self.transports:
            return
        at = self.random.randrange(len(self.transports))
        _, transport, other = self.transports[at]
        if self.random.random() < 0.3 and not transport.is_closing():
            self.transports.pop(at)
            # The other end first: both events are there at the next poll.
            os.close(other) if isinstance(other, int) else other.close()
        transport.close()

    def call(self) -> None:
        name = self.name("call")
        if self.random.random() < 0.5:
            self.loop.call_soon(self.order.append, name)
        else:
            self.loop.call_soon(self.loop.call_soon, self.order.append, name)

    def receive(self) -> None:
        if self.pairs:
            name, near, far = self.random.choice(self.pairs)
            self.receiving.add(name)
            self.tasks.append(self.loop.create_task(self.received(name, far)))
            near.send(b"answer")

    async def received(self, name: str, sock: socket.socket) -> None:
        try:
            data = await self.loop.sock_recv(sock, self.random.choice([1, 100]))
        except OSError as error:
            self.order.append(f"{name} {type(error).__name__}")
        else:
            self.order.append(f"{name} got {data!r}")

    def pause(self) -> None:
        if self.transports:
            _, transport, _ = self.random.choice(self.transports)
            if transport.is_reading():
                transport.pause_reading()
            else:
                transport.resume_reading()


class Noting(asyncio.Protocol):
    """Writes down each call it gets, and answers some."""

    def __init__(self, program: Random, name: str) -> None:
        self.program = program
        self.name = name

    def connection_made(self, transport: Any) -> None:
        self.program.order.append(f"{self.name} made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.program.order.append(f"{self.name} received {data!r}")
        if self.program.random.random() < 0.2:
            self.transport.close()

    def eof_received(self) -> None:
        self.program.order.append(f"{self.name} eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.program.order.append(f"{self.name} lost")


def recorded(name: str, seed: int) -> list[str]:
    loop = implementation(name).new_event_loop()
    try:
        return loop.run_until_complete(run(seed))
    finally:
        loop.close()


async def run(seed: int) -> list[str]:
    return await Random(seed).run()


@pytest.mark.aioxide_only
@pytest.mark.parametrize("seed", range(40))
def test_a_random_program(seed: int) -> None:
    expected = recorded("asyncio", seed)
    assert recorded("aioxide", seed) == expected
    assert len(expected) > STEPS
