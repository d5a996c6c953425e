"""As much HTTP/1.1 as it takes to ask this site for a document, for the ways without a client."""

from __future__ import annotations

import re

END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)


def request(host: str, path: str) -> bytes:
    """A request that leaves the connection open for the next one."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def body_length(head: bytes) -> int:
    """How many bytes follow this head; raises ValueError if it is not of a document."""
    found = LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200 ") or found is None:
        raise ValueError(f"not a document: {head.partition(END)[0]!r}")
    return int(found[1])


class Response:
    """A response that comes in pieces."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._start = 0
        self._size: int | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Add what has come; returns the body once it is complete."""
        if not data:
            raise ConnectionError("the site closed the connection")
        self._received += data
        if self._size is None:
            at = self._received.find(END)
            if at < 0:
                return None
            self._start = at + len(END)
            self._size = self._start + body_length(bytes(self._received[: self._start]))
        if len(self._received) < self._size:
            return None
        return bytes(self._received[self._start : self._size])
