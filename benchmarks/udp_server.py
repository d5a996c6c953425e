"""The datagram echo server under test, in a process of its own; driven as echo_server.py is."""

from __future__ import annotations

import argparse
import asyncio
import threading
from typing import Any, cast

from echo_server import answer_control, say, settle_malloc
from implementations import IMPLEMENTATIONS, new_loop, pin


class Echo(asyncio.DatagramProtocol):
    """One datagram back for each that came."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No assertion of the type: uvloop's transports are none of asyncio's.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def start() -> tuple[asyncio.DatagramTransport, int]:
    """Start the server; its transport and its port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    port: int = transport.get_extra_info("sockname")[1]
    return transport, port


def main() -> None:
    parser = argparse.ArgumentParser(description="A datagram echo server; started by udp.py.")
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    settle_malloc()
    loop = new_loop(IMPLEMENTATIONS[options.implementation])
    asyncio.set_event_loop(loop)
    transport, port = loop.run_until_complete(start())
    threading.Thread(target=answer_control, daemon=True).start()
    say({"port": port})
    loop.run_forever()
    transport.close()


if __name__ == "__main__":
    main()
