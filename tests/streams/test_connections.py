"""Streams over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import random
import socket
import warnings
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest

from helpers import Contexts, turns, until


@contextlib.asynccontextmanager
async def pair(streams: Any, **options: Any) -> AsyncIterator[tuple[Any, Any, Any, Any]]:
    """A connection: reader and writer of the client, reader and writer of the server."""
    accepted = asyncio.get_running_loop().create_future()
    server = await streams.start_server(
        lambda reader, writer: accepted.set_result((reader, writer)), "127.0.0.1", 0, **options
    )
    port = server.sockets[0].getsockname()[1]
    reader, writer = await streams.open_connection("127.0.0.1", port, **options)
    theirs, answer = await accepted
    try:
        yield reader, writer, theirs, answer
    finally:
        for each in (writer, answer):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()
        server.close()
        await server.wait_closed()


async def test_lines_there_and_back(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    async def shout(reader: Any, writer: Any) -> None:
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await streams.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await streams.open_connection("127.0.0.1", port)
    for line in (b"one\n", b"two\n", b"x" * 40_000 + b"\n"):
        writer.write(line)
        assert await reader.readline() == line.upper()
    writer.writelines([b"three\n", b"four\n"])
    assert await reader.readline() == b"THREE\n"
    assert writer.can_write_eof()
    writer.write_eof()
    assert await reader.read() == b"FOUR\n"
    assert reader.at_eof()
    writer.close()
    assert writer.is_closing()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("seed", range(4))
async def test_no_byte_is_lost_whatever_is_cancelled(
    loop: asyncio.AbstractEventLoop, streams: Any, seed: int
) -> None:
    """Reads of all kinds, many of them cancelled while they wait, put together what was sent."""
    choose = random.Random(seed)
    sent = choose.randbytes(60_000).replace(b"\r", b"\n")
    async with pair(streams, limit=8192) as (reader, _, _, answer):

        async def send() -> None:
            start = 0
            while start < len(sent):
                size = choose.choice([7, 100, 5000, 60_000])
                answer.write(sent[start : start + size])
                start += size
                await answer.drain()
                if choose.random() < 0.3:
                    await turns(choose.randint(1, 4))
            answer.write_eof()

        sender = loop.create_task(send())
        got = bytearray()
        while not reader.at_eof():
            size = choose.choice([10, 1000, 20_000])
            method = choose.choice(["read", "readexactly", "readline"])
            arguments = () if method == "readline" else (size,)
            task = loop.create_task(getattr(reader, method)(*arguments))
            await turns(choose.randint(0, 6))
            if choose.random() < 0.5:
                task.cancel()
            try:
                got += await task
            except asyncio.CancelledError:
                pass
            except asyncio.IncompleteReadError as error:
                got += error.partial
        await sender
        assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest()


async def test_readexactly_of_more_than_the_limit(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    sent = random.Random(1).randbytes(3_000_000)
    async with pair(streams) as (reader, _, _, answer):

        async def send() -> None:
            answer.write(sent)
            await answer.drain()

        sender = loop.create_task(send())
        assert await reader.readexactly(len(sent) - 5) == sent[:-5]
        assert await reader.readexactly(5) == sent[-5:]
        await sender


async def test_everybody_who_drains_is_woken(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    async with pair(streams) as (_, writer, theirs, _):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        size = 4_000_000
        writer.write(b"x" * size)
        waiting = [loop.create_task(writer.drain()) for _ in range(5)]
        await turns(3)
        assert not any(task.done() for task in waiting)
        waiting[1].cancel()
        await turns(2)
        assert len(writer.transport.get_protocol()._drain_waiters) == 4
        got = len(await theirs.readexactly(size))
        await asyncio.gather(*waiting, return_exceptions=True)
        assert got == size
        assert [task.cancelled() for task in waiting] == [False, True, False, False, False]
        assert not writer.transport.get_protocol()._drain_waiters
        await writer.drain()


async def test_draining_a_lost_connection(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    async with pair(streams) as (reader, writer, _, answer):
        answer.transport.abort()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            await writer.drain()


async def test_the_error_of_the_connection_reaches_reads_and_drains(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    async with pair(streams) as (reader, writer, _, answer):
        sock = answer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        answer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()


async def test_drain_lets_a_closed_connection_say_so(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    """A loop of writes and drains must hear of the end at some time."""
    async with pair(streams) as (_, writer, _, answer):
        answer.transport.abort()
        await turns(2)

        async def write_for_ever() -> None:
            while True:
                writer.write(b"x")
                await writer.drain()

        with pytest.raises(OSError):
            await write_for_ever()


async def test_an_exception_in_the_callback_is_reported(
    loop: asyncio.AbstractEventLoop, streams: Any, contexts: Contexts
) -> None:
    async def fail(reader: Any, writer: Any) -> None:
        raise ValueError("on purpose")

    server = await streams.start_server(fail, "127.0.0.1", 0)
    reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    context = contexts.take_one()
    assert context["message"] == "Unhandled exception in client_connected_cb"
    assert isinstance(context["exception"], ValueError)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_writer_that_is_forgotten_is_closed_with_a_warning(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    async with pair(streams) as (reader, writer, theirs, _):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # `pair` would keep it alive: a second writer on the same transport.
            second = streams.StreamWriter(
                writer.transport, writer.transport.get_protocol(), reader, loop
            )
            del second
            gc.collect()
        messages = [str(warning.message) for warning in caught]
        assert writer.is_closing()
        assert messages == [f"unclosed {writer!r}"]
        assert await theirs.read() == b""


async def test_the_reader_may_go_before_the_writer(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    """What comes for a reader that is gone is dropped; writing goes on."""
    accepted = loop.create_future()
    server = await streams.start_server(
        lambda reader, writer: accepted.set_result((reader, writer)), "127.0.0.1", 0
    )
    reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
    theirs, answer = await accepted
    protocol = writer.transport.get_protocol()
    writer._reader = None
    del reader
    gc.collect()
    assert protocol._stream_reader is None
    answer.write(b"for nobody")
    writer.write(b"for you\n")
    assert await theirs.readline() == b"for you\n"
    answer.close()
    await until(lambda: protocol._connection_lost or writer.is_closing() or theirs.at_eof())
    writer.close()
    await writer.wait_closed()
    await answer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_classes_are_asyncios(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    async with pair(streams) as (reader, writer, _, _):
        assert isinstance(reader, asyncio.streams.StreamReader)
        assert isinstance(writer, asyncio.streams.StreamWriter)
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, asyncio.streams.StreamReaderProtocol)
        assert isinstance(protocol, asyncio.streams.FlowControlMixin)
        assert isinstance(protocol, asyncio.Protocol)


async def test_a_protocol_of_a_derived_class_sees_every_call(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    seen: list[bytes] = []

    class Watching(streams.StreamReaderProtocol):  # type: ignore[misc, name-defined]
        def data_received(self, data: bytes) -> None:
            seen.append(data)
            super().data_received(data)

    async def greet(reader: Any, writer: Any) -> None:
        writer.write(b"hello\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await streams.start_server(greet, "127.0.0.1", 0)
    reader = streams.StreamReader(loop=loop)
    protocol = Watching(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, *server.sockets[0].getsockname())
    assert await reader.readline() == b"hello\n"
    assert b"".join(seen) == b"hello\n"
    transport.close()
    await protocol._get_close_waiter(None)
    server.close()
    await server.wait_closed()
    await until(lambda: len(asyncio.all_tasks()) == 1)  # up to 3.11 nobody has waited for it


@pytest.mark.parametrize("where", ["reader", "reader's class", "protocol", "protocol's class"])
async def test_a_method_that_somebody_has_patched_is_called(
    loop: asyncio.AbstractEventLoop, streams: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Instrumentation puts its own functions there, on an object or on the class."""
    async with pair(streams) as (reader, writer, _, answer):
        answer.write(b"before\n")
        assert await reader.readline() == b"before\n"
        protocol = writer.transport.get_protocol()
        seen: list[bytes] = []
        owner = reader if "reader" in where else protocol
        name = "feed_data" if "reader" in where else "data_received"
        original = getattr(owner, name)
        if "class" in where:

            def watch(self: Any, data: bytes) -> None:
                if self is owner:
                    seen.append(bytes(data))
                original_function(self, data)

            original_function = getattr(type(owner), name)
            monkeypatch.setattr(type(owner), name, watch)
        else:

            def watch_one(data: bytes) -> None:
                seen.append(bytes(data))
                original(data)

            monkeypatch.setattr(owner, name, watch_one)
        answer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        assert b"".join(seen) == b"hello\n"
        monkeypatch.undo()
        answer.write(b"after\n")
        assert await reader.readline() == b"after\n"
        assert b"".join(seen) == b"hello\n"


async def test_methods_that_are_patched_on_a_transport(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    """As tests of protocols do, to see what is written."""
    async with pair(streams) as (_, writer, theirs, _answer):
        transport = writer.transport
        with mock.patch.object(transport, "write") as write:
            writer.write(b"data")
        write.assert_called_once_with(b"data")
        with mock.patch.object(transport, "is_closing", return_value=True) as is_closing:
            assert writer.is_closing() is True
            await writer.drain()
        assert len(is_closing.mock_calls) == 2
        transport.note = "an attribute"
        assert not writer.is_closing()
        writer.write(b"more")
        await writer.drain()
        assert await theirs.readexactly(4) == b"more"
