"""Generators that stop where they wait, driven by a loop over a selector: asyncio in 50 lines.

`yield` gives back control and keeps the place, so code that waits reads from top to bottom again,
and errors have a caller. What is yielded is a Future, a result that is not there yet; a Task is
what goes on with the generator when it is; the loop is the selector of the callbacks. It costs some
work for each step, and everything between the loop and the place that waits has to be a generator
too. `async` and `await` are this, with a syntax of its own.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any

from .crawl import FIRST, Crawl, Document, read
from .wire import Response, request

# The loop, its futures and its tasks


class Future:
    """Something that has not happened yet; `yield from` it to wait."""

    def __init__(self) -> None:
        self.waiting: Callable[[], object] | None = None

    def done(self) -> None:
        if self.waiting is not None:
            self.waiting()

    def __iter__(self) -> Iterator[Future]:
        yield self


Steps = Generator[Future, None, Any]


class Task:
    """A generator on its way: runs until it waits, and again when that has happened."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.step()

    def step(self) -> None:
        try:
            future = next(self._steps)
        except StopIteration:
            return
        future.waiting = self.step


class Loop:
    """Waits for sockets, and wakes who waits for them."""

    def __init__(self) -> None:
        self._selector = DefaultSelector()

    def run(self, steps: Steps) -> None:
        Task(steps)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                key.data.done()
        self._selector.close()

    def _ready(self, sock: socket.socket, event: int) -> Steps:
        future = Future()
        self._selector.register(sock, event, future)
        yield from future
        self._selector.unregister(sock)

    def sendall(self, sock: socket.socket, data: bytes) -> Steps:
        while data:
            yield from self._ready(sock, EVENT_WRITE)
            data = data[sock.send(data) :]

    def recv(self, sock: socket.socket) -> Steps:
        yield from self._ready(sock, EVENT_READ)
        return sock.recv(1 << 16)


# What is done with them


class Fetcher:
    """Workers, each a task: one that finds more to do than it can starts others."""

    def __init__(self, crawl: Crawl) -> None:
        self._crawl = crawl
        self._loop = Loop()
        self._todo = deque([FIRST])
        self._idle: list[socket.socket] = []
        self._workers = 0

    def run(self) -> None:
        self._loop.run(self._work())
        for sock in self._idle:
            sock.close()

    def _work(self) -> Steps:
        self._workers += 1
        while self._todo:
            path = self._todo.popleft()
            sock = self._idle.pop() if self._idle else self._connect()
            document = yield from self._fetch(sock, path)
            self._idle.append(sock)
            self._todo += self._crawl.add(document)
            while self._todo and self._workers < self._crawl.concurrency:
                Task(self._work())
        self._workers -= 1

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((self._crawl.host, self._crawl.port))
        return sock

    def _fetch(self, sock: socket.socket, path: str) -> Generator[Future, None, Document]:
        yield from self._loop.sendall(sock, request(self._crawl.host, path))
        response = Response()
        body = None
        while body is None:
            body = response.feed((yield from self._loop.recv(sock)))
        return read(path, body)


def run(crawl: Crawl) -> None:
    Fetcher(crawl).run()
