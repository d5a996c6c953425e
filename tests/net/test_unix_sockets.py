"""Unix stream sockets: connections and servers, their addresses, files and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import (
    Contexts,
    Recorder,
    cancelled_and_done,
    finishing,
    gone,
    outcome_of,
    run_in,
    turns,
    until,
)

pytestmark = pytest.mark.usefixtures("loop")
CLEANS_UP = sys.version_info >= (3, 13)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """A short path for a socket: addresses hold about a hundred bytes."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        yield "socket"
    finally:
        os.chdir(before)


class Unix:
    """A Unix server under test with the protocols that it made."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self.server: Any

    def factory(self) -> Recorder:
        self.made.append(Recorder())
        return self.made[-1]

    async def start(self, *args: Any, **kwargs: Any) -> Unix:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_unix_server(self.factory, *args, **kwargs)
        return self

    async def accepted(self) -> Recorder:
        await until(lambda: self.made)
        await self.made[-1].connected
        return self.made[-1]

    async def close(self) -> None:
        self.server.close()
        await gone(*self.made)
        await self.server.wait_closed()


async def dial(*args: Any, **kwargs: Any) -> Recorder:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_unix_connection(Recorder, *args, **kwargs)
    return protocol


async def exchange(near: Recorder, far: Recorder) -> None:
    """Both directions, small and large."""
    near.transport.write(b"ping")
    assert await far.received(4) == b"ping"
    large = bytes(range(256)) * 8192
    far.transport.write(large)
    assert await near.received(len(large)) == large


def without_pauses(protocol: Recorder) -> list[str]:
    return [event for event in protocol.events if event not in {"pause", "resume"}]


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, lambda path: Path(path).resolve()])
async def test_a_connection(path: str, kind: Any) -> None:
    service = await Unix().start(kind(path))
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    near = await dial(kind(path))
    far = await service.accepted()
    await exchange(near, far)
    near.transport.close()
    assert await near.lost is None
    assert await far.lost is None
    assert without_pauses(near) == ["made", "data", "lost"]
    assert without_pauses(far) == ["made", "data", "eof", "lost"]
    await service.close()
    assert os.path.exists(path) is not CLEANS_UP


@pytest.mark.parametrize("encode", [str, str.encode])
async def test_an_abstract_address(encode: Any) -> None:
    name = encode(f"\0aioxide-test-{os.getpid()}")
    service = await Unix().start(name)
    near = await dial(name)
    far = await service.accepted()
    await exchange(near, far)
    assert near.transport.get_extra_info("peername") == f"\0aioxide-test-{os.getpid()}".encode()
    await gone(near)
    await service.close()


async def test_extra_info(path: str) -> None:
    service = await Unix().start(path)
    near = await dial(path)
    far = await service.accepted()
    assert near.transport.get_extra_info("peername") == path
    assert near.transport.get_extra_info("sockname") == ""
    assert far.transport.get_extra_info("sockname") == path
    assert far.transport.get_extra_info("peername") == ""
    for end in (near, far):
        sock = end.transport.get_extra_info("socket")
        assert sock.family == socket.AF_UNIX
        assert sock.type == socket.SOCK_STREAM
        assert sock.fileno() > 0
        assert f"fd={sock.fileno()}" in repr(end.transport)
    credentials = far.transport.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12
    )
    assert int.from_bytes(credentials[:4], sys.byteorder) == os.getpid()
    await gone(near)
    await service.close()


async def test_sockets_that_are_there_already(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    service = await Unix().start(sock=listener)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    near = await dial(sock=sock)
    assert sock.gettimeout() == 0
    await exchange(near, await service.accepted())
    await gone(near)
    await service.close()
    assert listener.fileno() == -1


async def test_a_socket_pair() -> None:
    one, other = socket.socketpair()
    near, far = await dial(sock=one), await dial(sock=other)
    await exchange(near, far)
    assert near.transport.get_extra_info("peername") == ""
    await gone(near, far)


async def test_streams(path: str) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(shout, path)
    reader, writer = await asyncio.open_unix_connection(path)
    for word in (b"one\n", b"two\n"):
        writer.write(word)
        assert await reader.readline() == word.upper()
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_serving_starts_when_told(path: str) -> None:
    service = await Unix().start(path, start_serving=False)
    assert not service.server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await dial(path)
    await service.server.start_serving()
    near = await dial(path)
    await exchange(near, await service.accepted())
    await gone(near)
    await service.close()


async def test_a_stale_socket_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
    service = await Unix().start(path)
    await gone(await dial(path))
    await service.close()


async def test_what_is_no_socket_is_not_replaced(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(OSError, match=f"Address '{path}' is already in use"):
        await Unix().start(path)
    assert Path(path).read_text() == "precious"


async def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await Unix().start("/no/such/folder/socket")
    with pytest.raises(FileNotFoundError):
        await dial("/no/such/folder/socket")


async def test_nobody_listens(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
    with pytest.raises(ConnectionRefusedError):
        await dial(path)


async def test_a_name_that_is_too_long(path: str) -> None:
    for call in (Unix().start, dial):
        with pytest.raises(OSError, match="too long"):
            await call(path * 50)


class TestTheFileGoesWithTheServer:
    """From 3.13 on; before, it stays."""

    async def test_closed(self, path: str) -> None:
        service = await Unix().start(path)
        service.server.close()
        assert os.path.exists(path) is not CLEANS_UP
        await service.server.wait_closed()

    @pytest.mark.skipif(not CLEANS_UP, reason="a keyword of 3.13")
    @pytest.mark.parametrize("clean", [False, True])
    async def test_as_asked(self, path: str, clean: bool) -> None:
        service = await Unix().start(path, cleanup_socket=clean)
        await service.close()
        assert os.path.exists(path) is not clean

    async def test_removed_by_somebody_else(self, path: str) -> None:
        service = await Unix().start(path)
        os.unlink(path)
        await service.close()

    async def test_another_server_has_taken_its_place(self, path: str) -> None:
        old = await Unix().start(path)
        os.rename(path, "kept")  # so that its inode is not used again
        new = await Unix().start(path)
        await old.close()
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        near = await dial(path)
        await exchange(near, await new.accepted())
        await gone(near)
        await new.close()

    async def test_given_sockets_too(self, path: str) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        service = await Unix().start(sock=listener)
        await service.close()
        assert os.path.exists(path) is not CLEANS_UP

    @pytest.mark.skipif(not CLEANS_UP, reason="files are left alone before 3.13")
    async def test_a_file_that_cannot_be_removed_is_logged(
        self, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(address: object) -> None:
            raise PermissionError(13, "no")

        service = await Unix().start(path)
        monkeypatch.setattr(os, "unlink", refuse)
        with caplog.at_level(logging.ERROR, "asyncio"):
            await service.close()
        assert "Unable to clean up listening UNIX socket" in caplog.text


@contextlib.contextmanager
def full_listener(path: str) -> Iterator[None]:
    """Listen at `path` with a backlog that takes no further connection."""
    listener = socket.socket(socket.AF_UNIX)
    with listener, contextlib.ExitStack() as fillers:
        listener.bind(path)
        listener.listen(0)
        full = False
        while not full:
            filler = fillers.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            full = filler.connect_ex(path) != 0
        yield


@pytest.mark.aioxide_only
class TestAFullBacklog:
    """Connecting fails with BlockingIOError, as on uvloop.

    For a Unix socket EAGAIN means that the kernel has not begun to connect. asyncio waits until the
    socket is writable, which it is, and reports success without a connection.
    """

    async def test_create_unix_connection(self, path: str) -> None:
        with full_listener(path), pytest.raises(BlockingIOError) as caught:
            await dial(path)
        assert caught.value.errno == errno.EAGAIN

    async def test_open_unix_connection(self, path: str) -> None:
        with full_listener(path), pytest.raises(BlockingIOError):
            await asyncio.open_unix_connection(path)

    async def test_sock_connect(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        with full_listener(path), socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                await loop.sock_connect(sock, path)
            assert loop.remove_writer(sock) is False

    async def test_sock_connect_of_a_derived_socket(self, path: str) -> None:
        class Derived(socket.socket):
            pass

        with full_listener(path), Derived(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                await asyncio.get_running_loop().sock_connect(sock, path)

    async def test_the_next_attempt_connects(self, path: str) -> None:
        with full_listener(path), pytest.raises(BlockingIOError):
            await dial(path)
        os.unlink(path)
        service = await Unix().start(path)
        near = await dial(path)
        near.transport.close()
        await near.lost
        await service.close()


async def test_a_factory_that_fails(path: str) -> None:
    def refuse() -> asyncio.Protocol:
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    service = await Unix().start(path)
    sock = socket.socket(socket.AF_UNIX)
    with sock:
        sock.connect(path)
        with pytest.raises(ZeroDivisionError):
            await loop.create_unix_connection(refuse, sock=sock)
    await service.close()


AN_UNCONNECTED = (socket.AF_UNIX, socket.SOCK_STREAM)
A_DATAGRAM = (socket.AF_UNIX, socket.SOCK_DGRAM)
AN_INTERNET = (socket.AF_INET, socket.SOCK_STREAM)
Misuse = list[tuple[dict[str, Any], type[Exception]]]

# A family and a type stand for a socket of theirs.
EITHER_MISUSED: Misuse = [
    ({}, ValueError),
    ({"path": "x", "sock": AN_UNCONNECTED}, ValueError),
    ({"sock": AN_INTERNET}, ValueError),
    ({"sock": A_DATAGRAM}, ValueError),
    ({"sock": "no socket"}, AttributeError),
    ({"path": 5}, TypeError),
    ({"path": "x", "ssl_handshake_timeout": 1}, ValueError),
    ({"path": "x", "ssl_shutdown_timeout": 1}, ValueError),
    ({"path": "x", "colour": "red"}, TypeError),
]
CONNECTION_MISUSED: Misuse = [
    *EITHER_MISUSED,
    ({"path": "nothing there"}, FileNotFoundError),
    ({"path": "x", "ssl": object()}, ValueError),
    ({"path": "x", "server_hostname": "host"}, ValueError),
    ({"path": "x", "server_hostname": 5, "ssl": object()}, AssertionError),
]
SERVER_MISUSED: Misuse = [
    *EITHER_MISUSED,
    ({"path": ""}, IndexError),
    ({"path": "a\0b"}, ValueError),
    ({"path": "x", "ssl": True}, TypeError),
    ({"path": "x", "ssl": False}, TypeError),
    ({"path": "x", "backlog": "many"}, TypeError),
]


@contextlib.contextmanager
def sockets_made(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments with a socket in place of its family and type."""
    given = arguments.get("sock")
    if not isinstance(given, tuple):
        yield arguments
        return
    with socket.socket(*given) as sock:
        yield {**arguments, "sock": sock}


