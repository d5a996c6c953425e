"""The echo server under test, in all the ways that asyncio offers; driven as serving.py says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from serving import BACKLOG, listening_socket, options_parser, place, serve

if TYPE_CHECKING:
    import argparse

    from implementations import Environment

CHUNK = 65536


class Echo(asyncio.Protocol):
    """One write for what came."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No assertion of the type: uvloop's transports are none of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def touch(transport: asyncio.BaseTransport | asyncio.StreamWriter) -> None:
    """Set an option through the connection's socket, as real servers do for every connection."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Touched(Echo):
    """A server that sets TCP_NODELAY, as aiohttp does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        touch(transport)


class ThreeWrites(Echo):
    """The same bytes in three pieces, as status line, headers and body are written."""

    def data_received(self, data: bytes) -> None:
        write = self.transport.write
        write(data[:16])
        write(data[16:32])
        write(data[32:])


class BufferedEcho(asyncio.BufferedProtocol):
    """Reads into one buffer for all; what is written is a copy, since a transport may keep it."""

    transport: asyncio.Transport
    buffer = memoryview(bytearray(2 * CHUNK))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def stream_handler(mode: str, size: int) -> Handler:
    """The loop of the asyncio documentation, with one of the three ways to read.

    It expects connections to be reset, as servers have to: a traceback in the log is dear.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def handle_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def handle_exactly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await reader.readexactly(size))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def handle_touched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        touch(writer)
        await handle(reader, writer)

    return {
        "streams": handle,
        "touched-streams": handle_touched,
        "readline": handle_lines,
        "readexactly": handle_exactly,
    }[mode]


async def echo_sock(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """The same with the loop's methods for sockets."""
    try:
        with sock:
            while data := await loop.sock_recv(sock, CHUNK):
                await loop.sock_sendall(sock, data)
    except ConnectionError:
        pass


async def accept_socks(env: Environment, listener: socket.socket) -> None:
    tasks: set[asyncio.Task[None]] = set()
    while True:
        sock, _ = await env.loop.sock_accept(listener)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = env.loop.create_task(echo_sock(env.loop, sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


PROTOCOLS = {
    "protocol": Echo,
    "touched-protocol": Touched,
    "three-writes": ThreeWrites,
    "buffered": BufferedEcho,
}
STREAMS = ("streams", "touched-streams", "readline", "readexactly")
KEPT: list[Any] = []
"""What must live as long as the process."""


async def start(env: Environment, options: argparse.Namespace) -> dict[str, object]:
    """Start the server; where it is."""
    keywords: dict[str, Any] = {"backlog": BACKLOG}
    if options.certificate:
        keywords["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        keywords["ssl"].load_cert_chain(options.certificate)
    if options.mode == "sock":
        listener = listening_socket(options.path)
        KEPT.append(env.loop.create_task(accept_socks(env, listener)))
        return place(listener)
    if options.mode in STREAMS:
        handler = stream_handler(options.mode, options.size)
        if options.path:
            server = await env.aio.start_unix_server(handler, options.path, **keywords)
        else:
            server = await env.aio.start_server(handler, "127.0.0.1", 0, **keywords)
    else:
        protocol: Any = PROTOCOLS[options.mode]
        if options.path:
            server = await env.loop.create_unix_server(protocol, options.path, **keywords)
        else:
            server = await env.loop.create_server(protocol, "127.0.0.1", 0, **keywords)
    KEPT.append(server)
    return {"path": options.path} if options.path else place(server.sockets[0])


def main() -> None:
    parser = options_parser("An echo server; started by the network benchmarks.")
    parser.add_argument("mode", choices=[*PROTOCOLS, *STREAMS, "sock"])
    parser.add_argument("--size", type=int, default=64, help="bytes of a message, for readexactly")
    parser.add_argument("--path", help="path of a Unix socket to make")
    parser.add_argument("--certificate", help="PEM file with key and certificate: speak TLS")
    serve(parser.parse_args(), start)


if __name__ == "__main__":
    main()
