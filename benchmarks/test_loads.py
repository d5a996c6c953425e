"""The loads count what went through the server, and refuse servers that cheat."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from child import Child, Failed, running

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1000
Answer = Callable[[bytes], "bytes | None"]


class Serving:
    """A blocking server, a thread for each connection, that answers what a function makes."""

    def __init__(self, answer: Answer, path: Path | None = None) -> None:
        self.received = 0
        self.accepted = 0
        self._closing = False
        self._answer = answer
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.where = ["--port", str(self._listener.getsockname()[1])]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self.where = ["--path", str(path)]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()
            if self._closing:
                return

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += len(data)
                    answer = self._answer(data)
                    if answer is None:
                        return
                    connection.sendall(answer)
            except ConnectionError:
                return

    def close(self) -> None:
        """Wake the thread that accepts, and wait for all."""
        self._closing = True
        with socket.socket(self._listener.family) as last:
            last.connect(self._listener.getsockname())
        for thread in self._threads:
            thread.join()
        self._listener.close()


@contextmanager
def loaded(
    loadgen: str, answer: Answer, *arguments: str, path: Path | None = None
) -> Iterator[tuple[Serving, Child]]:
    serving = Serving(answer, path)
    timing = [] if arguments[0] == "hold" else ["--seconds", "0.05", "--warmup", "0.02"]
    try:
        with running([loadgen, *arguments, *serving.where, *timing]) as load:
            yield serving, load
    finally:
        serving.close()


def same(data: bytes) -> bytes:
    return data


def other_byte(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def hang_up(_data: bytes) -> None:
    return None


def first_again() -> Answer:
    """A server that sends its first answer again and again did not read the second message."""
    first: list[bytes] = []

    def answer(data: bytes) -> bytes:
        first.append(data)
        return first[0]

    return answer


LOADS = {
    "load": ("load", "--size", str(SIZE)),
    "lines": ("load", "--size", str(SIZE), "--lines"),
    "paced": ("paced", "--size", str(SIZE), "--rate", "2000"),
    "churn": ("churn", "--connections", "1"),
}


def ask(load: Child) -> dict[str, Any]:
    load.say()
    answer: dict[str, Any] = json.loads(load.line(10))
    return answer


@pytest.mark.parametrize("name", LOADS)
def test_operations_are_those_the_server_saw(loadgen: str, name: str) -> None:
    size = 1 if name == "churn" else SIZE
    with loaded(loadgen, same, *LOADS[name]) as (serving, load):
        assert load.line(10) == "ready"
        before = serving.received
        first, result = ask(load), ask(load)
        assert 0 < first["messages"] < result["messages"]
        assert serving.received - before == result["messages"] * size
        assert 0 < result["p50_ns"] <= result["p99_ns"] <= result["p999_ns"]
        assert result["load_cpu_us"] > 0


@pytest.mark.parametrize("name", LOADS)
def test_changed_bytes_are_found(loadgen: str, name: str) -> None:
    with (
        loaded(loadgen, other_byte, *LOADS[name]) as (_, load),
        pytest.raises(Failed, match="other bytes"),
    ):
        load.line(10)


@pytest.mark.parametrize("name", LOADS)
def test_repeated_answer_is_found(loadgen: str, name: str) -> None:
    def load_twice(load: Child) -> None:
        load.line(10)
        ask(load)  # where the time of the warm-up was over after the first message

    with (
        loaded(loadgen, first_again(), *LOADS[name]) as (_, load),
        pytest.raises(Failed, match="other bytes"),
    ):
        load_twice(load)


@pytest.mark.parametrize("name", [*LOADS, "bulk"])
def test_closed_connection_is_found(loadgen: str, name: str) -> None:
    arguments = LOADS.get(name, ("bulk", "--direction", "send"))
    with (
        loaded(loadgen, hang_up, *arguments) as (_, load),
        pytest.raises(Failed, match=r"closed a connection|reset by peer"),
    ):
        load.line(10)


def test_unix_sockets_are_loaded_too(loadgen: str, tmp_path: Path) -> None:
    with loaded(loadgen, same, *LOADS["load"], path=tmp_path / "socket") as (serving, load):
        assert load.line(10) == "ready"
        before = serving.received
        assert ask(load)["messages"] * SIZE == serving.received - before


def test_each_line_is_one_line(loadgen: str) -> None:
    seen: list[bytes] = []

    def answer(data: bytes) -> bytes:
        seen.append(data)
        return data

    with loaded(loadgen, answer, *LOADS["lines"]) as (_, load):
        assert load.line(10) == "ready"
    assert all(each.count(b"\n") == 1 and each.endswith(b"\n") for each in seen)


def test_an_open_loop_sends_as_many_as_it_should(loadgen: str) -> None:
    """Whatever the server does meanwhile: 2,000 a second for a twentieth of a second."""
    with loaded(loadgen, same, *LOADS["paced"]) as (_, load):
        assert load.line(10) == "ready"
        assert ask(load)["messages"] == 100
        result = ask(load)
        assert result["messages"] == 200
        assert result["rate"] == 2000


def test_every_connection_is_a_new_one(loadgen: str) -> None:
    with loaded(loadgen, same, *LOADS["churn"]) as (serving, load):
        assert load.line(10) == "ready"
        before = serving.accepted
        assert ask(load)["messages"] == serving.accepted - before


def test_held_connections_are_there_all_at_once(loadgen: str) -> None:
    with loaded(loadgen, same, "hold", "--connections", "70") as (serving, load):
        assert load.line(10) == "ready"
        before = serving.accepted
        assert ask(load)["messages"] == 70
        assert serving.accepted - before == 70
        assert ask(load)["messages"] == 140
        assert serving.received == serving.accepted


PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE.replace(b"200 OK", b"404 Not Found"), "status Some"),
        (PAGE.replace(b"abc", b"abd"), "another body"),
        (PAGE.replace(b": 3", b": 2"), "2 bytes of 3"),
    ],
)
def test_wrong_pages_are_found(loadgen: str, page: bytes, reason: str) -> None:
    with (
        loaded(loadgen, lambda _: page, "http", "--size", "3") as (_, load),
        pytest.raises(Failed, match=reason),
    ):
        load.line(10)


def test_requests_are_counted(loadgen: str) -> None:
    requests: list[bytes] = []

    def answer(data: bytes) -> bytes:
        requests.append(data)
        return PAGE

    with loaded(loadgen, answer, "http", "--size", "3") as (_, load):
        assert load.line(10) == "ready"
        before = len(requests)
        assert ask(load)["messages"] == len(requests) - before
    assert set(requests) == {requests[0]}
    assert requests[0].startswith(b"GET /3 HTTP/1.1\r\n")


def test_a_server_that_loses_bytes_is_found_in_the_warm_up(loadgen: str) -> None:
    """It answers that all came, but not with their checksum."""
    size = (1 << 20).to_bytes(8, "little")
    arguments = ("bulk", "--direction", "receive", "--burst", "1")
    got = 0

    def answer(data: bytes) -> bytes:
        nonlocal got
        got += len(data)
        return size if got == 8 + (1 << 20) else b""

    with (
        loaded(loadgen, answer, *arguments) as (_, load),
        pytest.raises(Failed, match="did not get what was sent"),
    ):
        load.line(10)


def test_a_server_that_sends_other_bytes_is_found(loadgen: str) -> None:
    arguments = ("bulk", "--direction", "send", "--burst", "1")
    with (
        loaded(loadgen, lambda _: bytes(1 << 20), *arguments) as (_, load),
        pytest.raises(Failed, match="other bytes"),
    ):
        load.line(10)
