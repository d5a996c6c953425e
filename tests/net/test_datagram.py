"""Datagram endpoints over UDP: what is sent and received, and whose it is."""

from __future__ import annotations

import array
import asyncio
import errno
import socket
import sys
from asyncio import trsock
from collections.abc import Callable
from typing import Any

import pytest

from helpers import (
    Contexts,
    DatagramRecorder,
    ended,
    endpoint,
    outcome,
    sockname,
    turns,
    until,
)

pytestmark = pytest.mark.usefixtures("loop")
EMPTY_ARE_SENT = sys.version_info >= (3, 13)
HOSTS = ["127.0.0.1", "::1"]


def bare(family: int = socket.AF_INET) -> socket.socket:
    """Return a bound socket without an endpoint."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def bare_at(host: str) -> socket.socket:
    return bare(socket.AF_INET6 if ":" in host else socket.AF_INET)


# What is sent and received


@pytest.mark.parametrize("host", HOSTS)
async def test_both_ways(host: str) -> None:
    server = await endpoint(local_addr=(host, 0))
    client = await endpoint(remote_addr=sockname(server)[:2])
    client.transport.sendto(b"question")
    assert await server.get() == [b"question"]
    address = server.received[0][1]
    assert address == sockname(client)
    # Exactly what the standard library makes of an address.
    assert type(address) is tuple
    assert [type(part) for part in address] == [type(part) for part in sockname(client)]
    server.transport.sendto(b"answer", address)
    assert await client.get() == [b"answer"]
    assert client.received[0][1] == sockname(server)
    assert client.events == ["made", "data"]
    await ended(server, client)


@pytest.mark.parametrize("host", HOSTS)
async def test_several_senders_are_told_apart(host: str) -> None:
    server = await endpoint(local_addr=(host, 0))
    senders = [bare_at(host) for _ in range(3)]
    for number in range(3):
        for sender in senders:
            sender.sendto(b"%d" % number, sockname(server))
    await server.get(9)
    expected = [(b"%d" % number, each.getsockname()) for number in range(3) for each in senders]
    assert server.received == expected
    for _, address in server.received:
        server.transport.sendto(b"back", address)
    for sender in senders:
        assert [sender.recv(10) for _ in range(3)] == [b"back"] * 3
        sender.close()
    await ended(server)


async def test_the_scope_of_an_address_is_kept() -> None:
    with open("/proc/net/if_inet6") as file:
        local = [line.split() for line in file if line.startswith("fe80")]
    if not local:
        pytest.skip("no interface has a link-local address")
    digits, index = local[0][0], int(local[0][1], 16)
    host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((host, 0, 0, index))
    server = await endpoint(sock=sock)
    assert sockname(server) == (host, sock.getsockname()[1], 0, index)
    server.transport.sendto(b"to itself", sockname(server))
    await server.get()
    assert server.received == [(b"to itself", sockname(server))]
    # An address from another source than a datagram.
    server.transport.sendto(b"once more", (host, sockname(server)[1], 0, index))
    await server.get(2)
    assert server.received[1] == (b"once more", sockname(server))
    await ended(server)


@pytest.mark.parametrize("size", [1, 1000, 1473, 65507])
async def test_sizes(size: int) -> None:
    server, client = await endpoint(), await endpoint()
    data = bytes(range(256)) * 256
    client.transport.sendto(data[:size], sockname(server))
    assert await server.get() == [data[:size]]
    await ended(server, client)


async def test_too_large_a_datagram_is_an_error_and_no_end() -> None:
    server = await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    client.transport.sendto(bytes(70_000))
    assert client.errors[0].errno == errno.EMSGSIZE
    server.transport.sendto(bytes(70_000), sockname(client))
    assert server.errors[0].errno == errno.EMSGSIZE
    client.transport.sendto(b"small")
    assert await server.get() == [b"small"]
    await ended(server, client)


async def test_empty_datagrams_are_received() -> None:
    near, far = bare(), bare()
    for message in (b"", b"x", b""):
        far.sendto(message, near.getsockname())
    server = await endpoint(sock=near)
    assert await server.get(3) == [b"", b"x", b""]
    assert server.received[0][1] == far.getsockname()
    far.close()
    await ended(server)


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b"")])
async def test_empty_datagrams_are_sent(empty: Any) -> None:
    """From 3.13 on; before, asyncio drops them."""
    server, client = await endpoint(), await endpoint()
    client.transport.sendto(empty, sockname(server))
    client.transport.sendto(b"end", sockname(server))
    expected = [b"", b"end"] if EMPTY_ARE_SENT else [b"end"]
    assert await server.get(len(expected)) == expected
    await ended(server, client)


DATA: list[tuple[Any, bytes]] = [
    (b"bytes", b"bytes"),
    (bytearray(b"bytearray"), b"bytearray"),
    (memoryview(b"memoryview"), b"memoryview"),
    (memoryview(array.array("H", [1, 2])), array.array("H", [1, 2]).tobytes()),
    (type("Derived", (bytes,), {})(b"derived"), b"derived"),
]


@pytest.mark.parametrize(("data", "expected"), DATA, ids=lambda value: type(value).__name__)
async def test_bytes_of_every_kind(data: Any, expected: bytes) -> None:
    server = await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    client.transport.sendto(data)
    server.transport.sendto(data, sockname(server))
    assert await server.get(2) == [expected, expected]
    await ended(server, client)


@pytest.mark.parametrize("data", ["text", None, 1, [b"x"], array.array("b", [1])])
async def test_other_things_are_no_data(data: Any) -> None:
    client = await endpoint()
    with pytest.raises(TypeError, match="bytes-like"):
        client.transport.sendto(data, sockname(client))
    with pytest.raises(TypeError):
        client.transport.sendto()
    with pytest.raises(TypeError):
        client.transport.sendto(b"x", sockname(client), 1)
    with pytest.raises(TypeError):
        client.transport.sendto(b"x", address=sockname(client))
    client.transport.sendto(data=b"named", addr=sockname(client))
    assert await client.get() == [b"named"]
    await ended(client)


async def test_a_memoryview_with_gaps_is_the_end(contexts: Contexts) -> None:
    client = await endpoint()
    client.transport.sendto(memoryview(b"abcd")[::2], sockname(client))
    assert isinstance(await client.lost, BufferError)
    context = contexts.take_one()
    assert context["message"] == "Fatal write error on datagram transport"
    assert context["transport"] is client.transport
    assert context["protocol"] is client


class Port(int):
    pass


class Host(str):
    pass


# What an address may look like, and what becomes of a datagram that is sent there: it arrives, it
# is an error for the protocol, or a mistake that ends the endpoint.
ADDRESSES: list[tuple[str, Callable[[str, int], Any], Any]] = [
    ("127.0.0.1", lambda host, port: (host, port), "arrives"),
    ("127.0.0.1", lambda host, port: (Host(host), Port(port)), "arrives"),
    ("127.0.0.1", lambda host, port: (host.encode(), port), "arrives"),
    ("127.0.0.1", lambda _, port: ("localhost", port), "arrives"),
    ("127.0.0.1", lambda _, port: ("127.1", port), "arrives"),
    ("127.0.0.1", lambda _, port: ("0x7f.0.0.1", port), "arrives"),
    ("127.0.0.1", lambda _, port: ("127.0.0.01", port), "arrives"),
    ("127.0.0.1", lambda _, port: ("", port), "arrives"),
    ("127.0.0.1", lambda _, port: ("::1", port), socket.gaierror),
    ("127.0.0.1", lambda host, port: (f" {host}", port), socket.gaierror),
    ("127.0.0.1", lambda host, _: (host, 0), OSError),
    ("127.0.0.1", lambda _, port: ("<broadcast>", port), OSError),
    ("127.0.0.1", lambda host, port: (host, port, 0, 0), TypeError),
    ("127.0.0.1", lambda host, _: (host,), TypeError),
    ("127.0.0.1", lambda *_: (), TypeError),
    ("127.0.0.1", lambda host, port: [host, port], TypeError),
    ("127.0.0.1", lambda host, port: (host, str(port)), TypeError),
    ("127.0.0.1", lambda host, port: (host, float(port)), TypeError),
    ("127.0.0.1", lambda host, port: (host, port + 65536), OverflowError),
    ("127.0.0.1", lambda host, _: (host, -1), OverflowError),
    ("127.0.0.1", lambda host, _: (host, 1 << 80), OverflowError),
    ("127.0.0.1", lambda host, _: host, TypeError),
    ("127.0.0.1", lambda *_: None, TypeError),
    ("127.0.0.1", lambda _, port: (127, port), TypeError),
    ("127.0.0.1", lambda host, port: (f"{host}\0", port), (ValueError, TypeError)),
    ("::1", lambda host, port: (host, port), "arrives"),
    ("::1", lambda host, port: (host, port, 0), "arrives"),
    ("::1", lambda host, port: (host, port, 0, 0), "arrives"),
    ("::1", lambda _, port: ("0:0::0:1", port, 0, 0), "arrives"),
    ("::1", lambda _, port: ("::0.0.0.1", port), "arrives"),
    ("::1", lambda _, port: ("127.0.0.1", port), socket.gaierror),
    ("::1", lambda host, port: (host, port, 0, 0, 0), TypeError),
    ("::1", lambda host, port: (host, port, 1 << 20, 0), OverflowError),
    ("::1", lambda host, port: (host, port, -1, 0), OverflowError),
    ("::1", lambda host, port: (host, port, 0, "lo"), TypeError),
]


@pytest.mark.parametrize(
    ("host", "make", "expected"), ADDRESSES, ids=[str(number) for number in range(len(ADDRESSES))]
)
async def test_addresses(
    host: str, make: Callable[[str, int], Any], expected: Any, contexts: Contexts
) -> None:
    server = await endpoint(local_addr=(host, 0))
    client = await endpoint(local_addr=(host, 0))
    client.transport.sendto(b"x", make(host, sockname(server)[1]))
    await turns(2)
    if expected == "arrives":
        assert await server.get() == [b"x"]
        assert client.events == ["made"]
    elif expected in (OSError, socket.gaierror):
        assert isinstance(client.errors[0], expected)
        assert not client.transport.is_closing()
    else:
        assert isinstance(await client.lost, expected)
        assert isinstance(contexts.take_one()["exception"], expected)
    server.transport.close()
    client.transport.close()
    await turns(2)


# Connected endpoints, and those with a remote address


async def test_a_connected_endpoint_hears_its_peer_only() -> None:
    server, stranger = await endpoint(), await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    assert client.transport.get_extra_info("peername") == sockname(server)
    stranger.transport.sendto(b"strange", sockname(client))
    server.transport.sendto(b"known", sockname(client))
    assert await client.get() == [b"known"]
    await ended(server, stranger, client)


async def test_the_address_of_a_connected_endpoint() -> None:
    server = await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    client.transport.sendto(b"1")
    client.transport.sendto(b"2", None)
    client.transport.sendto(b"3", sockname(server))
    client.transport.sendto(b"4", ("127.0.0.1", int(str(sockname(server)[1]))))
    for wrong in (("127.0.0.1", 9), "x", (), 0):
        with pytest.raises(ValueError, match="Invalid address: must be None or"):
            client.transport.sendto(b"x", wrong)
    assert await server.get(4) == [b"1", b"2", b"3", b"4"]
    assert client.events == ["made"]
    await ended(server, client)


async def test_a_broadcasting_endpoint_has_an_address_and_no_peer() -> None:
    server, stranger = await endpoint(), await endpoint()
    client = await endpoint(remote_addr=sockname(server), allow_broadcast=True)
    assert client.transport.get_extra_info("peername") is None
    client.transport.sendto(b"1")
    client.transport.sendto(b"2", sockname(server))
    assert await server.get(2) == [b"1", b"2"]
    with pytest.raises(ValueError, match="Invalid address"):
        client.transport.sendto(b"x", sockname(stranger))
    port = client.transport.get_extra_info("socket").getsockname()[1]
    stranger.transport.sendto(b"strange", ("127.0.0.1", port))
    assert await client.get() == [b"strange"]
    await ended(server, stranger, client)


@pytest.mark.parametrize("allowed", [False, True])
async def test_broadcast(allowed: bool) -> None:
    server = await endpoint(local_addr=("0.0.0.0", 0))
    client = await endpoint(local_addr=("127.0.0.1", 0), allow_broadcast=allowed)
    client.transport.sendto(b"to all", ("127.255.255.255", sockname(server)[1]))
    if allowed:
        assert await server.get() == [b"to all"]
        assert client.errors == []
    else:
        assert isinstance(await client.error(), PermissionError)
    await ended(server, client)


async def test_reuse_port() -> None:
    first = await endpoint(local_addr=("127.0.0.1", 0), reuse_port=True)
    second = await endpoint(local_addr=sockname(first), reuse_port=True)
    assert sockname(first) == sockname(second)
    sender = await endpoint()
    for _ in range(20):
        sender.transport.sendto(b"x", sockname(first))
    await until(lambda: len(first.received) + len(second.received) == 20)
    with pytest.raises(OSError, match="in use"):
        await endpoint(local_addr=sockname(first))
    await ended(first, second, sender)


async def test_a_socket_of_ones_own() -> None:
    near, far = bare(), bare()
    near.connect(far.getsockname())
    client = await endpoint(sock=near)
    # Connected, but the endpoint has no address of its own: one that is given is not looked at.
    client.transport.sendto(b"1")
    client.transport.sendto(b"2", ("127.0.0.1", 9))
    assert [far.recv(10), far.recv(10)] == [b"1", b"2"]
    far.close()
    await ended(client)
    assert near.fileno() == -1


async def test_what_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    with socket.socket() as stream, pytest.raises(ValueError, match="was expected"):
        await endpoint(sock=stream)
    with bare() as sock, pytest.raises(ValueError, match="modifier"):
        await endpoint(sock=sock, allow_broadcast=True)
    with pytest.raises(ValueError, match="unexpected address family"):
        await loop.create_datagram_endpoint(DatagramRecorder)
    with pytest.raises(TypeError, match="2-tuple"):
        await endpoint(local_addr="127.0.0.1")


async def test_an_endpoint_without_any_address() -> None:
    client = await endpoint(family=socket.AF_INET)
    server = await endpoint()
    client.transport.sendto(b"x", sockname(server))
    assert await server.get() == [b"x"]
    await ended(client, server)


# Errors of the network


async def test_a_refusal_is_told_and_is_no_end() -> None:
    server = await endpoint()
    address = sockname(server)
    client = await endpoint(remote_addr=address)
    await ended(server)
    client.transport.sendto(b"to nobody")
    assert isinstance(await client.error(), ConnectionRefusedError)
    assert client.events == ["made", "error"]
    assert not client.transport.is_closing()
    server = await endpoint(local_addr=address)
    client.transport.sendto(b"to somebody")
    assert await server.get() == [b"to somebody"]
    await ended(server, client)


async def test_a_refusal_may_be_told_by_sendto() -> None:
    """The kernel tells the next call, whichever it is."""
    with bare() as gone:
        address = gone.getsockname()
    client = await endpoint(remote_addr=address)
    client.transport.sendto(b"1")
    client.transport.sendto(b"2")
    assert isinstance(client.errors[0], ConnectionRefusedError)
    await ended(client)


async def test_an_unconnected_endpoint_hears_of_no_refusal() -> None:
    with bare() as gone:
        address = gone.getsockname()
    client = await endpoint()
    client.transport.sendto(b"to nobody", address)
    client.transport.sendto(b"to itself", sockname(client))
    assert await client.get() == [b"to itself"]
    assert client.errors == []
    await ended(client)


async def test_exceptions_of_error_received(contexts: Contexts) -> None:
    """They reach who sends, and the exception handler if nobody does."""

    class Breaks(DatagramRecorder):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            raise LookupError("in the protocol")

    with bare() as gone:
        address = gone.getsockname()
    client = await endpoint(Breaks, remote_addr=address)
    client.transport.sendto(b"1")
    await until(lambda: client.errors)
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert "_read_ready" in context["message"]
    with pytest.raises(LookupError):
        client.transport.sendto(bytes(70_000))
    assert not client.transport.is_closing()
    await ended(client)


# What a transport is


async def test_a_transport_is_asyncios() -> None:
    server = await endpoint()
    transport = server.transport
    assert isinstance(transport, asyncio.Transport)
    if sys.version_info >= (3, 12):
        assert isinstance(transport, asyncio.DatagramTransport)
    assert outcome(lambda: transport.write(b"x")) is NotImplementedError
    assert outcome(lambda: transport.writelines([b"x"])) is NotImplementedError
    assert outcome(transport.write_eof) is NotImplementedError
    assert transport.get_protocol() is server
    await ended(server)


async def test_extra_information() -> None:
    server = await endpoint()
    transport = server.transport
    sock = transport.get_extra_info("socket")
    assert isinstance(sock, trsock.TransportSocket)
    assert sock.type == socket.SOCK_DGRAM
    assert transport.get_extra_info("sockname") == sock.getsockname()
    assert transport.get_extra_info("peername") is None
    assert transport.get_extra_info("peername", 1) is None
    assert transport.get_extra_info("nothing") is None
    assert transport.get_extra_info("nothing", 1) == 1
    await ended(server)


async def test_repr() -> None:
    server = await endpoint()
    transport = server.transport
    number = transport.get_extra_info("socket").fileno()
    text = repr(transport)
    assert f" fd={number} read=polling write=<idle, bufsize=0>>" in text
    assert "clos" not in text
    transport.pause_reading()
    assert "read=idle" in repr(transport)
    transport.close()
    assert " closing fd=" in repr(transport)
    await server.lost
    await turns(1)
    assert repr(transport).endswith(f" closed fd={number}>")


async def test_the_descriptor_is_the_transports(loop: asyncio.AbstractEventLoop) -> None:
    server = await endpoint()
    number = server.transport.get_extra_info("socket").fileno()
    for method in (loop.add_reader, loop.add_writer):
        with pytest.raises(RuntimeError, match="is used by transport"):
            method(number, print)
    for remove in (loop.remove_reader, loop.remove_writer):
        with pytest.raises(RuntimeError, match="is used by transport"):
            remove(number)
    await ended(server)
    with bare() as sock:
        loop.add_reader(sock, print)
        assert loop.remove_reader(sock)


class Loses(socket.socket):
    """A socket with a mind of its own."""

    def recvfrom(self, *args: Any) -> Any:
        data, address = super().recvfrom(*args)
        return b"<" + data + b">", address

    def sendto(self, data: Any, *args: Any) -> int:
        if data == b"lost":
            return len(data)
        return super().sendto(data, *args)


async def test_the_methods_of_a_derived_socket_are_called() -> None:
    sock = Loses(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    server = await endpoint(sock=sock)
    for message in (b"1", b"lost", b"2"):
        server.transport.sendto(message, sockname(server))
    assert await server.get(2) == [b"<1>", b"<2>"]
    await ended(server)


async def test_a_socket_that_is_closed_under_its_transport() -> None:
    near, far = bare(), bare()
    server = await endpoint(sock=near)
    number = near.fileno()
    near.close()
    other = bare()
    assert other.fileno() == number
    other.setblocking(False)
    far.sendto(b"for the other", other.getsockname())
    await turns(3)
    server.transport.sendto(b"x", far.getsockname())
    assert server.errors
    assert {error.errno for error in server.errors} == {errno.EBADF}
    assert server.received == []
    # The other socket has got its datagram, and has sent none.
    assert other.recv(100) == b"for the other"
    with pytest.raises(BlockingIOError):
        far.recv(100)
    server.transport.abort()
    await server.lost
    other.close()
    far.close()


async def test_debug_mode(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_debug(True)
    server = await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    client.transport.sendto(b"x")
    assert await server.get() == [b"x"]
    server.transport.pause_reading()
    server.transport.resume_reading()
    await ended(server, client)
    loop.set_debug(False)
