"""The echo benchmark counts what went through the server, and refuses servers that cheat."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import echo
from child import Child, Failed, running

if TYPE_CHECKING:
    import harness

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="loadgen needs cargo")

SIZE = 1000


@pytest.fixture(scope="module")
def loadgen() -> str:
    return echo.build_loadgen()


class Serving:
    """A blocking server for one connection that answers what a function makes of the bytes."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.received = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while data := connection.recv(65536):
                self.received += len(data)
                answer = self._answer(data)
                if answer is None:
                    return
                connection.sendall(answer)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@contextmanager
def loaded(
    loadgen: str, answer: Callable[[bytes], bytes | None]
) -> Iterator[tuple[Serving, Child]]:
    serving = Serving(answer)
    command = [loadgen, "load", "--port", str(serving.port), "--size", str(SIZE)]
    try:
        with running([*command, "--seconds", "0.1", "--warmup", "0.05"]) as load:
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
        assert serving.received - before == result["messages"] * SIZE
        assert 0 < result["p50_ns"] <= result["p99_ns"] <= result["p999_ns"]


def other_byte(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_changed_bytes_are_found(loadgen: str) -> None:
    with (
        loaded(loadgen, other_byte) as (_, load),
        pytest.raises(Failed, match="other bytes"),
    ):
        load.line(10)


def test_repeated_answer_is_found(loadgen: str) -> None:
    """A server that sends its first answer again and again did not read the second message."""
    first: list[bytes] = []

    def answer(data: bytes) -> bytes:
        first.append(data)
        return first[0]

    with (
        loaded(loadgen, answer) as (_, load),
        pytest.raises(Failed, match="other bytes"),
    ):
        load.line(10)


def test_closed_connection_is_found(loadgen: str) -> None:
    with (
        loaded(loadgen, lambda _data: None) as (_, load),
        pytest.raises(Failed, match=r"closed a connection|reset by peer"),
    ):
        load.line(10)


def measured(loadgen: str, name: str, column: str) -> harness.Values:
    bench = echo.Bench(loadgen, 0.1, 2, None, None)
    with contextlib.ExitStack() as stack:
        session = bench.open_session(stack, echo.all_rows("settled")[name], column)
        session.slice()
        session.slice()
        return session.result()


@pytest.mark.parametrize("column", ["asyncio", echo.FLOOR])
@pytest.mark.parametrize("name", ["protocol-64B-10", "streams-10KiB-1", "three-writes-1KiB-10"])
def test_cell_is_measured(loadgen: str, name: str, column: str) -> None:
    values = measured(loadgen, name, column)
    assert values["messages"] > 0
    parts = values["user_us_per_message"] + values["system_us_per_message"]
    assert values["cpu_us_per_message"] == parts > 0


def test_large_messages_pass_through_full_socket_buffers(loadgen: str) -> None:
    """The floor server keeps what the kernel does not take, and loses nothing."""
    assert measured(loadgen, "protocol-100KiB-10", echo.FLOOR)["messages"]
