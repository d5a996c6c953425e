"""An echo server over TLS, with a certificate that is made at the start.

The server has a certificate for its address, and the client trusts the authority that signed it,
and nobody else. A second client, which trusts the usual authorities, refuses to talk to it.

Runs by `aioxide.run` with asyncio's names. The handshake is asyncio's own code,
and what follows it is native.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import ssl
from contextlib import suppress

import trustme

import aioxide

CLIENTS, MESSAGES = 3, 100


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, and the one of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; TLS has no half-closed state, so the end of input is the end."""
    with suppress(asyncio.CancelledError):  # Python 3.11 reports a cancelled one as an error
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


async def client(number: int, host: str, port: int, context: ssl.SSLContext) -> str:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    message = f"client {number} says hello\n".encode()
    for _ in range(MESSAGES):
        writer.write(message)
        assert await reader.readline() == message
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return f"client {number}: {MESSAGES} messages echoed over {version}"


async def stranger(host: str, port: int) -> str:
    """Try to talk to the server without trusting its authority."""
    try:
        await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return f"stranger: {error.verify_message}"
    return "stranger: connected"


async def main() -> None:
    servers, clients = contexts()
    # A stranger who breaks off the handshake is no news: by default the loop would report it.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=servers)
    host, port = server.sockets[0].getsockname()
    print("an echo server over TLS listens on loopback")
    async with server:
        talks = [client(number, host, port, clients) for number in range(CLIENTS)]
        for line in await asyncio.gather(*talks, stranger(host, port)):
            print(line)


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
