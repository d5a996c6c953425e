"""create_server, create_connection and the Server object, with every keyword."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from helpers import (
    Contexts,
    Implementation,
    Recorder,
    Service,
    gone,
    outcome_of,
    port_of,
    recv_all,
    refused_port,
    turns,
)

pytestmark = pytest.mark.usefixtures("loop")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6 loopback")


# --- the server


async def test_serving() -> None:
    service = await Service().start()
    assert service.server.is_serving()
    (sock,) = service.server.sockets
    assert sock.getsockname()[1] != 0
    client = await service.dial()
    (accepted,) = await service.accepted()
    client.transport.write(b"hello")
    assert await accepted.received(5) == b"hello"
    peer = accepted.transport.get_extra_info("peername")
    assert peer == client.transport.get_extra_info("sockname")
    assert isinstance(accepted.transport, asyncio.Transport)
    await gone(client)
    await service.close()
    assert service.server.sockets == ()
    assert not service.server.is_serving()


async def test_the_server_is_asyncio_s(loop: asyncio.AbstractEventLoop) -> None:
    service = await Service().start()
    assert isinstance(service.server, asyncio.AbstractServer)
    assert service.server.get_loop() is loop
    assert "sockets=" in repr(service.server)
    await service.close()
    service.server.close()


async def test_many_clients() -> None:
    service = await Service().start(backlog=50)
    clients = await asyncio.gather(*(service.dial() for _ in range(50)))
    accepted = await service.accepted(50)
    for number, client in enumerate(clients):
        client.transport.write(bytes([number]) * 100)
    for protocol in accepted:
        data = await protocol.received(100)
        assert data == data[:1] * 100
    await gone(*clients)
    await service.close()


async def test_start_serving_later() -> None:
    service = await Service().start(start_serving=False)
    assert not service.server.is_serving()
    with socket.socket() as client:
        client.setblocking(False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().sock_connect(
                client, service.server.sockets[0].getsockname()
            )
    await service.server.start_serving()
    await service.server.start_serving()
    assert service.server.is_serving()
    client_protocol = await service.dial()
    await service.accepted()
    await gone(client_protocol)
    await service.close()


async def test_serve_forever() -> None:
    service = await Service().start(start_serving=False)
    async with service.server:
        task = asyncio.ensure_future(service.server.serve_forever())
        while not service.server.is_serving():
            await turns(1)
        with pytest.raises(RuntimeError, match="already being awaited on serve_forever"):
            await service.server.serve_forever()
        client = await service.dial()
        await service.accepted()
        await gone(client)
        for protocol in service.made:
            await protocol.lost
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not service.server.is_serving()
    with pytest.raises(RuntimeError, match="is closed"):
        await service.server.serve_forever()


async def test_close_stops_listening_at_once() -> None:
    service = await Service().start()
    address = service.server.sockets[0].getsockname()
    client = await service.dial()
    (accepted,) = await service.accepted()
    service.server.close()
    with socket.socket() as late:
        late.setblocking(False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().sock_connect(late, address)
    # What was accepted before goes on.
    accepted.transport.write(b"still here")
    assert await client.received(10) == b"still here"
    await gone(client)
    await accepted.lost
    await service.server.wait_closed()


@pytest.mark.aioxide_only  # asyncio's transport complains in its finalizer
async def test_a_connection_that_is_accepted_while_the_server_closes_ends(
    contexts: Contexts,
) -> None:
    """It is closed without a word: the server has begun to be closed before it was served."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)  # there it is reported
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        await turns(2)  # it is accepted behind this task's step of the second
        server.close()
        await server.wait_closed()
        await turns(3)
        client.setblocking(False)
        ended = await outcome_of(lambda: loop.sock_recv(client, 1))
        assert ended in (b"", ConnectionResetError)
    assert not contexts


async def test_wait_closed() -> None:
    service = await Service().start()
    client = await service.dial()
    (accepted,) = await service.accepted()
    waiting = asyncio.ensure_future(service.server.wait_closed())
    await turns(3)
    if sys.version_info >= (3, 12):  # before, it did not wait while the server was open
        assert not waiting.done()
    service.server.close()
    await turns(3)
    if sys.version_info >= (3, 12):  # before, closing was not followed by waiting for clients
        assert not waiting.done()
    await gone(client)
    await accepted.lost
    await waiting
    await service.server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close_clients is new in 3.13")
async def test_close_clients() -> None:
    service = await Service().start()
    clients = [await service.dial() for _ in range(3)]
    accepted = await service.accepted(3)
    accepted[0].transport.write(b"x" * (4 << 20))
    service.server.close()
    service.server.close_clients()
    assert all(protocol.transport.is_closing() for protocol in accepted)
    assert len(await clients[0].received(4 << 20)) == 4 << 20  # flushed first
    await asyncio.gather(*(protocol.lost for protocol in [*accepted, *clients]))
    await service.server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="abort_clients is new in 3.13")
async def test_abort_clients() -> None:
    service = await Service().start()
    client = await service.dial()
    client.transport.pause_reading()
    (accepted,) = await service.accepted()
    accepted.transport.write(b"x" * (8 << 20))
    service.server.close()
    service.server.abort_clients()
    assert await accepted.lost is None
    await service.server.wait_closed()
    await gone(client)


async def test_context_manager() -> None:
    service = await Service().start()
    async with service.server as server:
        assert server is service.server
        assert server.is_serving()
    assert not service.server.is_serving()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio drops the socket unclosed
