"""start_tls: a plain connection becomes a secure one, also inside another secure one."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from helpers import Connection, Recorder, connect, gone
from net.tls import Certificates, secure

pytestmark = pytest.mark.usefixtures("loop")
BLOCK = bytes(range(256)) * 256


@pytest.fixture(scope="session")
def tls() -> Certificates:
    return Certificates()


async def upgrade(
    near: Recorder, far: Recorder, client: ssl.SSLContext, server: ssl.SSLContext
) -> None:
    """Start TLS on both ends, and give the protocols their new transports."""
    loop = asyncio.get_running_loop()
    one, other = await asyncio.gather(
        loop.start_tls(near.transport, near, client, server_hostname="localhost"),
        loop.start_tls(far.transport, far, server, server_side=True),
    )
    assert one is not None
    assert other is not None
    near.transport, far.transport = one, other


async def exchange(near: Recorder, far: Recorder) -> None:
    """Send enough both ways that the kernel's buffers overflow."""
    had = len(near.data), len(far.data)
    near.transport.write(BLOCK * 30)
    far.transport.write(BLOCK * 30)
    got = await asyncio.gather(
        near.received(had[0] + len(BLOCK) * 30), far.received(had[1] + len(BLOCK) * 30)
    )
    assert got[0][had[0] :] == got[1][had[1] :] == BLOCK * 30


async def finish(near: Recorder, far: Recorder) -> None:
    """Close one end properly and see both end."""
    near.transport.close()
    assert await near.lost is None
    assert await far.lost is None


async def test_both_sides(tls: Certificates) -> None:
    connection = await connect()
    near, far = connection.near, connection.far
    near.transport.write(b"STARTTLS")
    assert await far.received(8) == b"STARTTLS"
    before = near.transport
    await upgrade(near, far, tls.client, tls.server)
    assert near.transport is not before
    assert near.transport.get_extra_info("sslcontext") is tls.client
    assert near.transport.get_extra_info("peercert")
    assert near.transport.get_extra_info("peername") == before.get_extra_info("peername")
    await exchange(near, far)
    assert near.events.count("made") == 1
    await finish(near, far)


async def test_tls_in_tls(tls: Certificates) -> None:
    async with secure(tls.client, tls.server, finish=False) as (near, far):
        outer = near.transport.get_extra_info("ssl_object")
        await upgrade(near, far, tls.client, tls.server)
        assert near.transport.get_extra_info("ssl_object") is not outer
        await exchange(near, far)
        near.transport.abort()
        await asyncio.gather(near.lost, far.lost)


async def test_a_certificate_that_nobody_knows(tls: Certificates) -> None:
    connection = await connect()
    loop = asyncio.get_running_loop()
    near, far = connection.near, connection.far
    results = await asyncio.gather(
        loop.start_tls(near.transport, near, tls.suspicious, server_hostname="localhost"),
        loop.start_tls(far.transport, far, tls.server, server_side=True),
        return_exceptions=True,
    )
    assert isinstance(results[0], ssl.SSLCertVerificationError)
    assert isinstance(results[1], ssl.SSLError | ConnectionResetError)
    for end in (near, far):
        end.transport.abort()


async def test_a_handshake_that_never_ends(tls: Certificates) -> None:
    connection = await connect()
    loop = asyncio.get_running_loop()
    with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
        await loop.start_tls(
            connection.near.transport,
            connection.near,
            tls.client,
            server_hostname="localhost",
            ssl_handshake_timeout=0.01,
        )
    assert connection.near.transport.is_closing()
    await connection.far.lost


async def test_a_peer_that_leaves(tls: Certificates) -> None:
    connection = await connect()
    loop = asyncio.get_running_loop()
    started = asyncio.ensure_future(
        loop.start_tls(
            connection.near.transport, connection.near, tls.client, server_hostname="localhost"
        )
    )
    await connection.far.received(5)
    connection.far.transport.abort()
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        await started
    await connection.far.lost


async def test_a_transport_that_is_paused(tls: Certificates) -> None:
    """start_tls reads, whatever was paused before."""
    connection = await connect()
    near, far = connection.near, connection.far
    near.transport.pause_reading()
    far.transport.pause_reading()
    await upgrade(near, far, tls.client, tls.server)
    await exchange(near, far)
    await finish(near, far)


async def test_streams(tls: Certificates) -> None:
    """StreamWriter.start_tls on both ends, after some words in the clear."""
    loop = asyncio.get_running_loop()
    served: asyncio.Future[bytes] = loop.create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.start_tls(tls.server)
        line = await reader.readline()
        writer.write(line)
        await writer.drain()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set_result(rest)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"OK\n"
    await writer.start_tls(tls.client, server_hostname="localhost")
    writer.write(b"secret\n")
    assert await reader.readline() == b"secret\n"
    assert writer.get_extra_info("ssl_object") is not None
    writer.close()
    await writer.wait_closed()
    assert await served == b""
    server.close()
    await server.wait_closed()


async def test_arguments(tls: Certificates) -> None:
    connection: Connection = await connect()
    loop = asyncio.get_running_loop()
    near = connection.near
    with pytest.raises(TypeError, match="sslcontext is expected to be an instance"):
        await loop.start_tls(near.transport, near, True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is not supported by start_tls"):
        await loop.start_tls(asyncio.Transport(), near, tls.client)  # type: ignore[arg-type]
    await gone(near)
    await connection.far.lost
