"""TLS over our transports: handshakes, what a transport tells, data, back-pressure, the end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from typing import Any

import pytest

from helpers import Contexts, Recorder, Service, finish_once, gone, port_of, turns
from net.tls import Certificates, secure

pytestmark = pytest.mark.usefixtures("loop")
BLOCK = bytes(range(256)) * 256
LIMIT = 30.0


@pytest.fixture(scope="session")
def tls() -> Certificates:
    return Certificates()


async def ended(*protocols: Recorder) -> None:
    """Wait until these connections are over, whatever the reason."""
    await asyncio.gather(*(protocol.lost for protocol in protocols))


async def alone() -> None:
    """Wait until the server's tasks that shake hands are over."""
    while len(asyncio.all_tasks()) > 1:
        await turns()


class TestWhatATransportTells:
    async def test_extra_info(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, far):
            info = near.transport.get_extra_info
            assert info("sslcontext") is tls.client
            assert far.transport.get_extra_info("sslcontext") is tls.server
            assert isinstance(info("ssl_object"), ssl.SSLObject)
            assert info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
            assert info("cipher") == info("ssl_object").cipher()
            assert info("compression") is None
            assert ("DNS", "localhost") in info("peercert")["subjectAltName"]
            assert not far.transport.get_extra_info("peercert")  # the client showed none
            assert info("peername") == far.transport.get_extra_info("sockname")
            assert info("sockname") == far.transport.get_extra_info("peername")
            assert info("socket").fileno() >= 0
            assert info("nothing") is None
            assert info("nothing", 1) == 1

    async def test_the_transport_itself(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, far):
            assert isinstance(near.transport, asyncio.Transport)
            assert near.transport.get_protocol() is near
            assert near.transport.is_reading()
            assert not near.transport.is_closing()
            assert not near.transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                near.transport.write_eof()
            assert near.transport.get_write_buffer_size() == 0
            near.transport.set_write_buffer_limits(high=1000, low=10)
            assert near.transport.get_write_buffer_limits() == (10, 1000)
            for nonsense in ("text", None, 5):
                with pytest.raises(TypeError):
                    near.transport.write(nonsense)
            near.transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
            assert await far.received(3) == b"abc"

    async def test_another_protocol(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, far):
            other = Recorder()
            other.events.append("made")
            near.transport.set_protocol(other)
            assert near.transport.get_protocol() is other
            far.transport.write(b"for another")
            assert await other.received(11) == b"for another"
            assert not near.data
            near.transport.set_protocol(near)


def handshake_failed(contexts: Contexts) -> None:
    """Expect what a server says of a failed handshake, in debug mode only."""
    if asyncio.get_running_loop().get_debug():
        message = "Error on transport creation for incoming connection"
        assert contexts.take_one()["message"] == message