@pytest.mark.parametrize(("arguments", "expected"), CONNECTION_MISUSED)
async def test_misused_connections(
    path: str, arguments: dict[str, Any], expected: type[Exception]
) -> None:
    with sockets_made(arguments) as given:
        assert await outcome_of(lambda: dial(**given)) is expected


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio drops a socket here and there
@pytest.mark.parametrize(("arguments", "expected"), SERVER_MISUSED)
async def test_misused_servers(
    path: str, arguments: dict[str, Any], expected: type[Exception]
) -> None:
    with sockets_made(arguments) as given:
        assert await outcome_of(lambda: Unix().start(**given)) is expected


async def test_a_socket_that_is_not_connected() -> None:
    """It is for its first read to find out."""
    with socket.socket(*AN_UNCONNECTED) as sock:
        protocol = await dial(sock=sock)
        assert isinstance(await protocol.lost, OSError)


def test_a_closed_loop(path: str, loop: asyncio.AbstractEventLoop) -> None:
    with finishing(loop):
        pass
    with socket.socket(*AN_UNCONNECTED) as sock:
        sock.bind(path)
        call = loop.create_unix_server(asyncio.Protocol, sock=sock, start_serving=True)
        with pytest.raises(RuntimeError, match="closed"):
            call.send(None)
        assert sock.fileno() >= 0


