"""Unix sockets and pipes: what asyncio's Unix loop adds to BaseEventLoop.

The transports are the native ones: a Unix stream socket has the same as a TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from asyncio.base_events import Server
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from . import _aioxide
from ._base import LoopPart
from .connections import Connections

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable
    from typing import TypeVar

    ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)
    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = ["Pipes", "UnixSockets"]


def _is_abstract(path: str | bytes) -> bool:
    """Whether an address lives in the kernel's own namespace and leaves no file."""
    return path[0] in {0, "\x00"}


def _require_unix_stream(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")


def _require_tls(ssl: object, **timeouts: float | None) -> None:
    for name, value in timeouts.items():
        if value is not None and not ssl:
            raise ValueError(f"{name} is only meaningful with ssl")


def _remove_stale(path: str | bytes) -> None:
    """Remove the socket that a server has left behind, but nothing else."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        # The directory may let sockets be made, and nothing else.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, error)


def _bind(path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not _is_abstract(path):
            _remove_stale(path)
        sock.bind(path)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


class UnixSockets(Connections):
    """The Unix socket part of the event loop."""

    _unix_server_sockets: dict[socket.socket, int]

    def __init__(self) -> None:
        # The inodes of the files that go away with their servers.
        self._unix_server_sockets = {}
        super().__init__()

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], ProtocolT],
        path: Path | None = None,
        *,
        ssl: bool | ssl_module.SSLContext | None = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Connect to a Unix socket: by its path, or with a connected socket.

        Raises:
            ValueError: if the arguments contradict each other, or ``sock`` is no Unix stream
                socket.
            OSError: if the connection is refused, or nothing is there.
        """
        assert server_hostname is None or isinstance(server_hostname, str)
        if ssl:
            if server_hostname is None:
                raise ValueError("you have to pass server_hostname when using ssl")
        elif server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        _require_tls(
            ssl,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            address = os.fspath(path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
            try:
                sock.setblocking(False)
                await self.sock_connect(sock, address)
            except BaseException:
                sock.close()
                raise
        elif sock is None:
            raise ValueError("no path and sock were specified")
        else:
            _require_unix_stream(sock)
            sock.setblocking(False)
        connection: tuple[asyncio.Transport, ProtocolT] = await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        return connection

    async def _create_unix_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: Path | None,
        sock: socket.socket | None,
        backlog: int,
        ssl: ssl_module.SSLContext | None,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
        start_serving: bool,
        cleanup_socket: bool,
    ) -> Server:
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        _require_tls(
            ssl,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = made = _bind(os.fspath(path))
        elif sock is None:
            raise ValueError("path was not specified, and no sock specified")
        else:
            _require_unix_stream(sock)
            made = None
        if cleanup_socket:
            address = sock.getsockname()
            if not _is_abstract(address):
                with contextlib.suppress(FileNotFoundError):
                    self._unix_server_sockets[sock] = os.stat(address).st_ino
        sock.setblocking(False)
        make_server: Any = Server
        server: Server = make_server(
            self,
            [sock],
            protocol_factory,
            ssl,
            backlog,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
        )
        if start_serving:
            try:
                server._start_serving()  # type: ignore[attr-defined]
            except BaseException:
                if made is not None:
                    self._stop_serving(made)
                raise
            # As asyncio: the server is returned one turn later.
            await asyncio.sleep(0)
        return server

    if sys.version_info >= (3, 13):

        async def create_unix_server(  # type: ignore[override]
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            path: Path | None = None,
            *,
            sock: socket.socket | None = None,
            backlog: int = 100,
            ssl: ssl_module.SSLContext | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
            cleanup_socket: bool = True,
        ) -> Server:
            """Serve on a Unix socket: at a path, or on a socket that is bound.

            The socket's file is removed when the server closes, unless somebody has put another
            one in its place, or ``cleanup_socket`` is false.

            Raises:
                ValueError: if the arguments contradict each other, or ``sock`` is no Unix stream
                    socket.
                OSError: if the address cannot be bound.
            """
            return await self._create_unix_server(
                protocol_factory,
                path,
                sock,
                backlog,
                ssl,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
                start_serving,
                cleanup_socket,
            )

    else:

        async def create_unix_server(  # type: ignore[override]
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            path: Path | None = None,
            *,
            sock: socket.socket | None = None,
            backlog: int = 100,
            ssl: ssl_module.SSLContext | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
        ) -> Server:
            """Serve on a Unix socket: at a path, or on a socket that is bound.

            The socket's file stays when the server closes.

            Raises:
                ValueError: if the arguments contradict each other, or ``sock`` is no Unix stream
                    socket.
                OSError: if the address cannot be bound.
            """
            return await self._create_unix_server(
                protocol_factory,
                path,
                sock,
                backlog,
                ssl,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
                start_serving,
                False,
            )

    def _stop_serving(self, sock: socket.socket) -> None:
        inode = self._unix_server_sockets.pop(sock, None)
        # A closed socket does not know its address any more.
        address = sock.getsockname() if inode is not None and sock.fileno() >= 0 else None
        super()._stop_serving(sock)
        if address is None:
            return
        try:
            if os.stat(address).st_ino == inode:
                os.unlink(address)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("Unable to clean up listening UNIX socket %r: %r", address, error)


class Pipes(LoopPart):
    """The hooks under ``connect_read_pipe`` and ``connect_write_pipe``."""

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.ReadTransport:
        return _aioxide.ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.WriteTransport:
        return _aioxide.WritePipeTransport(self, pipe, protocol, waiter, extra)
