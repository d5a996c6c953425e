"""Streams: asyncio's StreamReader and StreamWriter, with the reading and writing in Rust.

Each class is a native core and asyncio's class of the same name. What runs per packet and per call
is native; what runs once per connection is here.
"""

from __future__ import annotations

import asyncio
import asyncio.streams
from typing import TYPE_CHECKING, Any, cast

from . import _aioxide
from ._copying import restorable
from ._functions import dress_methods

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    _Connected = Callable[["StreamReader", "StreamWriter"], Awaitable[None] | None]

__all__ = (
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
)

_DEFAULT_LIMIT = 2**16  # bytes
_UNHANDLED = "Unhandled exception in client_connected_cb"

# asyncio's own classes, also after install().
_Reader = asyncio.streams.StreamReader
_Writer = asyncio.streams.StreamWriter
_Protocol = asyncio.streams.StreamReaderProtocol


class StreamReader(_aioxide.StreamReaderCore, _Reader):
    """What a connection receives, to be read with ``await``.

    ``async for line in reader:`` reads line by line. It is made by `open_connection` and
    `start_server`.

    Args:
        limit: the longest line in bytes, and half of what is received ahead.
        loop: the loop; the running one if None.
    """


class StreamWriter(_aioxide.StreamWriterCore, _Writer):
    """What a connection sends.

    It is made by `open_connection` and `start_server`. `write` does not wait: ``await drain()``
    after it keeps a fast writer from filling the memory.
    """

    async def start_tls(
        self,
        sslcontext: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """Go on under TLS.

        Args:
            sslcontext: the TLS settings.
            server_hostname: whom a client expects.
            ssl_handshake_timeout: seconds for the handshake; 60 if None.
            ssl_shutdown_timeout: seconds for the shutdown; 30 if None. Python 3.11's asyncio does
                not have it here, though its loop does.
        """
        protocol = self._protocol
        server_side = protocol._client_connected_cb is not None
        await self.drain()
        transport = await self._loop.start_tls(
            self._transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._transport = transport
        if hasattr(protocol, "_replace_transport"):
            protocol._replace_transport(transport)
        else:
            protocol._replace_writer(self)


class StreamReaderProtocol(_aioxide.StreamReaderProtocolCore, _Protocol):
    """Between a transport and a StreamReader: for ``create_connection`` and ``create_server``.

    Args:
        stream_reader: the reader to feed.
        client_connected_cb: called with a reader and a writer when a client has connected; None
            for a client.
        loop: the loop; the running one if None.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: for an accepted connection, call ``client_connected_cb``."""
        if self._reject_connection:
            context: dict[str, Any] = {
                "message": (
                    "An open stream was garbage collected prior to establishing network "
                    'connection; call "stream.close()" explicitly.'
                )
            }
            if self._source_traceback:
                context["source_traceback"] = self._source_traceback
            self._loop.call_exception_handler(context)
            cast("asyncio.Transport", transport).abort()
            return
        self._transport = transport
        reader = self._stream_reader
        if reader is not None:
            reader.set_transport(transport)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._client_connected_cb is None:
            return
        try:
            writer = StreamWriter(transport, self, reader, self._loop)
            if _KEEPS_WRITER:
                self._stream_writer = writer
            try:
                served = self._client_connected_cb(reader, writer)
            except Exception as error:
                if not _CATCHES:
                    raise
                self._complain(transport, error)
                return
            if asyncio.iscoroutine(served):
                self._watch(self._loop.create_task(served), transport)
        finally:
            self._strong_reader = None

    def _served(self, task: asyncio.Task[None]) -> None:
        """The task of ``client_connected_cb`` has ended."""
        transport, self._served_transport = self._served_transport, None
        if task.cancelled():
            if _CLOSES_WHEN_CANCELLED:
                transport.close()
            else:
                task.exception()
            return
        error = task.exception()
        if error is not None:
            self._complain(transport, error)

    def _complain(self, transport: asyncio.BaseTransport, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {
                "message": _UNHANDLED,
                "exception": error,
                "transport": transport,
            }
        )
        transport.close()

    if hasattr(_Protocol, "_replace_writer"):

        def _replace_writer(self, writer: StreamWriter) -> None:
            """The connection goes on under another transport."""
            self._stream_writer = writer
            self._replace(writer.transport)

    if hasattr(_Protocol, "_replace_transport"):

        def _replace_transport(self, transport: asyncio.BaseTransport) -> None:
            """The connection goes on under another transport."""
            self._replace(transport)

    def _replace(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if _READER_FOLLOWS:
            reader = self._stream_reader
            if reader is not None:
                reader._replace_transport(transport)


# What the running Python's streams do, and those of other versions do not.
dress_methods(StreamReader, _Reader)
dress_methods(StreamWriter, _Writer)
dress_methods(StreamReaderProtocol, _Protocol)
restorable(
    StreamReader,
    "_limit",
    "_loop",
    "_buffer",
    "_eof",
    "_waiter",
    "_exception",
    "_transport",
    "_paused",
    optional=("_source_traceback",),
)
restorable(StreamWriter, "_transport", "_protocol", "_reader", "_loop", optional=())
restorable(
    StreamReaderProtocol,
    "_loop",
    "_paused",
    "_connection_lost",
    "_stream_reader_wr",
    "_source_traceback",
    "_reject_connection",
    "_task",
    "_transport",
    "_client_connected_cb",
    "_over_ssl",
    "_closed",
    optional=("_strong_reader",),
)

_KEEPS_WRITER = hasattr(_Protocol, "_replace_writer")
_CLOSES_WHEN_CANCELLED = "cancelled" in {
    name
    for constant in _Protocol.connection_made.__code__.co_consts
    for name in getattr(constant, "co_names", ())
}
_CATCHES = _UNHANDLED in _Protocol.connection_made.__code__.co_consts
_READER_FOLLOWS = hasattr(_Reader, "_replace_transport")


async def open_connection(
    host: Any = None,
    port: Any = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> tuple[StreamReader, StreamWriter]:
    """Connect, and give a reader and a writer.

    Args:
        host: a name or an address.
        port: its port.
        limit: the longest line in bytes, and half of what is received ahead.
        **kwds: as for ``loop.create_connection``.

    Returns:
        a `StreamReader` and a `StreamWriter`.

    Raises:
        OSError: if the connection cannot be made.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: _Connected,
    host: Any = None,
    port: Any = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """Serve: call ``client_connected_cb`` with a reader and a writer for each connection.

    Args:
        client_connected_cb: a function, or a coroutine function, which runs in a task of its own.
        host: the names or addresses to listen on; None for all.
        port: the port.
        limit: the longest line in bytes, and half of what is received ahead.
        **kwds: as for ``loop.create_server``.

    Returns:
        the server, which listens already.

    Raises:
        OSError: if nothing can be listened on.
    """
    loop = asyncio.get_running_loop()

    def factory() -> StreamReaderProtocol:
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return await loop.create_server(factory, host, port, **kwds)


async def open_unix_connection(
    path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """As ``open_connection``, to a Unix socket.

    Args:
        path: the socket's path.
        limit: the longest line in bytes, and half of what is received ahead.
        **kwds: as for ``loop.create_unix_connection``.

    Returns:
        a `StreamReader` and a `StreamWriter`.

    Raises:
        OSError: if the connection cannot be made.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_unix_server(
    client_connected_cb: _Connected,
    path: Any = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """As ``start_server``, on a Unix socket.

    Args:
        client_connected_cb: a function, or a coroutine function, which runs in a task of its own.
        path: the socket's path.
        limit: the longest line in bytes, and half of what is received ahead.
        **kwds: as for ``loop.create_unix_server``.

    Returns:
        the server, which listens already.

    Raises:
        OSError: if the path cannot be bound.
    """
    loop = asyncio.get_running_loop()

    def factory() -> StreamReaderProtocol:
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return await loop.create_unix_server(factory, path, **kwds)
