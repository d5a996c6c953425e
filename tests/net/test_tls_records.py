"""TLS record by record: in pieces, many at once; and what somebody has replaced in between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import tracemalloc
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from helpers import Contexts, Recorder, Service, port_of, turns
from net.tls import Certificates, secure

pytestmark = pytest.mark.usefixtures("loop")
BLOCK = bytes(range(256)) * 256
APPLICATION_DATA = 23
HEADER = 0x100
"""The kind by which ssl reports a record's header."""


@pytest.fixture(scope="session")
def tls() -> Certificates:
    return Certificates()


class ByHand(Recorder):
    """A client that speaks TLS by itself over a plain connection: the test has the records."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        had = 0
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.transport.write(self.outgoing.read())
                self.incoming.write((await self.received(had + 1))[had:])
                had = len(self.data)
            else:
                self.transport.write(self.outgoing.read())
                self.data.clear()
                return

    def encrypt(self, *messages: bytes) -> bytes:
        """The records of these messages, each of at most 16 KiB."""
        for message in messages:
            assert self.tls.write(message) == len(message)
        return self.outgoing.read()

    async def decrypt(self, amount: int) -> bytes:
        """Wait for so much in the clear; what came is forgotten."""
        found = b""
        while len(found) < amount:
            try:
                found += self.tls.read(amount - len(found))
            except ssl.SSLWantReadError:
                self.incoming.write(await self.received(1))
                self.data.clear()
        return found


async def by_hand(service: Service, context: ssl.SSLContext) -> tuple[ByHand, Recorder]:
    """A client by hand with its peer on the server, shaken hands."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: ByHand(context), "127.0.0.1", port_of(service.server)
    )
    await client.shake_hands()
    (far,) = await service.accepted()
    return client, far


async def over(service: Service, client: Recorder) -> None:
    client.transport.abort()
    await client.lost
    await service.close()


async def past_tickets(client: Recorder, server: Recorder) -> None:
    """Nothing is on its way to the client: TCP would answer an abort with a reset."""
    server.transport.write(b"x")
    await client.received(1)


