"""Who keeps whom alive between a StreamReaderProtocol, its reader and its task."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

from helpers import Contexts, turns, until


class Link(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_a_protocol_does_not_keep_its_reader(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    assert protocol._stream_reader is reader
    assert protocol._stream_reader_wr() is reader
    protocol.data_received(b"heard")
    assert await reader.readexactly(5) == b"heard"
    gone = weakref.ref(reader)
    del reader
    assert gone() is None
    assert protocol._stream_reader is None
    # Nobody is there to hear it.
    protocol.data_received(b"unheard")
    protocol.eof_received()
    protocol.connection_lost(None)


async def test_a_reader_does_not_keep_its_protocol(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    gone = weakref.ref(streams.StreamReaderProtocol(reader, loop=loop))
    assert gone() is None
    reader.feed_data(b"x")
    assert await reader.read(1) == b"x"
    # The next one finds it free.
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    protocol.data_received(b"y")
    assert await reader.read(1) == b"y"


async def test_a_reader_with_several_protocols(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    protocols = [streams.StreamReaderProtocol(reader, loop=loop) for _ in range(3)]
    for protocol in protocols:
        assert protocol._stream_reader is reader
        protocol.data_received(b"x")
    assert await reader.readexactly(3) == b"xxx"
    del protocols[1], protocol
    protocols[-1].data_received(b"y")
    assert await reader.read(9) == b"y"
    protocols[0].connection_lost(None)
    assert protocols[0]._stream_reader is None
    assert await reader.read(9) == b""
    gone = weakref.ref(reader)
    del reader
    assert gone() is None
    assert protocols[-1]._stream_reader is None


async def test_another_reader_is_put_in_its_place(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    """The attribute is asyncio's, and there is code that sets it."""
    first, second = streams.StreamReader(loop=loop), streams.StreamReader(loop=loop)
    protocol = streams.StreamReaderProtocol(first, loop=loop)
    protocol._stream_reader_wr = weakref.ref(second)
    protocol.data_received(b"for the second")
    assert await second.read(20) == b"for the second"
    assert protocol._stream_reader is second
    del first
    protocol.data_received(b"still")
    assert await second.read(20) == b"still"
    protocol._stream_reader_wr = None
    assert protocol._stream_reader_wr is None
    other = streams.StreamReaderProtocol(second, loop=loop)
    protocol.__init__(second, loop=loop)
    for each in (protocol, other):
        each.data_received(b"x")
    assert await second.readexactly(2) == b"xx"


async def test_they_go_together_in_a_cycle(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader = streams.StreamReader(loop=loop)
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    reader.protocol, protocol.reader = protocol, reader
    gone = [weakref.ref(reader), weakref.ref(protocol)]
    del reader, protocol
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


async def test_the_end_of_the_task_is_looked_at(
    loop: asyncio.AbstractEventLoop, streams: Any, contexts: Contexts
) -> None:
    """What the handler raises is reported and closes the transport; a callback can be removed."""

    async def fails(_reader: Any, _writer: Any) -> None:
        raise LookupError("in the handler")

    async def waits(_reader: Any, writer: Any) -> None:
        await asyncio.sleep(0)
        writer.close()

    link = Link()
    protocol = streams.StreamReaderProtocol(streams.StreamReader(loop=loop), fails, loop=loop)
    protocol.connection_made(link)
    assert "cb=[" in repr(protocol._task)
    await until(lambda: link.closed)
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert context["transport"] is link
    protocol.connection_lost(None)

    link = Link()
    protocol = streams.StreamReaderProtocol(streams.StreamReader(loop=loop), waits, loop=loop)
    protocol.connection_made(link)
    task = protocol._task
    ((callback, _),) = task._callbacks
    assert task.remove_done_callback(callback) == 1
    assert not task._callbacks
    task.add_done_callback(callback)
    await task
    protocol.connection_lost(None)


async def test_a_task_of_another_kind(
    loop: asyncio.AbstractEventLoop, streams: Any, contexts: Contexts
) -> None:
    """A task factory may make whatever it likes."""

    async def fails(_reader: Any, _writer: Any) -> None:
        raise LookupError("in the handler")

    loop.set_task_factory(lambda loop, coro, **kwargs: PythonTask(coro, loop=loop, **kwargs))
    try:
        link = Link()
        protocol = streams.StreamReaderProtocol(streams.StreamReader(loop=loop), fails, loop=loop)
        protocol.connection_made(link)
        assert isinstance(protocol._task, PythonTask)
        await until(lambda: link.closed)
    finally:
        loop.set_task_factory(None)
    assert isinstance(contexts.take_one()["exception"], LookupError)
    protocol.connection_lost(None)


PythonTask: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]


class Named(asyncio.Future[None]):
    """What a loop wants of a factory's task, but no task."""

    def set_name(self, name: object) -> None:
        self.name = name


async def test_a_task_that_is_done_at_once(
    loop: asyncio.AbstractEventLoop, streams: Any, contexts: Contexts
) -> None:
    """What a factory makes may be no task, and done: its callback runs all the same."""

    async def fails(_reader: Any, _writer: Any) -> None:
        raise LookupError("at once")

    def done_at_once(loop: Any, coro: Any, **kwargs: Any) -> Any:
        coro.close()
        future = Named(loop=loop)
        future.set_result(None)
        return future

    loop.set_task_factory(done_at_once)
    try:
        link = Link()
        link.close()  # the writer goes with the coroutine, and says so of an open one
        protocol = streams.StreamReaderProtocol(streams.StreamReader(loop=loop), fails, loop=loop)
        protocol.connection_made(link)
        await turns(2)
    finally:
        loop.set_task_factory(None)
    protocol.connection_lost(None)
    assert not contexts
