"""The server under test at one end of bulk.rs: receives or sends as much as it can.

A burst begins with a number in eight bytes. Receiving, it is how many bytes follow, and the answer
is how many came, or their CRC-32 where the highest bit asks for it. Sending, it is how many bytes
are wanted. Driven as serving.py says.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any, cast

from serving import BACKLOG, options_parser, place, serve

if TYPE_CHECKING:
    import argparse

    from implementations import Environment

MIB = 1 << 20
BLOCK = (bytes(range(251)) * (MIB // 251 + 1))[:MIB]
CHECKED = 1 << 63
HEADER = 8
KEPT: list[Any] = []


class Count:
    """How much of a burst has come."""

    def __init__(self) -> None:
        self.header = b""
        self.left = 0
        self.size = 0
        self.crc: int | None = None

    def take(self, data: bytes | memoryview) -> bytes | None:
        """Take in what came; the answer when that is all of the burst."""
        if not self.left:
            missing = HEADER - len(self.header)
            self.header += data[:missing]
            if len(self.header) < HEADER:
                return None
            number = int.from_bytes(self.header, "little")
            self.left = self.size = number & ~CHECKED
            self.crc = 0 if number & CHECKED else None
            data = data[missing:]
        if self.crc is not None:
            self.crc = zlib.crc32(data, self.crc)
        self.left -= len(data)
        if self.left:
            return None
        self.header = b""
        answer = self.size if self.crc is None else self.crc
        return answer.to_bytes(HEADER, "little")


class Receive(asyncio.Protocol):
    """Counts what comes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.count = Count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self.count.take(data)
        if answer is not None:
            self.transport.write(answer)


class ReceiveBuffered(asyncio.BufferedProtocol):
    """The same into a buffer of its own."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.count = Count()
        self.buffer = memoryview(bytearray(256 * 1024))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        answer = self.count.take(self.buffer[:nbytes])
        if answer is not None:
            self.transport.write(answer)


class Send(asyncio.Protocol):
    """Writes what is wanted in pieces of a MiB, as fast as flow control lets it."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.header = b""
        self.left = 0
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.header += data
        if len(self.header) == HEADER:
            self.left += int.from_bytes(self.header, "little")
            self.header = b""
            self.write()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.write()

    def write(self) -> None:
        while self.left and not self.paused:
            self.left -= MIB
            self.transport.write(BLOCK)


async def receive_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    count = Count()
    try:
        while data := await reader.read(65536):
            answer = count.take(data)
            if answer is not None:
                writer.write(answer)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def send_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            wanted = int.from_bytes(await reader.readexactly(HEADER), "little")
            for _ in range(wanted // MIB):
                writer.write(BLOCK)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


PROTOCOLS = {"receive": Receive, "receive-buffered": ReceiveBuffered, "send": Send}
STREAMS = {"receive-streams": receive_stream, "send-streams": send_stream}


async def start(env: Environment, options: argparse.Namespace) -> dict[str, object]:
    """Start the server; its port."""
    if options.mode in STREAMS:
        handler = STREAMS[options.mode]
        server = await env.aio.start_server(handler, "127.0.0.1", 0, backlog=BACKLOG)
    else:
        protocol: Any = PROTOCOLS[options.mode]
        server = await env.loop.create_server(protocol, "127.0.0.1", 0, backlog=BACKLOG)
    KEPT.append(server)
    return place(server.sockets[0])


def main() -> None:
    parser = options_parser("A server for one large connection; started by bulk.py.")
    parser.add_argument("mode", choices=[*PROTOCOLS, *STREAMS])
    serve(parser.parse_args(), start)


if __name__ == "__main__":
    main()
