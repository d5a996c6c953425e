"""TLS: asyncio's SSLProtocol and its transport, with what runs per message in Rust."""

from __future__ import annotations

import asyncio
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from . import _aioxide
from ._base import LoopPart
from ._functions import dress_methods

if TYPE_CHECKING:
    import ssl

_ssl: Any = getattr(sslproto, "ssl", None)
"""None where Python was built without it."""


class SSLTransport(sslproto._SSLProtocolTransport):
    """What a protocol under TLS gets to write to."""

    write = _aioxide._write_tls
    is_closing = _aioxide._is_tls_closing


dress_methods(SSLTransport, sslproto._SSLProtocolTransport)


class SSLProtocol(_aioxide.SSLProtocolCore, sslproto.SSLProtocol):
    """Between a connection and a protocol: encrypts and decrypts."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # A transport of ours receives into memory of the loop. Any other asks get_buffer(), which
        # makes a buffer when this one is too small.
        self._ssl_buffer = bytearray()
        self._ssl_buffer_view = memoryview(self._ssl_buffer)

    def _get_app_transport(self) -> Any:
        if self._app_transport is None:
            if self._app_transport_created:
                raise RuntimeError("Creating _SSLProtocolTransport twice")
            self._app_transport = SSLTransport(self._loop, self)
            self._app_transport_created = True
        return self._app_transport


class Tls(LoopPart):
    """The part of the event loop that puts a connection under TLS."""

    async def start_tls(
        self,
        transport: asyncio.BaseTransport,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport:
        """Put a connection under TLS. A coroutine.

        Args:
            transport: the connection, of this loop.
            protocol: whom the new transport serves.
            sslcontext: the TLS settings.
            server_side: whether this end is the server.
            server_hostname: whom a client expects.
            ssl_handshake_timeout: seconds for the handshake; 60 if None.
            ssl_shutdown_timeout: seconds for the shutdown; 30 if None.

        Returns:
            The transport that the protocol is to use from now on.

        Raises:
            RuntimeError: Python has no ``ssl``.
            TypeError: the transport cannot be put under TLS, or the context is none.
            ValueError: a time limit is not above zero.
            ssl.SSLError: the handshake failed.
        """
        if _ssl is None:
            raise RuntimeError("Python ssl module is not available")
        if not isinstance(sslcontext, _ssl.SSLContext):
            raise TypeError(
                f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}"
            )
        below: Any = transport
        if not getattr(below, "_start_tls_compatible", False):
            raise TypeError(f"transport {below!r} is not supported by start_tls()")
        waiter = self.create_future()
        tls = SSLProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            call_connection_made=False,
        )
        if server_side:
            _move_what_was_read(protocol, tls)
        # Nothing may come before the protocol knows its transport.
        below.pause_reading()
        below.set_protocol(tls)
        begun = self.call_soon(tls.connection_made, below)
        resumed = self.call_soon(below.resume_reading)
        try:
            await waiter
        except BaseException:
            below.close()
            begun.cancel()
            resumed.cancel()
            raise
        made: asyncio.Transport = tls._app_transport
        return made


def _move_what_was_read(protocol: asyncio.BaseProtocol, tls: SSLProtocol) -> None:
    """A client that did not wait: its hello is in the reader already (cpython#142352)."""
    if isinstance(protocol, asyncio.StreamReaderProtocol):
        reader: Any = getattr(protocol, "_stream_reader", None)
        if reader is not None and reader._buffer:
            tls._incoming.write(reader._buffer)
            reader._buffer.clear()
