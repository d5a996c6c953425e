"""The TLS echo server under test, in a process of its own; driven as echo_server.py is."""

from __future__ import annotations

import argparse
import asyncio
import ssl
import threading

from echo_server import BACKLOG, Echo, answer_control, say, settle_malloc
from implementations import IMPLEMENTATIONS, new_loop, pin


async def start(certificate: str) -> tuple[asyncio.Server, int]:
    """Start the server; it and its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context, backlog=BACKLOG)
    port: int = server.sockets[0].getsockname()[1]
    return server, port


def main() -> None:
    parser = argparse.ArgumentParser(description="A TLS echo server; started by tls_echo.py.")
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("certificate")
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    settle_malloc()
    loop = new_loop(IMPLEMENTATIONS[options.implementation])
    asyncio.set_event_loop(loop)
    server, port = loop.run_until_complete(start(options.certificate))
    threading.Thread(target=answer_control, daemon=True).start()
    say({"port": port})
    loop.run_forever()
    server.close()


if __name__ == "__main__":
    main()