class TestPieces:
    @pytest.mark.parametrize(("piece", "size"), [(1, 300), (7, 2000), (5000, 50_000)])
    async def test_records_come_in_pieces(self, tls: Certificates, piece: int, size: int) -> None:
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        data = (BLOCK * 2)[:size]
        encrypted = client.encrypt(*(data[at : at + 16384] for at in range(0, size, 16384)))
        for at in range(0, len(encrypted), piece):
            client.transport.write(encrypted[at : at + piece])
            await turns(2)
        assert await far.received(size) == data
        await over(service, client)

    async def test_what_came_together_is_told_together(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        with mock.patch.object(far, "data_received", wraps=far.data_received) as told:
            client.transport.write(client.encrypt(b"a" * 100, b"b", b"c" * 3000))
            assert await far.received(3101) == b"a" * 100 + b"b" + b"c" * 3000
        told.assert_called_once()
        await over(service, client)

    async def test_the_rest_of_a_record_with_the_next(self, tls: Certificates) -> None:
        """OpenSSL has the beginning already: more is read than has come."""
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        first, second = client.encrypt(BLOCK[:16384]), client.encrypt(b"next")
        client.transport.write(first[:-3])
        await turns(10)
        assert not far.data
        client.transport.write(first[-3:] + second)
        assert await far.received(16388) == BLOCK[:16384] + b"next"
        await over(service, client)

    async def test_data_and_the_end_together(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        data = client.encrypt(b"last words")
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.transport.write(data + client.outgoing.read())
        assert await far.lost is None
        assert far.data == b"last words"
        assert far.events == ["made", "data", "eof", "lost"]
        await over(service, client)

    async def test_nonsense_after_the_handshake(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        good = client.encrypt(b"good")
        client.transport.write(good)
        assert await far.received(4) == b"good"
        client.transport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert isinstance(await far.lost, ssl.SSLError)
        assert far.data == b"good"
        await over(service, client)

    async def test_a_protocol_that_fails(self, tls: Certificates, contexts: Any) -> None:
        service = await Service().start(ssl=tls.server)
        client, far = await by_hand(service, tls.client)
        error = ZeroDivisionError("of the protocol")
        with mock.patch.object(far, "data_received", side_effect=error):
            client.transport.write(client.encrypt(b"x"))
            assert await far.lost is error
        context = contexts.take_one()
        assert context["message"] == "Fatal error on SSL protocol"
        assert context["exception"] is error
        await over(service, client)


class TestStreams:
    async def test_many_records_for_one_read(self, tls: Certificates) -> None:
        """The reader of a waiting task gets the records one by one."""
        size = 100_000
        data = (BLOCK * 2)[:size]

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while got := await reader.read(65536):
                writer.write(got)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
            served.set_result(None)

        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="localhost"
        )
        for _ in range(20):
            writer.write(data)
            assert await reader.readexactly(size) == data
        writer.close()
        await writer.wait_closed()
        await served
        server.close()
        await server.wait_closed()


class TestWrites:
    async def test_kinds(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, far):
            near.transport.write(b"")
            near.transport.write(bytearray(b"array "))
            near.transport.write(memoryview(b"view ")[:])
            near.transport.writelines([])
            near.transport.writelines([b"", b"lines ", bytearray(b"mixed ")])
            near.transport.writelines(iter([b"iterated ", b"twice"]))
            expected = b"array view lines mixed iterated twice"
            assert await far.received(len(expected)) == expected
            with pytest.raises(TypeError, match="expecting a bytes-like instance, got str"):
                near.transport.write("text")  # type: ignore[arg-type]

    @pytest.mark.aioxide_only  # asyncio makes a record of each
    async def test_lines_share_a_record(self, tls: Certificates) -> None:
        service = await Service().start(ssl=tls.server)
        context = tls.new_client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # the next one sends tickets first
        client, far = await by_hand(service, context)
        far.transport.writelines([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"body"])
        while not client.data:
            await turns()
        kind, length = client.data[0], int.from_bytes(client.data[3:5], "big")
        assert kind == APPLICATION_DATA
        assert len(client.data) == 5 + length
        client.incoming.write(bytes(client.data))
        assert client.tls.read(100) == b"HTTP/1.1 200 OK\r\n\r\nbody"
        await over(service, client)

    async def test_many_small_ones(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, far):
            for byte in BLOCK[:5000]:
                near.transport.write(b"%c" % byte)
            assert await far.received(5000) == BLOCK[:5000]

    async def test_lines_that_close(self, tls: Certificates) -> None:
        """What was there before the end is sent with it, what comes after is for nobody."""

        def lines() -> Iterator[bytes]:
            yield b"before"
            near.transport.close()
            yield b"after"

        async with secure(tls.client, tls.server) as (near, far):
            near.transport.writelines(lines())
        assert far.data == b"before"

    async def test_lines_that_fail(self, tls: Certificates) -> None:
        """What was there before is sent with the next write."""

        def lines() -> Iterator[bytes]:
            yield b"before, "
            raise ZeroDivisionError

        async with secure(tls.client, tls.server) as (near, far):
            with pytest.raises(ZeroDivisionError):
                near.transport.writelines(lines())
            near.transport.write(b"after")
            assert await far.received(13) == b"before, after"

    async def test_limits(self, tls: Certificates) -> None:
        """With marks of nothing there is always too much, and then again little enough."""
        async with secure(tls.client, tls.server) as (near, far):
            near.transport.set_write_buffer_limits(high=0)
            assert near.events == ["made", "pause"]
            near.transport.write(b"x")
            assert near.events == ["made", "pause", "resume"]
            near.transport.write(b"y")
            near.transport.set_write_buffer_limits(high=10)
            assert near.events == ["made", "pause", "resume", "pause", "resume"]
            assert await far.received(2) == b"xy"


class TestErrorsOfOpenSSL:
    async def test_in_the_middle_of_a_write(self, tls: Certificates, contexts: Contexts) -> None:
        """The second of three records fails: then nothing of the write is sent."""
        records = 0
        error = ZeroDivisionError("while a record is made")

        def look(conn: ssl.SSLObject, direction: str, *about: Any) -> None:
            nonlocal records
            if armed and direction == "write" and about[1].name == "HEADER":
                records += 1
                if records == 2:
                    raise error

        armed = False
        client = tls.new_client()
        client._msg_callback = look  # type: ignore[attr-defined]
        async with secure(client, tls.server, finish=False) as (near, far):
            await past_tickets(near, far)
            armed = True
            near.transport.writelines([b"a" * 16_384, b"b" * 16_384, b"c" * 16_384])
            assert records == 2
            near.transport.write(b"to nobody")
            assert await near.lost is error
            assert await far.lost is None
        assert not far.data
        assert near.events == ["made", "data", "lost"]
        context = contexts.take_one()
        assert context["message"] == "Fatal error on SSL protocol"
        assert context["exception"] is error
        # Python's ssl keeps a reference to it for ever; not to what it has seen.
        error.__traceback__ = None

    async def test_after_a_shutdown_behind_our_back(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            await past_tickets(near, far)
            with pytest.raises(ssl.SSLWantReadError):
                near.transport.get_extra_info("ssl_object").unwrap()
            near.transport.write(b"too late")
            assert isinstance(await near.lost, ssl.SSLError)
            assert await far.lost is None
        assert not far.data


class TestWhatIsReplaced:
    @pytest.mark.parametrize(
        "method", ["_do_read", "_do_read__copied", "_write_appdata", "_process_outgoing"]
    )
    async def test_a_method_of_the_protocol(self, tls: Certificates, method: str) -> None:
        """asyncio calls these through self: whoever patches one is asked."""
        async with secure(tls.client, tls.server) as (near, far):
            protocol: Any = near.transport._ssl_protocol  # type: ignore[attr-defined]
            original = getattr(protocol, method)
            with mock.patch.object(protocol, method, wraps=original) as asked:
                near.transport.write(b"question")
                assert await far.received(8) == b"question"
                far.transport.write(b"answer")
                assert await near.received(6) == b"answer"
            assert asked.called
            near.transport.write(b", again")
            assert await far.received(15) == b"question, again"

    @pytest.mark.parametrize(
        "method",
        ["buffer_updated", "_do_read", "_do_read__copied", "_write_appdata", "_process_outgoing"],
    )
    async def test_a_method_of_asyncios_class(self, tls: Certificates, method: str) -> None:
        """As patches of asyncio itself do it, for all connections."""
        calls = 0

        def counting(protocol: Any, *args: Any) -> Any:
            nonlocal calls
            calls += 1
            return original(protocol, *args)

        stock = asyncio.sslproto.SSLProtocol
        original = getattr(stock, method)
        async with secure(tls.client, tls.server) as (near, far):
            with mock.patch.object(stock, method, counting):
                near.transport.write(b"question")
                assert await far.received(8) == b"question"
                assert calls
            had = calls
            near.transport.write(b", again")
            assert await far.received(15) == b"question, again"
            assert calls == had

    async def test_a_class_of_ssl_objects(self, tls: Certificates) -> None:
        """A context's own class does all the reading and writing."""
        calls: list[str] = []

        class Counting(ssl.SSLObject):
            def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002
                calls.append("read")
                return super().read(len, buffer)

            def write(self, data: Any) -> int:
                calls.append("write")
                return super().write(data)

        client = tls.new_client()
        client.sslobject_class = Counting
        async with secure(client, tls.server) as (near, far):
            calls.clear()
            near.transport.write(b"question")
            assert await far.received(8) == b"question"
            far.transport.write(b"answer")
            assert await near.received(6) == b"answer"
            assert {"read", "write"} == set(calls)


class TestClasses:
    @pytest.mark.aioxide_only
    async def test_they_are_asyncios(self, tls: Certificates) -> None:
        async with secure(tls.client, tls.server) as (near, _):
            transport: Any = near.transport
            assert isinstance(transport, asyncio.sslproto._SSLProtocolTransport)
            assert isinstance(transport._ssl_protocol, asyncio.sslproto.SSLProtocol)
            assert isinstance(transport._ssl_protocol, asyncio.BufferedProtocol)

    @pytest.mark.aioxide_only  # asyncio's protocol has a buffer of 256 KiB
    async def test_an_idle_connection_weighs_little(self, tls: Certificates) -> None:
        connections = 20
        service = await Service().start(ssl=tls.server)
        await service.dial(ssl=tls.client, server_hostname="localhost")
        gc.collect()
        tracemalloc.start()
        try:
            clients = [
                await service.dial(ssl=tls.client, server_hostname="localhost")
                for _ in range(connections)
            ]
            await service.accepted(connections + 1)
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held / (2 * connections) < 16 * 1024
        for client in clients:
            client.transport.abort()
            await client.lost
        await service.close()


async def test_closing_with_what_is_below(tls: Certificates) -> None:
    """From 3.12.8 and 3.13.1 on (cpython#118950): a drain() in a loop hears of the end."""
    async with secure(tls.client, tls.server, finish=False) as (near, far):
        protocol: Any = near.transport._ssl_protocol  # type: ignore[attr-defined]
        protocol._transport.abort()
        tells = hasattr(asyncio.sslproto.SSLProtocol, "_is_transport_closing")
        assert near.transport.is_closing() is tells
        await asyncio.gather(near.lost, far.lost)
        assert near.transport.is_closing()


@pytest.mark.aioxide_only  # asyncio has it from 3.14.3 on (cpython#142352)
async def test_a_hello_that_came_too_early(tls: Certificates) -> None:
    """A client that does not wait for the server's word: its hello is in the reader already."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        await writer.start_tls(tls.server)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        served.set_result(None)

    loop = asyncio.get_running_loop()
    served: asyncio.Future[None] = loop.create_future()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, client = await loop.create_connection(
        lambda: ByHand(tls.client), "127.0.0.1", port_of(server)
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.transport.write(b"STARTTLS\n" + client.outgoing.read())
    await client.shake_hands()
    client.transport.write(client.encrypt(b"secret\n"))
    assert await client.decrypt(7) == b"secret\n"
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.transport.write(client.outgoing.read())
    await served
    await client.lost
    server.close()
    await server.wait_closed()


class Interruption(BaseException):
    """What a signal's handler may raise."""


@contextlib.contextmanager
def raising_at_record(
    context: ssl.SSLContext, number: int, error: BaseException
) -> Iterator[asyncio.Event]:
    """Have the writing of a context's connection raise at a record; set the event to count."""
    armed = asyncio.Event()
    seen = 0

    def see(_: Any, direction: str, __: Any, kind: int, ___: Any, ____: Any) -> None:
        nonlocal seen
        if armed.is_set() and direction == "write" and kind == HEADER:
            seen += 1
            if seen == number:
                raise error

    context._msg_callback = see  # type: ignore[attr-defined]
    yield armed
    # The collector does not look into what is behind an SSLObject.
    context._msg_callback = None  # type: ignore[attr-defined]


class TestWritesThatFail:
    @pytest.mark.parametrize("lines", [False, True])
    async def test_what_is_refused_is_kept(self, tls: Certificates, lines: bool) -> None:
        """After its own close_notify OpenSSL takes nothing: a real error, of a whole write."""
        async with secure(tls.client, tls.server, finish=False) as (near, far):
            near.transport.write(b"good")
            assert await far.received(4) == b"good"
            with pytest.raises(ssl.SSLWantReadError):
                near.transport._ssl_protocol._sslobj.unwrap()  # type: ignore[attr-defined]
            waiting = near.transport.get_write_buffer_size()
            if lines:
                near.transport.writelines([b"re", bytearray(b"fus"), b"ed"])
            else:
                near.transport.write(b"refused")
            # It is not forgotten before the connection is.
            assert near.transport.get_write_buffer_size() == waiting + 7
            near.transport.write(b", too")
            assert near.transport.get_write_buffer_size() == waiting + 12
            error = await near.lost
            assert isinstance(error, ssl.SSLError)
            assert "PROTOCOL_IS_SHUTDOWN" in str(error)
            assert near.events == ["made", "lost"]
            await far.lost
            assert far.data == b"good"

    @pytest.mark.aioxide_only  # asyncio sends the piece twice
    async def test_an_interruption(self, tls: Certificates) -> None:
        """What is no Exception ends nothing. It comes when OpenSSL has taken the piece."""
        client = tls.new_client()
        pieces = [b"a" * 16384, b"b" * 16000, b"c" * 384]
        with raising_at_record(client, 2, Interruption()) as armed:
            async with secure(client, tls.server) as (near, far):
                armed.set()
                with pytest.raises(Interruption):
                    near.transport.writelines(pieces)
                near.transport.write(b"d")
                expected = b"".join(pieces) + b"d"
                assert await far.received(len(expected)) == expected