async def test_the_factory_fails(implementation: Implementation, contexts: Contexts) -> None:
    def factory() -> Any:
        raise LookupError("in the factory")

    loop = asyncio.get_running_loop()
    loop.set_debug(True)  # asyncio tells nobody otherwise
    server = await loop.create_server(factory, "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        client.setblocking(False)
        while not contexts:
            await turns(1)
        if implementation.name != "asyncio":
            assert await outcome_of(lambda: recv_all(client)) in (b"", ConnectionResetError)
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert context["message"] == "Error on transport creation for incoming connection"
    server.close()
    await server.wait_closed()


# --- where to listen


async def test_several_hosts() -> None:
    service = await Service().start(["127.0.0.1", "127.0.0.2"], 0)
    addresses = {sock.getsockname()[0] for sock in service.server.sockets}
    assert addresses == {"127.0.0.1", "127.0.0.2"}
    await service.close()


async def test_no_host_means_every_interface() -> None:
    service = await Service().start(None, 0)
    families = {sock.family for sock in service.server.sockets}
    assert socket.AF_INET in families
    await service.close()


@IPV6
async def test_dual_stack_on_one_port() -> None:
    port = refused_port()
    service = await Service().start(["127.0.0.1", "::1"], port)
    assert {sock.family for sock in service.server.sockets} == {
        socket.AF_INET,
        socket.AF_INET6,
    }
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", "::1"):
        _, protocol = await loop.create_connection(Recorder, host, port)
        await gone(protocol)
    await service.accepted(2)
    await service.close()


@IPV6
async def test_ipv6_only_takes_no_ipv4() -> None:
    service = await Service().start("::", 0, family=socket.AF_INET6)
    (sock,) = service.server.sockets
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    await service.close()


async def test_reuse_port() -> None:
    first = await Service().start(reuse_port=True)
    port = port_of(first.server)
    second = await Service().start("127.0.0.1", port, reuse_port=True)
    assert port_of(second.server) == port
    assert second.server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    await first.close()
    await second.close()


async def test_reuse_address() -> None:
    for argument, expected in ((None, 1), (True, 1), (False, 0)):
        service = await Service().start(reuse_address=argument)
        (sock,) = service.server.sockets
        got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert bool(got) == bool(expected)
        await service.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="keep_alive is new in 3.13")
async def test_keep_alive() -> None:
    service = await Service().start(keep_alive=True)
    (sock,) = service.server.sockets
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await service.close()


async def test_a_port_in_use() -> None:
    service = await Service().start()
    with pytest.raises(OSError, match="error while attempting to bind on address") as info:
        await Service().start("127.0.0.1", port_of(service.server))
    assert info.value.errno == errno.EADDRINUSE
    await service.close()


async def test_a_ready_socket() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    service = await Service().start(sock=listener)
    assert service.server.sockets[0].fileno() == listener.fileno()
    client = await service.dial()
    await service.accepted()
    await gone(client)
    await service.close()
    assert listener.fileno() == -1


SERVER_ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "nothing": lambda loop, sock: loop.create_server(Recorder),
    "host and sock": lambda loop, sock: loop.create_server(Recorder, "127.0.0.1", 0, sock=sock),
    "datagram sock": lambda loop, sock: loop.create_server(Recorder, sock=sock),
    "ssl is true": lambda loop, sock: loop.create_server(Recorder, "127.0.0.1", 0, ssl=True),
    "timeout without ssl": lambda loop, sock: loop.create_server(
        Recorder, "127.0.0.1", 0, ssl_handshake_timeout=1
    ),
    "shutdown timeout without ssl": lambda loop, sock: loop.create_server(
        Recorder, "127.0.0.1", 0, ssl_shutdown_timeout=1
    ),
    "unknown keyword": lambda loop, sock: loop.create_server(Recorder, "127.0.0.1", 0, other=1),
    "bad host": lambda loop, sock: loop.create_server(Recorder, 5, 0),
    "connection: nothing": lambda loop, sock: loop.create_connection(Recorder),
    "connection: host and sock": lambda loop, sock: loop.create_connection(
        Recorder, "127.0.0.1", 1, sock=sock
    ),
    "connection: datagram sock": lambda loop, sock: loop.create_connection(Recorder, sock=sock),
    "connection: name without ssl": lambda loop, sock: loop.create_connection(
        Recorder, "127.0.0.1", 1, server_hostname="x"
    ),
    "connection: timeout without ssl": lambda loop, sock: loop.create_connection(
        Recorder, "127.0.0.1", 1, ssl_handshake_timeout=1
    ),
    "connection: unknown keyword": lambda loop, sock: loop.create_connection(
        Recorder, "127.0.0.1", 1, other=1
    ),
    "connection: unknown local name": lambda loop, sock: loop.create_connection(
        Recorder, "127.0.0.1", 1, local_addr=("192.0.2.1", 0)
    ),
    "accepted: datagram sock": lambda loop, sock: loop.connect_accepted_socket(Recorder, sock),
    "accepted: timeout without ssl": lambda loop, sock: loop.connect_accepted_socket(
        Recorder, sock, ssl_handshake_timeout=1
    ),
}


@pytest.mark.parametrize("case", SERVER_ERRORS)
def test_wrong_arguments(loop: asyncio.AbstractEventLoop, case: str) -> None:
    def attempt(on: asyncio.AbstractEventLoop) -> object:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            return on.run_until_complete(outcome_of(lambda: SERVER_ERRORS[case](on, sock)))

    control = asyncio.SelectorEventLoop()
    expected = attempt(control)
    control.close()
    assert isinstance(expected, type)
    assert attempt(loop) is expected
