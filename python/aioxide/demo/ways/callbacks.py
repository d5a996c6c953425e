"""A selector says which sockets are ready, and calls what was registered for each.

Now the thread sleeps in the kernel until there is something to do: this is what every event loop is
made of. The price is the shape of the code. What was one function is cut in pieces wherever it
waits; what the pieces have in common has to be kept in an object; and an error has no caller to be
raised in.
"""

from __future__ import annotations

import socket
from collections import deque
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from .crawl import FIRST, Crawl, read
from .wire import Response, request


class Fetcher:
    """The loop, and who may fetch what next."""

    def __init__(self, crawl: Crawl) -> None:
        self.crawl = crawl
        self.selector = DefaultSelector()
        self._todo = deque([FIRST])
        self._idle: list[Connection] = []
        self._connections = 0

    def run(self) -> None:
        self._hand_out()
        while self.selector.get_map():
            for key, _ in self.selector.select():
                key.data()
        for connection in self._idle:
            connection.socket.close()
        self.selector.close()

    def fetched(self, connection: Connection, path: str, body: bytes) -> None:
        self._todo += self.crawl.add(read(path, body))
        self._idle.append(connection)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._todo:
            if self._idle:
                connection = self._idle.pop()
            elif self._connections < self.crawl.concurrency:
                connection = Connection(self)
                self._connections += 1
            else:
                break
            connection.begin(self._todo.popleft())


class Connection:
    """One connection: `begin`, then `_writable` and `_readable` as the selector sees fit."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((fetcher.crawl.host, fetcher.crawl.port))

    def begin(self, path: str) -> None:
        self._path = path
        self._unsent = request(self._fetcher.crawl.host, path)
        self._response = Response()
        self._fetcher.selector.register(self.socket, EVENT_WRITE, self._writable)

    def _writable(self) -> None:
        self._unsent = self._unsent[self.socket.send(self._unsent) :]
        if not self._unsent:
            self._fetcher.selector.modify(self.socket, EVENT_READ, self._readable)

    def _readable(self) -> None:
        body = self._response.feed(self.socket.recv(1 << 16))
        if body is not None:
            self._fetcher.selector.unregister(self.socket)
            self._fetcher.fetched(self, self._path, body)


def run(crawl: Crawl) -> None:
    Fetcher(crawl).run()
