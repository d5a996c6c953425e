"""sendfile and sock_sendfile: order, positions, what cannot be sent so, and all ways to stop."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import (
    Recorder,
    attach,
    cancelled_and_done,
    connect,
    finishing,
    outcome_of,
    recv_all,
    recv_exactly,
    tcp_pair,
    turns,
)

pytestmark = pytest.mark.usefixtures("loop")
CONTENT = os.urandom(100_000)
MUCH = 8 << 20
File = io.BufferedReader
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    (tmp_path / "small").write_bytes(CONTENT)
    with open(tmp_path / "small", "rb") as file:
        yield file


@pytest.fixture
def large(tmp_path: Path) -> Iterator[File]:
    """More than the buffers of a connection hold, so that sending it has to wait."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MUCH)
        file.write(b"begin")
        file.seek(-3, os.SEEK_END)
        file.write(b"end")
    with open(tmp_path / "large", "rb") as made:
        yield made


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "tcp":
        near, far = tcp_pair()
    else:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
    with near, far:
        yield near, far


def narrow(near: socket.socket, far: socket.socket) -> None:
    """Keep the kernel's buffers small: what is meant to wait shall wait."""
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)


PARTS: list[tuple[dict[str, Any], slice]] = [
    ({}, slice(None)),
    ({"offset": 0, "count": None}, slice(None)),
    ({"offset": 1000}, slice(1000, None)),
    ({"offset": 1000, "count": 2000}, slice(1000, 3000)),
    ({"count": 1}, slice(1)),
    ({"count": len(CONTENT)}, slice(None)),
    ({"count": len(CONTENT) * 2}, slice(None)),
    ({"offset": 99_000, "count": 2000}, slice(99_000, None)),
    ({"offset": len(CONTENT)}, slice(0)),
    ({"offset": len(CONTENT) + 5}, slice(0)),
    ({"offset": len(CONTENT) + 5, "count": 5}, slice(0)),
]


def position_after(arguments: dict[str, Any], sent: int) -> int:
    """Before 3.14 asyncio leaves the file's position alone if nothing was sent."""
    if sent or sys.version_info >= (3, 14):
        return int(arguments.get("offset", 0)) + sent
    return 0


