"""The site: serves its content, and counts what it was asked for."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aioxide.demo import content, options, rounds
from aioxide.demo import site as site_module
from aioxide.demo.child import Child, ChildFailed

SMALL = ["--pages=5", "--images=8", "--delay-ms=1", "--no-scheduling"]


@pytest.fixture
def site() -> Iterator[tuple[Child, dict[str, Any]]]:
    with rounds.site(options.parse(SMALL)) as child:
        yield child, child.hear()


def exchange(port: int, request: bytes, answers: int) -> list[tuple[bytes, bytes]]:
    """Send this over one connection and read that many responses, each as (head, body)."""
    found = []
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rwb") as file:
        file.write(request)
        file.flush()
        for _ in range(answers):
            head = b"".join(iter(file.readline, b"\r\n"))
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            found.append((head, file.read(int(length[1]))))
    return found


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_site_says_what_it_has(site: tuple[Child, dict[str, Any]]) -> None:
    _, offer = site
    expected = content.build(5, 8)
    assert (offer["pages"], offer["images"]) == (5, 8)
    assert offer["bytes"] == sum(map(len, expected.documents.values()))
    assert offer["signature"] == expected.signature()


def test_site_serves_its_content_over_one_connection(site: tuple[Child, dict[str, Any]]) -> None:
    child, offer = site
    expected = content.build(5, 8).documents
    answers = exchange(offer["port"], b"".join(map(get, expected)), len(expected))
    assert [body for _, body in answers] == list(expected.values())
    for path, (head, _) in zip(expected, answers, strict=True):
        kind = b"image/png" if path.endswith(".png") else b"text/html"
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: " + kind in head
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (13, 13, 0)


def test_site_counts_what_should_not_happen_and_starts_anew(
    site: tuple[Child, dict[str, Any]],
) -> None:
    child, offer = site
    requests = get("/") + get("/") + get("/missing") + b"POST / HTTP/1.1\r\n\r\n"
    answers = exchange(offer["port"], requests, 4)
    statuses = [head.split()[1] for head, _ in answers]
    assert statuses == [b"200", b"200", b"404", b"400"]
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (2, 1, 2)
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (0, 0, 0)


def test_site_puts_together_requests_that_come_in_pieces(
    site: tuple[Child, dict[str, Any]],
) -> None:
    _, offer = site
    with socket.create_connection(("127.0.0.1", offer["port"])) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/"):
            sock.sendall(bytes([byte]))
        assert sock.recv(15) == b"HTTP/1.1 200 OK"


def test_site_ends_when_its_parent_is_gone() -> None:
    words = [sys.executable, "-m", "aioxide.demo.site"]
    words += ["--pages=1", "--images=0", "--delay-ms=0"]
    done = subprocess.run(words, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["pages"] == 1


def test_site_counts_connections_and_what_waits_at_a_time(
    site: tuple[Child, dict[str, Any]],
) -> None:
    child, offer = site
    exchange(offer["port"], get("/") + get("/"), 2)
    exchange(offer["port"], get("/"), 1)
    child.tell("report")
    report = child.hear()
    # On one connection requests are answered in order, so only one of them waits.
    assert (report["connections"], report["in_flight"]) == (2, 1)
    child.tell("report")
    report = child.hear()
    assert (report["connections"], report["in_flight"]) == (0, 0)


def test_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            rounds.site(options.parse([*SMALL, f"--port={port}"])) as child,
            pytest.raises(ChildFailed, match=f"port {port} is in use; --port=0 takes any"),
        ):
            child.hear()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EADDRINUSE, "port 80 is in use"),
        (errno.EACCES, "this user may not listen on port 80"),
        (errno.EPERM, "this user may not listen on port 80"),
        (errno.ENOBUFS, "cannot listen on port 80: No buffer space available"),
    ],
)
def test_port_that_cannot_be_had_comes_with_what_to_do(code: int, reason: str) -> None:
    said = site_module.no_port(80, OSError(code, os.strerror(code)))
    assert said == f"{reason}; --port=0 takes any that is free"
