"""Connections, servers and endpoints: the hooks that BaseEventLoop leaves to its implementations.

``create_connection``, ``create_server``, ``create_datagram_endpoint`` and the others are
BaseEventLoop's own. They call the methods here, which put native transports and listeners under
them.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
import weakref
from asyncio import base_events, constants
from typing import TYPE_CHECKING, Any, cast

from . import _aioxide
from ._base import LoopPart
from ._functions import mark
from .tls import SSLProtocol

if TYPE_CHECKING:
    import contextvars
    import ssl
    from collections.abc import Callable, Coroutine, Iterator


class _Clients(_aioxide.ClientsCore):
    """The open connections of a server, as far as asyncio's `Server` uses a `WeakSet`."""

    __slots__ = ()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[asyncio.Transport]:
        return iter(self.copy())

    def __contains__(self, transport: object) -> bool:
        return any(transport is each for each in self.copy())


def _adopt_clients(server: asyncio.AbstractServer | None) -> None:
    """Let a new server of asyncio's count its connections, instead of referring to each."""
    # Up to 3.12.1 it counts by itself; what derives from it may have ideas of its own.
    if type(server) is asyncio.base_events.Server:
        clients = getattr(server, "_clients", None)
        if type(clients) is weakref.WeakSet and not clients:
            server._clients = _Clients(server)  # type: ignore[attr-defined]


_base: Any = asyncio.BaseEventLoop
_ORIGINALS = (
    _base._ensure_resolved,
    _base._connect_sock,
    _base._create_connection_transport,
    _aioxide.LoopCore.sock_connect,
)
"""What BaseEventLoop's create_connection is made of, and what programs and tests replace in it."""
_base_events: Any = base_events
_find_address = _base_events._ipaddr_info
_IPV4 = int(socket.AF_INET)
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_TCP = int(socket.IPPROTO_TCP)


class Connections(LoopPart):
    """The socket part of the event loop."""

    @mark
    def create_connection(  # type: ignore[override]  # the keywords are asyncio's
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> Coroutine[Any, Any, tuple[asyncio.Transport, asyncio.BaseProtocol]]:
        """Connect to a TCP server, or make a transport of a connected socket. A coroutine.

        A numeric address without further options takes fewer steps of Python, in the same
        iterations; everything else is ``asyncio.BaseEventLoop.create_connection``. The options are
        asyncio's: ssl, family, proto, flags, sock, local_addr, server_hostname, the time limits of
        TLS in seconds, happy_eyeballs_delay in seconds, interleave, all_errors.

        Args:
            protocol_factory: makes the protocol.
            host: name or address; None for loopback, or if a ``sock`` is given.
            port: number or name of a service.

        Returns:
            The transport and the protocol.

        Raises:
            OSError: no connection was made.
            TypeError: at the call, for an option that the running Python does not have.
            ValueError: the options do not fit together.
        """
        if not options and type(host) is str and type(port) is int:
            family = _aioxide.address_family(host)
            if family and self._connects_plainly():
                return self._connect_to(family, host, port, protocol_factory)
        connect: Any = super().create_connection
        made: Coroutine[Any, Any, tuple[asyncio.Transport, asyncio.BaseProtocol]]
        made = connect(protocol_factory, host, port, **options)
        return made

    # Other than the options' names, which the running Python decides.
    create_connection.__signature__ = inspect.signature(  # type: ignore[attr-defined]
        base_events.BaseEventLoop.create_connection
    )

    def _connects_plainly(self) -> bool:
        """Whether nobody has replaced a part of create_connection, and nobody debugs."""
        cls: Any = type(self)
        own = self.__dict__
        resolved, connected, created, sock_connect = _ORIGINALS
        return (
            not self.get_debug()
            and _base_events.socket is socket
            and _base_events._ipaddr_info is _find_address
            and cls._ensure_resolved is resolved
            and cls._connect_sock is connected
            and cls._create_connection_transport is created
            and cls.sock_connect is sock_connect
            and "_ensure_resolved" not in own
            and "_connect_sock" not in own
            and "_create_connection_transport" not in own
            and "sock_connect" not in own
        )

    async def _connect_to(
        self,
        family: int,
        host: str,
        port: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        address = (host, port) if family == _IPV4 else (host, port, 0, 0)
        sock = socket.socket(family, _STREAM, _TCP)
        try:
            await self._connect_numeric(sock, address)
            protocol = protocol_factory()
            waiter = self.create_future()
            transport = self._make_socket_transport(sock, protocol, waiter)
        except BaseException:
            sock.close()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: asyncio.AbstractServer | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(sock)
        return _aioxide.StreamTransport(self, sock, protocol, waiter, extra, server, context)

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.DatagramProtocol,
        address: object | None = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        self._ensure_fd_no_transport(sock)
        return _aioxide.DatagramTransport(self, sock, protocol, address, waiter, extra)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext | bool | None,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: asyncio.AbstractServer | None = None,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(rawsock)
        tls: Any = SSLProtocol(
            self,
            protocol,
            cast("ssl.SSLContext", sslcontext),
            cast("asyncio.Future[None]", waiter),
            server_side,
            server_hostname,
            ssl_handshake_timeout=cast("int | None", ssl_handshake_timeout),
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        _aioxide.StreamTransport(self, rawsock, tls, None, extra, server, context)
        transport: asyncio.Transport = tls._app_transport
        return transport

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None = None,
        server: asyncio.AbstractServer | None = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> None:
        connected = None
        if sslcontext is not None:
            connected = functools.partial(
                self._serve_tls,
                protocol_factory,
                sslcontext,
                server,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
            )
        _adopt_clients(server)
        listener = _aioxide.Listener(
            self, sock, protocol_factory, server, backlog, connected, context
        )
        listener.start()

    def _stop_serving(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self.remove_reader(sock)
        else:
            self._stop_listening(sock)
        sock.close()

    def _serve_tls(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sslcontext: ssl.SSLContext,
        server: asyncio.AbstractServer | None,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
        sock: socket.socket,
        extra: dict[str, Any],
    ) -> None:
        """Shake hands with an accepted connection, in a task."""

        async def handshake() -> None:
            protocol = transport = None
            try:
                protocol = protocol_factory()
                waiter = self.create_future()
                transport = self._make_ssl_transport(
                    sock,
                    protocol,
                    sslcontext,
                    waiter=waiter,
                    server_side=True,
                    extra=extra,
                    server=server,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                )
                try:
                    await waiter
                except BaseException:
                    transport.close()
                    # Its exception leads to the protocol, and that back to this frame.
                    del waiter
                    raise
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                if transport is None:
                    sock.close()
                if self.get_debug():
                    report: dict[str, Any] = {
                        "message": "Error on transport creation for incoming connection",
                        "exception": error,
                    }
                    if protocol is not None:
                        report["protocol"] = protocol
                    if transport is not None:
                        report["transport"] = transport
                    self.call_exception_handler(report)

        self.create_task(handshake())
