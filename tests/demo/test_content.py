"""The site's content: reachable, varied, and what it says it is."""

from __future__ import annotations

import struct
import zlib

import pytest

from aioxide.demo import content
from aioxide.demo.ways.crawl import LINK, PNG, read


def links(body: bytes) -> set[str]:
    return {link.decode() for link in LINK.findall(body) if link.startswith(b"/")}


@pytest.mark.parametrize(("pages", "images"), [(1, 0), (2, 7), (40, 3), (60, 120)])
def test_crawling_from_the_root_finds_everything(pages: int, images: int) -> None:
    site = content.build(pages, images)
    assert (len(site.pages), len(site.images)) == (pages, images)
    found, todo = {"/"}, ["/"]
    while todo:
        new = links(site.documents[todo.pop()]) - found
        found |= new
        todo += [path for path in new if path in site.pages]
    assert found == set(site.documents)


def test_no_page_gives_everything_away() -> None:
    site = content.build(60, 120)
    assert all(len(links(body)) < 60 for body in site.pages.values())


def test_links_agree_with_an_html_parser() -> None:
    from html.parser import HTMLParser

    class Parser(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            wanted = {"a": "href", "img": "src"}.get(tag)
            self.found += [value.split("#")[0] for name, value in attrs if name == wanted and value]

    site = content.build(20, 30)
    for body in site.pages.values():
        parser = Parser()
        parser.feed(body.decode())
        assert [link.decode() for link in LINK.findall(body)] == parser.found
        assert "https://example.org/" in parser.found  # and is not followed


def test_content_is_the_same_every_time() -> None:
    first, second = content.build(10, 20), content.build(10, 20)
    assert first == second
    assert first.signature() == second.signature()
    assert first.signature() != content.build(10, 21).signature()


def test_sizes_are_within_their_ranges_and_vary() -> None:
    site = content.build(80, 160)
    for documents, (smallest, _, largest) in (
        (site.pages, content.PAGE_SIZES),
        (site.images, content.IMAGE_SIZES),
    ):
        sizes = sorted(map(len, documents.values()))
        assert smallest * 0.9 <= sizes[0]
        assert sizes[-1] <= largest * 1.1
        assert len(set(sizes)) > len(sizes) / 2


def test_images_are_valid_png() -> None:
    for body in content.build(1, 10).images.values():
        width, height, rows = decoded(body)
        assert len(rows) == height * (1 + 3 * width)
        assert set(rows[:: 1 + 3 * width]) == {0}  # the filter of each row: none


def decoded(png: bytes) -> tuple[int, int, bytes]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks.append((kind, data))
        at += 12 + length
    assert chunks[0][0] == b"IHDR"
    assert chunks[-1] == (b"IEND", b"")
    width, height = struct.unpack_from(">II", chunks[0][1])
    rows = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    return width, height, rows


def test_read_finds_what_is_to_be_fetched() -> None:
    body = content.build(2, 2).pages["/"]
    document = read("/", body)
    assert document.is_page
    assert document.size == len(body)
    assert set(document.links) == links(body)


def test_read_takes_no_links_out_of_an_image() -> None:
    document = read("/x.png", PNG + b'<a href="/y.html">')
    assert (document.is_page, document.links) == (False, [])
