"""The load of datagrams counts what went through the server, and refuses servers that cheat."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from child import Child, Failed, running

SIZE = 1000


class Serving:
    """A blocking server that answers what a function makes of each datagram, if anything."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.received = 0
        self._answer = answer
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, address = self._sock.recvfrom(65536)
            if not data:
                return
            self.received += 1
            answer = self._answer(data)
            if answer is not None:
                self._sock.sendto(answer, address)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._sock.close()


@contextmanager
def loaded(
    loadgen: str, answer: Callable[[bytes], bytes | None], window: int = 3
) -> Iterator[tuple[Serving, Child]]:
    serving = Serving(answer)
    command = [loadgen, "udp-load", "--port", str(serving.port), "--size", str(SIZE)]
    command += [
        "--window",
        str(window),
        "--seconds",
        "0.1",
        "--warmup",
        "0.05",
        "--patience",
        "0.5",
    ]
    try:
        with running(command) as load:
            yield serving, load
    finally:
        serving.close()


def test_messages_are_those_the_server_saw(loadgen: str) -> None:
    with loaded(loadgen, lambda data: data) as (serving, load):
        assert load.line(10) == "ready"
        before = serving.received
        load.say()
        first = json.loads(load.line(10))
        load.say()
        result = json.loads(load.line(10))
        assert 0 < first["messages"] < result["messages"]
        assert serving.received - before == result["messages"]
        assert 0 < result["p50_ns"] <= result["p99_ns"] <= result["p999_ns"]


def test_the_window_is_what_is_in_flight(loadgen: str) -> None:
    """A server that keeps silent gets exactly the window, and no more."""
    with loaded(loadgen, lambda _: None, window=5) as (serving, load):
        with pytest.raises(Failed, match="5 answers are missing"):
            load.line(15)
        assert serving.received == 5


def other_byte(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("answer", [other_byte, lambda data: data + b"x", lambda data: data[1:]])
def test_changed_bytes_are_found(loadgen: str, answer: Callable[[bytes], bytes]) -> None:
    with (
        loaded(loadgen, answer) as (_, load),
        pytest.raises(Failed, match="another datagram"),
    ):
        load.line(10)


def test_repeated_answer_is_found(loadgen: str) -> None:
    """A server that sends its first answer again and again did not read the second datagram."""
    first: list[bytes] = []

    def answer(data: bytes) -> bytes:
        first.append(data)
        return first[0]

    with (
        loaded(loadgen, answer) as (_, load),
        pytest.raises(Failed, match="another datagram"),
    ):
        load.line(10)