@pytest.mark.aioxide_only  # asyncio drops the socket
def test_a_server_that_cannot_start_closes_its_socket(
    path: str, loop: asyncio.AbstractEventLoop
) -> None:
    with finishing(loop):
        pass
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_unix_server(asyncio.Protocol, path).send(None)


class Certificates:
    """A certificate for `localhost`, and contexts that trust it."""

    def __init__(self) -> None:
        import trustme

        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
        self.suspicious = ssl.create_default_context()


@pytest.fixture(scope="session")
def tls() -> Certificates:
    return Certificates()


async def test_tls(path: str, tls: Certificates) -> None:
    service = await Unix().start(path, ssl=tls.server, ssl_handshake_timeout=30.0)
    near = await dial(path, ssl=tls.client, server_hostname="localhost", ssl_shutdown_timeout=30.0)
    far = await service.accepted()
    await exchange(near, far)
    info = near.transport.get_extra_info
    assert info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
    assert info("peername") == path
    assert info("socket").family == socket.AF_UNIX
    near.transport.close()
    assert await near.lost is None
    assert await far.lost is None
    await service.close()


async def test_tls_with_a_certificate_that_nobody_knows(path: str, tls: Certificates) -> None:
    asyncio.get_running_loop().set_debug(False)  # else the server reports each of them
    service = await Unix().start(path, ssl=tls.server)
    with pytest.raises(ssl.SSLCertVerificationError):
        await dial(path, ssl=tls.suspicious, server_hostname="localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        await dial(path, ssl=tls.client, server_hostname="elsewhere")
    await until(lambda: len(service.made) == 2)
    service.made.clear()  # none was connected
    await until(lambda: len(asyncio.all_tasks()) == 1)  # the server's handshakes are over
    await service.close()


async def test_a_tls_handshake_that_never_comes(path: str, tls: Certificates) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
            await dial(
                path, ssl=tls.client, server_hostname="localhost", ssl_handshake_timeout=0.01
            )


@pytest.mark.parametrize("timeout", [0, -1])
async def test_a_tls_timeout_that_is_none(tls: Certificates, timeout: int) -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(ValueError, match="ssl_handshake_timeout"):
        await dial(
            sock=one, ssl=tls.client, server_hostname="localhost", ssl_handshake_timeout=timeout
        )


async def test_tls_on_top_of_a_connection(path: str, tls: Certificates) -> None:
    loop = asyncio.get_running_loop()
    service = await Unix().start(path)
    near = await dial(path)
    far = await service.accepted()
    await exchange(near, far)
    near.data.clear()
    far.data.clear()
    secure_near, secure_far = await asyncio.gather(
        loop.start_tls(near.transport, near, tls.client, server_hostname="localhost"),
        loop.start_tls(far.transport, far, tls.server, server_side=True),
    )
    assert secure_near is not None
    assert secure_far is not None
    secure_near.write(b"secret")
    assert await far.received(6) == b"secret"
    secure_near.close()
    assert await near.lost is None
    assert await far.lost is None
    service.made.clear()
    await service.close()


async def test_contexts_of_the_reports(path: str, contexts: Contexts) -> None:
    """An exception of `connection_made` is reported; the connection stays."""

    class Fails(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    service = await Unix().start(path)
    _, near = await loop.create_unix_connection(Fails, path)
    assert type(contexts.take_one()["exception"]) is ZeroDivisionError
    await exchange(near, await service.accepted())
    await gone(near)
    await service.close()


def test_serve_forever(path: str, loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        server = await loop.create_unix_server(Recorder, path)
        async with server:
            serving = loop.create_task(server.serve_forever())
            await turns(2)
            assert server.is_serving()
            near = await dial(path)
            await gone(near)
            await cancelled_and_done(serving)
        assert not server.is_serving()

    run_in(loop, body())