class TestHandshakes:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_versions(self, tls: Certificates, version: ssl.TLSVersion) -> None:
        client = tls.new_client()
        client.minimum_version = client.maximum_version = version
        async with secure(client, tls.server) as (near, far):
            assert near.transport.get_extra_info("ssl_object").version() == version.name.replace(
                "_", "."
            )
            near.transport.write(b"x")
            assert await far.received(1) == b"x"

    async def test_application_protocol(self, tls: Certificates) -> None:
        client, server = tls.new_client(), tls.new_server()
        client.set_alpn_protocols(["h2", "http/1.1"])
        server.set_alpn_protocols(["http/1.1"])
        async with secure(client, server) as (near, far):
            for end in (near, far):
                chosen = end.transport.get_extra_info("ssl_object").selected_alpn_protocol()
                assert chosen == "http/1.1"

    async def test_client_certificate(self, tls: Certificates) -> None:
        server = tls.new_server()
        server.verify_mode = ssl.CERT_REQUIRED
        tls.authority.configure_trust(server)
        client = tls.new_client()
        tls.authority.issue_cert("client.example").configure_cert(client)
        async with secure(client, server) as (near, far):
            near.transport.write(b"x")
            await far.received(1)
            shown = far.transport.get_extra_info("peercert")["subjectAltName"]
            assert shown == (("DNS", "client.example"),)

    async def test_missing_client_certificate(self, tls: Certificates, contexts: Contexts) -> None:
        """TLS 1.3 lets the client believe that it is connected, until it hears otherwise."""
        server = tls.new_server()
        server.verify_mode = ssl.CERT_REQUIRED
        tls.authority.configure_trust(server)
        service = await Service().start(ssl=server)
        client = await service.dial(ssl=tls.client, server_hostname="localhost")
        await client.lost
        assert client.events[-1] == "lost"
        assert "data" not in client.events
        assert service.made.pop().events == []
        await alone()
        await service.close()
        handshake_failed(contexts)

    async def test_server_name(self, tls: Certificates) -> None:
        names: list[str | None] = []
        server, special = tls.new_server(), tls.new_server("special.example")

        def choose(of: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            names.append(name)
            if name == "special.example":
                of.context = special

        server.sni_callback = choose
        async with secure(tls.client, server, "special.example") as (near, _):
            shown = near.transport.get_extra_info("peercert")["subjectAltName"]
            assert shown == (("DNS", "special.example"),)
        async with secure(tls.client, server):
            pass
        assert names == ["special.example", "localhost"]

    @pytest.mark.parametrize(
        ("context", "name"), [("client", "elsewhere"), ("suspicious", "localhost")]
    )
    async def test_refused_by_the_client(
        self, tls: Certificates, context: str, name: str, contexts: Contexts
    ) -> None:
        service = await Service().start(ssl=tls.server)
        with pytest.raises(ssl.SSLCertVerificationError):
            await service.dial(ssl=getattr(tls, context), server_hostname=name)
        while not service.made:
            await turns()
        assert service.made.pop().events == []
        await alone()
        await service.close()
        handshake_failed(contexts)

    async def test_no_common_version(self, tls: Certificates, contexts: Contexts) -> None:
        client, server = tls.new_client(), tls.new_server()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        service = await Service().start(ssl=server)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await service.dial(ssl=client, server_hostname="localhost")
        await alone()
        service.made.clear()
        await service.close()
        handshake_failed(contexts)

    async def test_a_client_without_tls(self, tls: Certificates, contexts: Contexts) -> None:
        service = await Service().start(ssl=tls.server)
        client = await service.dial()
        client.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        await client.lost
        assert service.made.pop().events == []
        await alone()
        await service.close()
        handshake_failed(contexts)

    async def test_a_server_without_tls(self, tls: Certificates) -> None:
        service = await Service().start()
        loop = asyncio.get_running_loop()
        dialled = asyncio.ensure_future(service.dial(ssl=tls.client, server_hostname="localhost"))
        (far,) = await service.accepted()
        far.transport.write(b"220 not TLS at all\r\n")
        with pytest.raises(ssl.SSLError):
            await dialled
        assert loop.is_running()
        await service.close()

    async def test_a_client_that_goes_away(
        self, tls: Certificates, loop: asyncio.AbstractEventLoop, contexts: Contexts
    ) -> None:
        """The server's protocol is made and never connected; in debug mode it is said why."""
        loop.set_debug(True)
        service = await Service().start(ssl=tls.server)
        with socket.create_connection(("127.0.0.1", port_of(service.server))) as sock:
            while not service.made:
                await turns()
            sock.sendall(b"\x16\x03\x01")
        while not contexts:
            await turns()
        for context in contexts.take():
            assert "connection" in context["message"]
        assert service.made.pop().events == []
        await alone()
        await service.close()

    async def test_a_handshake_that_never_ends(self, tls: Certificates) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            loop = asyncio.get_running_loop()
            with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
                await loop.create_connection(
                    Recorder,
                    *silent.getsockname(),
                    ssl=tls.client,
                    server_hostname="localhost",
                    ssl_handshake_timeout=0.01,
                )

    async def test_a_cancelled_handshake(self, tls: Certificates) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            loop = asyncio.get_running_loop()
            dialled = asyncio.ensure_future(
                loop.create_connection(
                    Recorder, *silent.getsockname(), ssl=tls.client, server_hostname="localhost"
                )
            )
            accepted = (await asyncio.to_thread(silent.accept))[0]
            with accepted:
                dialled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await dialled
                accepted.settimeout(LIMIT)
                while await asyncio.to_thread(accepted.recv, 65536):
                    pass  # the greeting, then the end: nothing stays connected

    @pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
    async def test_time_limits_without_tls(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        limits: dict[str, Any] = {name: 1.0}
        with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
            await loop.create_connection(Recorder, "127.0.0.1", 1, **limits)
        with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
            await loop.create_server(Recorder, "127.0.0.1", 0, **limits)

    async def test_arguments(self, tls: Certificates) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
            await loop.create_connection(Recorder, "127.0.0.1", 1, server_hostname="x")
        with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
            await loop.create_server(Recorder, "127.0.0.1", 0, ssl=True)
        one, other = socket.socketpair()
        with one, other, pytest.raises(ValueError, match="You must set server_hostname"):
            await loop.create_connection(Recorder, sock=one, ssl=tls.client)

    async def test_no_name_to_check(self, tls: Certificates) -> None:
        """An empty name is none at all, for contexts that do not ask for one."""
        client = tls.new_client()
        client.check_hostname = False
        async with secure(client, tls.server, "") as (near, far):
            far.transport.write(b"x")
            assert await near.received(1) == b"x"


class TestData:
    @pytest.mark.parametrize("size", [1, 16384, 16385, 300_000])
    async def test_sizes(self, tls: Certificates, size: int) -> None:
        data = (BLOCK * (size // len(BLOCK) + 1))[:size]
        async with secure(tls.client, tls.server) as (near, far):
            near.transport.write(data)
            assert await far.received(size) == data
            far.transport.writelines([data[:1], data[1:]])
            assert await near.received(size) == data

    async def test_both_ways_at_once(self, tls: Certificates) -> None:
        """More than the kernel takes, in both directions, each end heeding pause_writing."""
        amount = 64

        async def send(end: Recorder) -> None:
            for _ in range(amount):
                await end.writable.wait()
                end.transport.write(BLOCK)

        async with secure(tls.client, tls.server) as (near, far):
            await asyncio.gather(
                send(near), send(far), *(end.received(amount * len(BLOCK)) for end in (near, far))
            )
            assert bytes(near.data) == bytes(far.data) == BLOCK * amount

    async def test_pause_reading(self, tls: Certificates) -> None:
        """What is paused gets nothing; the sender is told to pause; then everything comes."""
        amount = 200
        async with secure(tls.client, tls.server) as (near, far):
            far.transport.pause_reading()
            assert not far.transport.is_reading()
            sent = 0
            while near.writable.is_set() or sent < 20:
                near.transport.write(BLOCK)
                sent += 1
                await turns()
                assert sent < amount, "the sender was never paused"
            # What was decrypted when it was paused may still come, as from asyncio.
            held = len(far.data)
            await turns(20)
            assert len(far.data) == held < sent * len(BLOCK)
            far.transport.resume_reading()
            assert far.transport.is_reading()
            assert await far.received(sent * len(BLOCK)) == BLOCK * sent
            await near.writable.wait()

    async def test_a_protocol_with_buffers(self, tls: Certificates) -> None:
        amount = 20

        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.buffer = bytearray(40_000)
                self.data = bytearray()
                self.full = asyncio.get_running_loop().create_future()
                self.lost = asyncio.get_running_loop().create_future()

            def get_buffer(self, sizehint: int) -> memoryview:
                # asyncio slices it, and a slice of a bytearray is a copy.
                return memoryview(self.buffer)

            def buffer_updated(self, nbytes: int) -> None:
                self.data += self.buffer[:nbytes]
                if len(self.data) >= amount * len(BLOCK):
                    finish_once(self.full)

            def connection_lost(self, exc: Exception | None) -> None:
                self.lost.set_result(exc)

        loop = asyncio.get_running_loop()
        service = await Service().start(ssl=tls.server)
        transport, protocol = await loop.create_connection(
            Buffered, "127.0.0.1", port_of(service.server), ssl=tls.client,
            server_hostname="localhost",
        )  # fmt: skip
        (far,) = await service.accepted()
        far.transport.write(BLOCK * amount)
        await protocol.full
        assert bytes(protocol.data) == BLOCK * amount
        transport.write(b"thanks")
        assert await far.received(6) == b"thanks"
        transport.close()
        await protocol.lost
        await service.close()

    async def test_streams(self, tls: Certificates) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
            served.set_result(None)

        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="localhost"
        )
        for number in range(100):
            writer.write(f"line {number}\n".encode())
            assert await reader.readline() == f"line {number}\n".encode()
        writer.close()
        await writer.wait_closed()
        await served
        server.close()
        await server.wait_closed()

    async def test_many_connections(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        clients = await asyncio.gather(
            *(service.dial(ssl=tls.client, server_hostname="localhost") for _ in range(30))
        )
        for number, client in enumerate(clients):
            client.transport.write(b"%d" % number * 1000)
        await service.accepted(30)
        for far in service.made:
            far.transport.write(await far.received(1000))
        await asyncio.gather(*(client.received(1000) for client in clients))
        await gone(*clients)
        await service.close()


class TestTheEnd:
    async def test_close_flushes(self, tls: Certificates) -> None:
        """Everything that was written before close() arrives, and then the end."""
        amount = 100
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            for _ in range(amount):
                near.transport.write(BLOCK)
            near.transport.close()
            assert near.transport.is_closing()
            assert await near.lost is None
            assert await far.lost is None
            assert bytes(far.data) == BLOCK * amount
            assert far.events[-1] == "lost"

    async def test_close_by_the_peer(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            far.transport.write(b"bye")
            far.transport.close()
            assert await near.lost is None
            assert await far.lost is None
            assert near.events == ["made", "data", "eof", "lost"]
            assert near.data == b"bye"

    async def test_both_close(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            near.transport.close()
            far.transport.close()
            assert await near.lost is None
            assert await far.lost is None

    async def test_closed_twice(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            near.transport.close()
            near.transport.close()
            await ended(near, far)
            near.transport.close()
            assert near.events.count("lost") == 1

    async def test_abort(self, tls: Certificates) -> None:
        """Nothing is flushed, and the end is at once."""
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            far.transport.pause_reading()
            while near.writable.is_set():
                near.transport.write(BLOCK)
                await turns()
            near.transport.abort()
            assert near.transport.is_closing()
            assert await near.lost is None
            far.transport.resume_reading()
            await far.lost
            assert far.events[-1] == "lost"

    async def test_cut_off(self, tls: Certificates) -> None:
        """The peer's connection ends without TLS saying so."""
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            far.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            await ended(near, far)
            assert near.events[-1] == "lost"

    async def test_write_after_close(self, tls: Certificates) -> None:
        """Ignored, as by every transport."""
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            near.transport.write(b"last")
            near.transport.close()
            near.transport.write(b"too late")
            await ended(near, far)
            near.transport.write(b"much too late")
            assert far.data == b"last"

    async def test_data_after_close_is_not_lost(self, tls: Certificates) -> None:
        """What the peer has sent when it closes is received, however slowly it is read."""
        amount = 50
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            far.transport.pause_reading()
            for _ in range(amount):
                near.transport.write(BLOCK)
            near.transport.close()
            await turns(10)
            far.transport.resume_reading()
            await ended(near, far)
            assert bytes(far.data) == BLOCK * amount

    async def test_a_peer_that_never_says_goodbye(self, tls: Certificates) -> None:
        """After the shutdown timeout the connection is cut."""
        service = await Service().start()
        loop = asyncio.get_running_loop()
        silent: list[asyncio.Transport] = []

        class Mute(Recorder):
            """A TLS server of its own making that answers nothing once it is connected."""

            def __init__(self) -> None:
                super().__init__()
                self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                self.tls = tls.server.wrap_bio(self.incoming, self.outgoing, server_side=True)
                self.done = False

            def data_received(self, data: bytes) -> None:
                silent.append(self.transport)
                if self.done:
                    return
                self.incoming.write(data)
                try:
                    self.tls.do_handshake()
                    self.done = True
                except ssl.SSLWantReadError:
                    pass
                self.transport.write(self.outgoing.read())

        mute = await loop.create_server(Mute, "127.0.0.1", 0)
        _, client = await loop.create_connection(
            Recorder, "127.0.0.1", port_of(mute), ssl=tls.client, server_hostname="localhost",
            ssl_shutdown_timeout=0.01,
        )  # fmt: skip
        client.transport.close()
        error = await client.lost
        assert error is None or isinstance(error, TimeoutError)
        silent[0].abort()
        mute.close()
        await mute.wait_closed()
        await service.close()

    async def test_a_server_that_closes(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        client = await service.dial(ssl=tls.client, server_hostname="localhost")
        (far,) = await service.accepted()
        service.server.close()
        client.transport.write(b"still here")
        assert await far.received(10) == b"still here"
        client.transport.close()
        await ended(client, far)
        await service.close()


class TestThePeerGoesInTheSameTurn:
    """What was written in this turn finds nobody: the connection ends, and the rest goes on."""

    @pytest.mark.parametrize("how", ["reset", "closed"])
    async def test_after_a_write(self, tls: Certificates, how: str) -> None:
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            sock = far.transport.get_extra_info("socket")
            linger = struct.pack("ii", how == "reset", 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            near.transport.write(b"before")
            assert await far.received(6) == b"before"
            # One turn: what we write is sent, at the latest, when it is over.
            near.transport.write(b"in the same turn")
            far.transport.abort()
            near.transport.write(b"and again")
            await asyncio.wait_for(ended(near, far), LIMIT)
            near.transport.write(b"after the end")

    async def test_others_in_the_same_turn(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server, finish=False) as (gone_soon, other):
            async with secure(tls.client, tls.server) as (near, far):
                for transport in (gone_soon.transport, near.transport):
                    transport.write(b"all of it")
                other.transport.abort()
                assert await far.received(9) == b"all of it"
            await asyncio.wait_for(ended(gone_soon, other), LIMIT)


async def test_drain_of_asyncios_streams_sends_at_once(tls: Certificates) -> None:
    """A handler that then blocks the loop until the peer has the answer does not wait in vain."""
    arrived = threading.Event()
    seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def ask(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            tls.client.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            sock.sendall(b"?")
            if sock.recv(100) == b"answer":
                arrived.set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"answer")
        await writer.drain()
        seen.set_result(arrived.wait(30))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls.server)
    asking = asyncio.create_task(asyncio.to_thread(ask, port_of(server)))
    assert await seen
    await asking
    server.close()
    await server.wait_closed()
    await asyncio.get_running_loop().shutdown_default_executor()
