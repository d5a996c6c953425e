"""What all ways share: what a document is, and which ones have been seen.

None of this waits, and none of it knows how a document was fetched. Links are found by one regular
expression, which costs about what the C parsers of real crawlers cost (lxml, selectolax);
html.parser, in Python, would be half of the whole work and make all ways look alike.
"""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from multiprocessing.process import BaseProcess

LINK = re.compile(rb"""<(?:a|img)\b[^>]*?\s(?:href|src)\s*=\s*["']([^"'#]+)""", re.IGNORECASE)
PNG = b"\x89PNG"
FIRST = "/"
PROGRESS_EVERY = 0.1  # seconds


class Document(NamedTuple):
    """What is kept of a response: small enough to be sent from one process to another."""

    is_page: bool
    size: int
    checksum: int
    links: list[str]


def read(path: str, body: bytes) -> Document:
    """Look through a body: its size, its checksum, and the links that stay on the site."""
    links = []
    if is_page := not body.startswith(PNG):
        links = [link.decode() for link in LINK.findall(body) if link.startswith(b"/")]
    return Document(is_page, len(body), zlib.crc32(body, zlib.crc32(path.encode())), links)


@dataclass
class Crawl:
    """One crawl: where the site is, how much may be done at a time, and what was found so far."""

    host: str
    port: int
    concurrency: int  # requests at a time, wherever they are made
    processes: int  # the size of a pool of processes
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    tell: Callable[[int], object] | None = None
    pages: int = 0
    images: int = 0
    bytes: int = 0
    signature: int = 0
    workers_kib: int = 0
    seen: set[str] = field(default_factory=lambda: {FIRST})
    _told: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def add(self, document: Document) -> list[str]:
        """Count a document that has been fetched; returns the paths to fetch because of it."""
        self.bytes += document.size
        self.signature += document.checksum
        if document.is_page:
            self.pages += 1
        else:
            self.images += 1
        self._report()
        new = [path for path in dict.fromkeys(document.links) if path not in self.seen]
        self.seen.update(new)
        return new

    def weigh(self, workers: Iterable[BaseProcess]) -> None:
        """Note the memory of worker processes, while they are still there."""
        self.workers_kib = sum(peak_kib(str(worker.pid)) for worker in workers)

    def _report(self) -> None:
        now = time.monotonic()
        if self.tell is not None and now - self._told >= PROGRESS_EVERY:
            self._told = now
            self.tell(self.pages + self.images)


def peak_kib(pid: str) -> int:
    """The largest resident size that a process has had, in KiB; 0 where /proc does not say.

    Not ru_maxrss, which starts with that of the process that started this one.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0