class TestOnSockets:
    @pytest.mark.parametrize(("arguments", "part"), PARTS)
    async def test_parts_of_a_file(
        self,
        loop: asyncio.AbstractEventLoop,
        pair: Pair,
        file: File,
        arguments: dict[str, Any],
        part: slice,
    ) -> None:
        near, far = pair
        expected = CONTENT[part]
        receiving = loop.create_task(recv_all(far))
        assert await loop.sock_sendfile(near, file, **arguments) == len(expected)
        assert file.tell() == position_after(arguments, len(expected))
        near.close()
        assert await receiving == expected

    async def test_more_than_the_buffers_hold(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(5)
        assert not sending.done()
        got = await recv_exactly(far, MUCH)
        assert await sending == MUCH
        assert large.tell() == MUCH
        large.seek(0)
        assert got == large.read()

    async def test_between_other_data(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, file: File
    ) -> None:
        near, far = pair
        receiving = loop.create_task(recv_all(far))
        await loop.sock_sendall(near, b"before")
        for _ in range(3):
            assert await loop.sock_sendfile(near, file) == len(CONTENT)
        await loop.sock_sendall(near, b"after")
        near.close()
        assert await receiving == b"before" + CONTENT * 3 + b"after"

    async def test_what_was_read_from_the_file_before(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, file: File
    ) -> None:
        """The offset counts, not the position."""
        near, far = pair
        assert file.read(10) == CONTENT[:10]
        assert await loop.sock_sendfile(near, file, 5, 100) == 100
        assert await recv_exactly(far, 100) == CONTENT[5:105]

    async def test_others_have_their_turn(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, file: File
    ) -> None:
        near, far = pair
        others: list[str] = []
        loop.call_soon(others.append, "other")
        assert await loop.sock_sendfile(near, file, 0, 100) == 100
        assert others == ["other"]
        assert await recv_exactly(far, 100) == CONTENT[:100]

    async def test_an_empty_file(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, tmp_path: Path
    ) -> None:
        near, far = pair
        (tmp_path / "empty").touch()
        with open(tmp_path / "empty", "rb") as empty:
            assert await loop.sock_sendfile(near, empty) == 0
            assert await loop.sock_sendfile(near, empty, 0, 100) == 0
        near.close()
        assert await recv_all(far) == b""

    async def test_a_file_that_grows(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(3)
        assert not sending.done()
        with open(large.name, "ab") as more:
            more.write(b"more")
        got = await recv_exactly(far, MUCH + 4)
        assert await sending == MUCH + 4
        assert got.endswith(b"endmore")

    async def test_a_file_that_shrinks(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large, 0, MUCH))
        await turns(3)
        assert not sending.done()
        os.truncate(large.name, MUCH // 2)
        got = await recv_exactly(far, MUCH // 2)
        assert await sending == MUCH // 2 == len(got)
        assert large.tell() == MUCH // 2

    async def test_cancelled(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(3)
        await cancelled_and_done(sending)
        assert sending.cancelled()
        assert not loop.remove_writer(near)
        near.close()
        got = await recv_all(far)
        assert 0 < len(got) < MUCH
        assert got.startswith(b"begin")

    @pytest.mark.aioxide_only  # asyncio leaves the position where it was
    async def test_cancelled_the_position_tells_how_far_it_came(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(3)
        await cancelled_and_done(sending)
        near.close()
        assert large.tell() == len(await recv_all(far))

    async def test_the_peer_goes(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await recv_exactly(far, 1)
        far.close()
        with pytest.raises(ConnectionError):
            await sending
        assert 0 < large.tell() < MUCH
        assert not loop.remove_writer(near)

    async def test_the_peer_has_gone(self, loop: asyncio.AbstractEventLoop, file: File) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.close()
        with near:
            with pytest.raises(BrokenPipeError):  # by the fallback
                await loop.sock_sendfile(near, file)
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(near, file, fallback=False)

    @pytest.mark.aioxide_only  # on asyncio the call would wait for ever
    async def test_the_file_is_closed_meanwhile(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(3)
        large.close()
        receiving = loop.create_task(recv_all(far))
        with pytest.raises(OSError, match="Bad file descriptor"):
            await sending
        assert not loop.remove_writer(near)
        near.close()
        assert len(await receiving) < MUCH

    @pytest.mark.aioxide_only  # asyncio sends whatever has the number by now
    async def test_the_number_is_another_files_meanwhile(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, large: File, tmp_path: Path
    ) -> None:
        near, far = pair
        narrow(near, far)
        sending = loop.create_task(loop.sock_sendfile(near, large))
        await turns(3)
        number = large.fileno()
        large.close()
        (tmp_path / "secret").write_bytes(b"secret" * 1_000_000)
        with open(tmp_path / "secret", "rb") as secret:
            assert secret.fileno() == number
            receiving = loop.create_task(recv_all(far))
            with pytest.raises(OSError, match="Bad file descriptor"):
                await sending
            assert secret.tell() == 0
        near.close()
        assert b"secret" not in await receiving

    async def test_a_socket_of_a_transport(
        self, loop: asyncio.AbstractEventLoop, large: File
    ) -> None:
        protocol, far = await attach()
        sock = protocol.transport.get_extra_info("socket")
        narrow(sock, far)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.sock_sendfile(sock, large)
        protocol.transport.abort()
        await protocol.lost
        far.close()


FALLEN_BACK: dict[str, Any] = {
    "in memory": lambda: io.BytesIO(CONTENT),
    "wrapped": lambda: io.BufferedReader(io.BytesIO(CONTENT)),
}


class TestFallingBack:
    @pytest.mark.parametrize("kind", FALLEN_BACK)
    async def test_files_without_a_descriptor(
        self, loop: asyncio.AbstractEventLoop, pair: Pair, kind: str
    ) -> None:
        near, far = pair
        with FALLEN_BACK[kind]() as file:
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(near, file, fallback=False)
            receiving = loop.create_task(recv_exactly(far, 3000))
            assert await loop.sock_sendfile(near, file, 1000, 3000) == 3000
            assert await receiving == CONTENT[1000:4000]
            assert file.tell() == 4000

    async def test_a_pipe_with_a_count(self, loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
        """Up to 3.13; then asyncio fails to put a pipe's position back."""
        near, _ = pair
        reader, writer = os.pipe()
        os.write(writer, b"x" * 1000)
        os.close(writer)
        with open(reader, "rb", buffering=0) as file:
            if sys.version_info < (3, 14) or "aioxide" in type(loop).__module__:
                with pytest.raises(asyncio.SendfileNotAvailableError):
                    await loop.sock_sendfile(near, file, 0, 500, fallback=False)
            assert await loop.sock_sendfile(near, file) == 0  # its size is 0

    async def test_on_a_transport(self, loop: asyncio.AbstractEventLoop) -> None:
        protocol, far = await attach()
        with io.BytesIO(CONTENT) as file:
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sendfile(protocol.transport, file, fallback=False)
            protocol.transport.write(b"before")
            assert await loop.sendfile(protocol.transport, file) == len(CONTENT)
        protocol.transport.write(b"after")
        protocol.transport.close()
        assert await recv_all(far) == b"before" + CONTENT + b"after"
        await protocol.lost
        far.close()

    async def test_tls(self, loop: asyncio.AbstractEventLoop, file: File) -> None:
        import trustme

        authority = trustme.CA()
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(serving)
        calling = ssl.create_default_context()
        authority.configure_trust(calling)
        one, other = tcp_pair()
        (_, near), (_, far) = await asyncio.gather(
            loop.create_connection(Recorder, sock=one, ssl=calling, server_hostname="localhost"),
            loop.connect_accepted_socket(Recorder, other, ssl=serving),
        )
        with pytest.raises(RuntimeError, match="fallback is disabled"):
            await loop.sendfile(near.transport, file, fallback=False)
        assert await loop.sendfile(near.transport, file, 10, 5000) == 5000
        assert await far.received(5000) == CONTENT[10:5010]
        assert file.tell() == 5010
        for end in (near, far):
            end.transport.abort()
            await end.lost


class TestOnTransports:
    @pytest.mark.parametrize(("arguments", "part"), PARTS)
    async def test_parts_of_a_file(
        self,
        loop: asyncio.AbstractEventLoop,
        file: File,
        arguments: dict[str, Any],
        part: slice,
    ) -> None:
        pair = await connect()
        pair.near.transport.write(b"before")
        expected = CONTENT[part]
        assert await loop.sendfile(pair.near.transport, file, **arguments) == len(expected)
        assert file.tell() == position_after(arguments, len(expected))
        pair.near.transport.write(b"after")
        pair.near.transport.close()
        await pair.far.lost
        assert bytes(pair.far.data) == b"before" + expected + b"after"

    async def test_after_what_waits(self, loop: asyncio.AbstractEventLoop, large: File) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        before = os.urandom(4 << 20)
        protocol.transport.write(before)
        assert protocol.transport.get_write_buffer_size() > 0
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        got = await recv_exactly(far, len(before) + MUCH)
        assert await sending == MUCH
        assert got[: len(before)] == before
        large.seek(0)
        assert got[len(before) :] == large.read()
        protocol.transport.abort()
        await protocol.lost
        far.close()

    async def test_nothing_can_be_written_meanwhile(
        self, loop: asyncio.AbstractEventLoop, large: File
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                protocol.transport.write(b"in between")
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                protocol.transport.writelines([b"in between"])
        assert len(await recv_exactly(far, MUCH)) == MUCH
        assert await sending == MUCH
        protocol.transport.write(b"afterwards")
        assert await recv_exactly(far, 10) == b"afterwards"
        protocol.transport.abort()
        await protocol.lost
        far.close()

    @pytest.mark.aioxide_only  # asyncio raises KeyError, and forgets what it did to the transport
    async def test_two_files_at_once(
        self, loop: asyncio.AbstractEventLoop, large: File, file: File
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        with pytest.raises(RuntimeError, match="already"):
            await loop.sendfile(protocol.transport, file)
        assert not protocol.transport.is_reading()
        assert len(await recv_exactly(far, MUCH)) == MUCH
        assert await sending == MUCH
        assert protocol.transport.is_reading()
        protocol.transport.abort()
        await protocol.lost
        far.close()

    async def test_nothing_is_read_meanwhile(
        self, loop: asyncio.AbstractEventLoop, large: File
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        assert not protocol.transport.is_reading()
        far.send(b"meanwhile")
        await turns(3)
        assert protocol.data == b""
        await recv_exactly(far, MUCH)
        assert await sending == MUCH
        assert protocol.transport.is_reading()
        assert await protocol.received(9) == b"meanwhile"
        protocol.transport.abort()
        await protocol.lost
        far.close()

    async def test_reading_stays_paused(self, loop: asyncio.AbstractEventLoop, file: File) -> None:
        protocol, far = await attach()
        protocol.transport.pause_reading()
        assert await loop.sendfile(protocol.transport, file, 0, 10) == 10
        assert not protocol.transport.is_reading()
        protocol.transport.resume_reading()
        far.send(b"x")
        assert await protocol.received(1) == b"x"
        protocol.transport.abort()
        await protocol.lost
        far.close()

    async def test_a_closing_transport(self, loop: asyncio.AbstractEventLoop, file: File) -> None:
        protocol, far = await attach()
        protocol.transport.close()
        with pytest.raises(RuntimeError, match="closing"):
            await loop.sendfile(protocol.transport, file)
        await protocol.lost
        with pytest.raises(RuntimeError, match="closing"):
            await loop.sendfile(protocol.transport, file)
        far.close()

    @pytest.mark.aioxide_only  # on asyncio the call would wait for ever
    @pytest.mark.parametrize("method", ["close", "abort"])
    async def test_closing_meanwhile(
        self, loop: asyncio.AbstractEventLoop, large: File, method: str
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        getattr(protocol.transport, method)()
        with pytest.raises(ConnectionError):
            await sending
        assert await protocol.lost is None
        assert 0 < large.tell() < MUCH
        far.close()

    @pytest.mark.aioxide_only  # asyncio meets its own socket gone: AttributeError
    @pytest.mark.parametrize("method", ["close", "abort"])
    async def test_closing_before_it_has_begun(
        self, loop: asyncio.AbstractEventLoop, file: File, method: str
    ) -> None:
        """What was written before still waits."""
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        protocol.transport.write(b"x" * MUCH)
        sending = loop.create_task(loop.sendfile(protocol.transport, file))
        await turns(3)
        getattr(protocol.transport, method)()
        receiving = loop.create_task(recv_all(far))
        with pytest.raises(ConnectionError):
            await sending
        assert file.tell() == 0
        await protocol.lost
        assert len(await receiving) <= MUCH
        far.close()

    async def test_cancelled(self, loop: asyncio.AbstractEventLoop, large: File) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await turns(3)
        await cancelled_and_done(sending)
        assert protocol.transport.is_reading()
        protocol.transport.write(b"afterwards")
        protocol.transport.close()
        got = await recv_all(far)
        assert got.endswith(b"afterwards")
        assert len(got) < MUCH
        await protocol.lost
        far.close()

    @pytest.mark.aioxide_only  # asyncio's transport refuses to write ever after
    async def test_cancelled_before_it_has_begun(
        self, loop: asyncio.AbstractEventLoop, file: File
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        protocol.transport.write(b"x" * MUCH)
        sending = loop.create_task(loop.sendfile(protocol.transport, file))
        await turns(3)
        await cancelled_and_done(sending)
        assert file.tell() == 0
        assert protocol.transport.is_reading()
        protocol.transport.write(b"afterwards")
        protocol.transport.close()
        assert await recv_all(far) == b"x" * MUCH + b"afterwards"
        await protocol.lost
        far.close()

    async def test_the_peer_goes(self, loop: asyncio.AbstractEventLoop, large: File) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        sending = loop.create_task(loop.sendfile(protocol.transport, large))
        await recv_exactly(far, 1)
        far.close()
        with pytest.raises(ConnectionError):
            await sending
        assert 0 < large.tell() < MUCH
        protocol.transport.abort()
        await protocol.lost

    @pytest.mark.aioxide_only  # asyncio sets the waiter's outcome twice: InvalidStateError
    async def test_the_peer_goes_before_it_has_begun(
        self, loop: asyncio.AbstractEventLoop, file: File
    ) -> None:
        protocol, far = await attach()
        narrow(protocol.transport.get_extra_info("socket"), far)
        protocol.transport.write(b"x" * MUCH)
        sending = loop.create_task(loop.sendfile(protocol.transport, file))
        await recv_exactly(far, 1)
        far.close()
        with pytest.raises(ConnectionError):
            await sending
        assert isinstance(await protocol.lost, ConnectionError)
        assert file.tell() == 0

    async def test_many_at_once(self, loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(CONTENT)
        pairs = [await connect() for _ in range(20)]
        files = [open(tmp_path / "file", "rb") for _ in pairs]  # noqa: SIM115
        sent = await asyncio.gather(
            *(
                loop.sendfile(pair.near.transport, file)
                for pair, file in zip(pairs, files, strict=True)
            )
        )
        assert sent == [len(CONTENT)] * len(pairs)
        for pair, file in zip(pairs, files, strict=True):
            file.close()
            assert await pair.far.received(len(CONTENT)) == CONTENT
            await pair.close()

    async def test_other_transports(self, loop: asyncio.AbstractEventLoop, file: File) -> None:
        class Sink(asyncio.Transport):
            def is_closing(self) -> bool:
                return False

        with pytest.raises(RuntimeError, match="sendfile is not supported"):
            await loop.sendfile(Sink(), file)


MISUSED: list[tuple[tuple[Any, ...], type[Exception]]] = [
    ((-1,), ValueError),
    (("0",), TypeError),
    ((1.5,), TypeError),
    ((None,), TypeError),
    ((0, 0), ValueError),
    ((0, -1), ValueError),
    ((0, "1"), TypeError),
    ((0, 1.5), TypeError),
    ((1 << 64,), OverflowError),
]


@pytest.mark.parametrize(("arguments", "expected"), MISUSED)
async def test_misused(
    loop: asyncio.AbstractEventLoop,
    file: File,
    arguments: tuple[Any, ...],
    expected: type[Exception],
) -> None:
    protocol, far = await attach()
    near, other = tcp_pair()
    with near, other, far:
        assert await outcome_of(lambda: loop.sock_sendfile(near, file, *arguments)) is expected
        got = await outcome_of(lambda: loop.sendfile(protocol.transport, file, *arguments))
        assert got is expected
        assert not loop.remove_writer(near)
        # The transport is as it was before.
        assert protocol.transport.is_reading()
        protocol.transport.write(b"still there")
        assert await recv_exactly(far, 11) == b"still there"
        protocol.transport.abort()
        await protocol.lost
    assert file.tell() == 0


async def test_misused_files(loop: asyncio.AbstractEventLoop, file: File) -> None:
    near, other = tcp_pair()
    with near, other, open(file.name) as text:
        with pytest.raises(ValueError, match="binary"):
            await loop.sock_sendfile(near, text)  # type: ignore[arg-type]
        for nothing in (None, 5, object()):
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(near, nothing, fallback=False)  # type: ignore[arg-type]
        file.close()
        with pytest.raises(ValueError, match="closed"):
            await loop.sock_sendfile(near, file)


async def test_misused_sockets(loop: asyncio.AbstractEventLoop, file: File) -> None:
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.setblocking(False)
    with datagram, pytest.raises(ValueError, match="SOCK_STREAM"):
        await loop.sock_sendfile(datagram, file)
    near, other = tcp_pair()
    other.close()
    near.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await loop.sock_sendfile(near, file)
    loop.set_debug(True)
    near, other = tcp_pair()
    with near, other:
        near.setblocking(True)
        with pytest.raises(ValueError, match="must be non-blocking"):
            await loop.sock_sendfile(near, file)


async def test_in_debug_mode(loop: asyncio.AbstractEventLoop, large: File) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000.0
    protocol, far = await attach()
    narrow(protocol.transport.get_extra_info("socket"), far)
    sending = loop.create_task(loop.sendfile(protocol.transport, large))
    assert len(await recv_exactly(far, MUCH)) == MUCH
    assert await sending == MUCH
    protocol.transport.abort()
    await protocol.lost
    far.close()


def test_a_closed_loop(loop: asyncio.AbstractEventLoop, file: File) -> None:
    near, other = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 12)
    with near, other, finishing(loop):
        call = loop.sock_sendfile(near, file)
    with pytest.raises((RuntimeError, OSError)):
        call.send(None)


def test_a_loop_that_closes_meanwhile(loop: asyncio.AbstractEventLoop, large: File) -> None:
    near, far = tcp_pair()
    with near, far:
        narrow(near, far)
        with finishing(loop):
            task = loop.create_task(loop.sock_sendfile(near, large))
            loop.run_until_complete(turns(3))
            assert not task.done()
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
