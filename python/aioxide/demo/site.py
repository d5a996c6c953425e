"""The site: an HTTP/1.1 server on loopback that must never be what the crawlers wait for.

So it is a bare protocol that answers with responses made in advance, on uvloop where that is
installed and on asyncio otherwise (never on aioxide: the server must not change with what is
compared). After the request it waits a little, as a site with a database would.

The parent talks to it through pipes, a JSON line each: at the start it says where it listens and
what it has; for each line on stdin it says what was asked for since the last one, over how many
connections, and how many requests were in its hands at a time; when stdin ends, because the parent
closed it or is gone, so does the site.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import json
import os
import sys
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from .content import build

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
TYPES = {".png": "image/png"}
END = b"\r\n\r\n"


class Site:
    """The responses, and what was asked for."""

    def __init__(self, documents: dict[str, bytes], delay: float) -> None:
        self.responses = {
            path.encode(): (_response("200 OK", body, path), _delay(path, delay))
            for path, body in documents.items()
        }
        self.missing = (_response("404 Not Found", b"no such page\n", ""), delay)
        self.refused = (_response("400 Bad Request", b"only GET is served\n", ""), delay)
        self.hits: Counter[bytes] = Counter()
        self.strays = 0
        self.connections = 0
        self.in_flight = self.most_in_flight = 0

    def respond(self, head: bytes) -> tuple[bytes, float]:
        """The response to this request, and after how many seconds."""
        method, _, rest = head.partition(b" ")
        path, _, version = rest.partition(b"\r\n")[0].partition(b" ")
        if method != b"GET" or version != b"HTTP/1.1":
            self.strays += 1
            return self.refused
        if path not in self.responses:
            self.strays += 1
            return self.missing
        self.hits[path] += 1
        return self.responses[path]

    def report(self) -> dict[str, Any]:
        """What was asked for since the last report."""
        report = {
            "requests": self.hits.total(),
            "documents": len(self.hits),
            "strays": self.strays,
            "connections": self.connections,
            "in_flight": self.most_in_flight,
            "cpu": time.process_time(),
        }
        self.hits.clear()
        self.strays = self.connections = 0
        self.most_in_flight = self.in_flight
        return report


def _response(status: str, body: bytes, path: str) -> bytes:
    kind = TYPES.get(path[-4:], "text/html; charset=utf-8")
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _delay(path: str, mean: float) -> float:
    """Between half and one and a half of the mean; always the same for a path."""
    return mean * (0.5 + zlib.crc32(path.encode()) % 1000 / 1000)


class Connection(asyncio.Protocol):
    """One kept-alive connection, whose requests are answered in order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._waiting: list[bytes] = []
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._site.connections += 1

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(END)
        self._waiting += heads
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            response, delay = self._site.respond(self._waiting.pop(0))
            self._site.in_flight += 1
            self._site.most_in_flight = max(self._site.most_in_flight, self._site.in_flight)
            self._loop.call_later(delay, self._send, response)

    def _send(self, response: bytes) -> None:
        self._site.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(response)
            self._next()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _listen_to_parent(site: Site, stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    fd = sys.stdin.fileno()

    def readable() -> None:
        data = os.read(fd, 4096)
        if not data:
            loop.remove_reader(fd)
            stop()
        for _ in range(data.count(b"\n")):
            _say(site.report())

    loop.add_reader(fd, readable)


def no_port(port: int, error: OSError) -> str:
    """Why the site cannot listen there, and what to do."""
    reasons = {errno.EADDRINUSE: f"port {port} is in use"}
    reasons |= dict.fromkeys(
        (errno.EACCES, errno.EPERM), f"this user may not listen on port {port}"
    )
    other = f"cannot listen on port {port}: {error.strerror or error}"
    return f"{reasons.get(error.errno or 0, other)}; --port=0 takes any that is free"


async def serve(pages: int, images: int, delay: float, port: int) -> None:
    content = build(pages, images)
    site = Site(content.documents, delay)
    ended = asyncio.Event()
    _listen_to_parent(site, ended.set)
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: Connection(site), HOST, port, backlog=1024)
    except OSError as error:
        raise SystemExit(no_port(port, error)) from None
    gc.freeze()  # the content, which lives until the end
    _say(
        {
            "port": server.sockets[0].getsockname()[1],
            "loop": type(loop).__module__.partition(".")[0],
            "pages": len(content.pages),
            "images": len(content.images),
            "bytes": sum(map(len, content.documents.values())),
            "signature": content.signature(),
        }
    )
    await ended.wait()
    server.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        import uvloop
    except ImportError:
        factory = asyncio.SelectorEventLoop
    else:
        factory = uvloop.new_event_loop
    return factory


def main() -> None:
    parser = argparse.ArgumentParser(description="The site of `aioxide demo`.")
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        delay = options.delay_ms / 1000
        runner.run(serve(options.pages, options.images, delay, options.port))


if __name__ == "__main__":
    main()
