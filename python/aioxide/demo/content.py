"""The site's content: linked HTML pages and PNG images, the same for the same numbers.

Sizes are log-normal, as those of real sites: most pages around 16 KiB and most images around
30 KiB, with a long tail. Every page can be reached from `/`, but no page names all others, so that
a crawler finds everything only by reading what it fetches. Links repeat, carry fragments, and some
lead elsewhere, which a crawler has to sort out.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import dataclass

KIB = 1024
PAGE_SIZES = (5 * KIB, 16 * KIB, 60 * KIB)  # smallest, median, largest
IMAGE_SIZES = (5 * KIB, 30 * KIB, 200 * KIB)
SPREAD = 0.7
CHILDREN = 6  # pages that a page introduces
CROSS_LINKS = 20  # links to pages anywhere on the site
WORDS = (
    *("the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be"),
    *("by", "on", "not", "his", "but", "at", "are", "this", "have", "from", "which", "one", "had"),
    *("kernel", "socket", "buffer", "timer", "signal", "packet", "future", "task", "queue"),
    *("loop", "thread", "stream", "event", "reader", "writer", "handle", "callback", "context"),
)


@dataclass(frozen=True)
class Content:
    """Every document of the site by its path."""

    pages: dict[str, bytes]
    images: dict[str, bytes]

    @property
    def documents(self) -> dict[str, bytes]:
        return self.pages | self.images

    def signature(self) -> int:
        """A checksum over all paths and bodies that does not depend on their order."""
        return sum(
            zlib.crc32(body, zlib.crc32(path.encode())) for path, body in self.documents.items()
        )


def build(pages: int, images: int) -> Content:
    """Make a site of that many pages and images."""
    rng = random.Random(2026)
    image_paths = [f"/images/figure-{number:04}.png" for number in range(images)]
    page_paths = ["/", *(f"/articles/{number:04}.html" for number in range(1, pages))]
    return Content(
        pages={
            path: _page(rng, number, page_paths, image_paths)
            for number, path in enumerate(page_paths)
        },
        images={path: png(rng, _size(rng, IMAGE_SIZES)) for path in image_paths},
    )


def _size(rng: random.Random, sizes: tuple[int, int, int]) -> int:
    smallest, median, largest = sizes
    return min(largest, max(smallest, int(rng.lognormvariate(math.log(median), SPREAD))))


def _page(rng: random.Random, number: int, pages: list[str], images: list[str]) -> bytes:
    introduced = pages[number * CHILDREN + 1 : (number + 1) * CHILDREN + 1]
    links = [*introduced, *rng.choices(pages, k=CROSS_LINKS)]
    # Each image has one page of its own, and most pages show another page's image as well.
    shown = images[number :: len(pages)] + rng.sample(images, k=min(len(images), rng.randrange(3)))
    anchors = [f'<a class="more" href="{link}#part-{rng.randrange(4)}">' for link in links]
    anchors += ['<a href="https://example.org/">', '<a href="mailto:reader@example.org">']
    blocks = [f"{anchor}{_text(rng, 4)}</a>" for anchor in anchors]
    blocks += [f'<img loading="lazy" src="{image}" alt="{_text(rng, 3)}">' for image in shown]
    rng.shuffle(blocks)
    head = f"<!doctype html>\n<html><head><title>Article {number}</title></head>\n<body>\n"
    parts, size = [head], len(head)
    wanted = _size(rng, PAGE_SIZES)
    while blocks or size < wanted:
        inside = blocks.pop() if blocks else ""
        part = f"<p>{_text(rng, 40)} {inside} {_text(rng, 40)}</p>\n"
        parts.append(part)
        size += len(part)
    parts.append("</body></html>\n")
    return "".join(parts).encode()


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def png(rng: random.Random, size: int) -> bytes:
    """A valid PNG of about that many bytes: RGB noise, which no encoder could make smaller."""
    width = max(1, math.isqrt(size // 4))
    height = max(1, size // (3 * width + 1))
    rows = b"".join(b"\0" + rng.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
