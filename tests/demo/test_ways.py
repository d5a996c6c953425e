"""Each way by itself: fetches what there is, is short and explained."""

from __future__ import annotations

import pytest

from aioxide.demo import content, options, rounds
from aioxide.demo.results import Results
from aioxide.demo.ways import WAYS, Way
from aioxide.demo.ways.wire import Response, body_length
from demo_helpers import TINY, Told

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n"
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@each_way
def test_way_fetches_exactly_the_content_of_the_site_on_every_loop(way: Way) -> None:
    here, missing = rounds.chosen([way.name])
    if not here:
        pytest.skip(f"not installed: {', '.join(missing)}")
    found = Results()
    chosen = options.parse([*TINY, "--rounds=2", "--no-scheduling"])
    rounds.crawl_all(chosen, here, Told(), found)
    assert found.failed == {}
    site = content.build(chosen.pages, chosen.images)
    assert list(found.runs) == here
    for run in (run for runs in found.runs.values() for run in runs):
        assert (run.pages, run.images) == (len(site.pages), len(site.images))
        assert run.bytes == sum(map(len, site.documents.values()))
        assert run.signature == site.signature()
        assert min(run.wall, run.cpu, run.peak_kib) > 0
        # Never more at a time than it may, and each connection used for more than one request.
        most = 1 if way.name == "blocking" else chosen.concurrency
        assert 1 <= run.in_flight <= run.connections <= most


@each_way
def test_way_says_what_its_idea_is(way: Way) -> None:
    assert way.idea().endswith(".")
    assert "\n" not in way.idea()


@each_way
def test_lines_are_those_of_code(way: Way) -> None:
    assert 10 < way.lines() < 150


def test_lines_include_helpers_but_not_what_all_share() -> None:
    lines = {way.name: way.lines() for way in WAYS}
    assert lines["processes"] > lines["threads"] > lines["blocking"]


def test_response_is_put_together_from_pieces() -> None:
    response = Response()
    pieces = [bytes([byte]) for byte in HEAD + b"hello"]
    assert [response.feed(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [b"hello"]


def test_response_without_a_body() -> None:
    assert Response().feed(HEAD.replace(b"5", b"0")) == b""


def test_response_that_breaks_off() -> None:
    response = Response()
    assert response.feed(HEAD + b"hell") is None
    with pytest.raises(ConnectionError, match="closed the connection"):
        response.feed(b"")


@pytest.mark.parametrize("head", [HEAD.replace(b"200", b"404"), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_head_that_is_not_of_a_document(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a document: b'HTTP/1\.1"):
        body_length(head)
