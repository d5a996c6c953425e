"""Non-blocking sockets, asked again and again: one thread for all connections, and no rest.

A socket that would have to wait raises BlockingIOError instead, and the program goes on to the
next. That is all it takes to have many requests under way in one thread. What is missing is
somebody who says when there is something to do: the loop keeps a whole core busy with asking, and
most of its system calls answer that nothing has happened.
"""

from __future__ import annotations

import socket
from collections import deque

from .crawl import FIRST, Crawl, Document, read
from .wire import Response, request


class Connection:
    """One connection, and how far its present request has come."""

    def __init__(self, crawl: Crawl) -> None:
        self._host = crawl.host
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex((crawl.host, crawl.port))  # only begun when this returns

    def begin(self, path: str) -> None:
        self._path = path
        self._unsent = request(self._host, path)
        self._response = Response()

    def step(self) -> Document | None:
        """Do what can be done now; returns the document if that was the last of it."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            body = self._response.feed(self._socket.recv(1 << 16))
        except BlockingIOError:
            return None
        return None if body is None else read(self._path, body)

    def close(self) -> None:
        self._socket.close()


def run(crawl: Crawl) -> None:
    todo = deque([FIRST])
    idle: list[Connection] = []
    busy: list[Connection] = []
    while todo or busy:
        while todo and len(busy) < crawl.concurrency:
            connection = idle.pop() if idle else Connection(crawl)
            connection.begin(todo.popleft())
            busy.append(connection)
        for connection in busy[:]:
            if document := connection.step():
                todo += crawl.add(document)
                busy.remove(connection)
                idle.append(connection)
    for connection in idle:
        connection.close()
