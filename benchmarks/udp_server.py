"""The datagram echo server under test; driven as serving.py says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from serving import options_parser, serve

if TYPE_CHECKING:
    import argparse

    from implementations import Environment


class Echo(asyncio.DatagramProtocol):
    """One datagram back for each that came."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No assertion of the type: uvloop's transports are none of asyncio's.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def start(env: Environment, options: argparse.Namespace) -> dict[str, object]:
    """Start the server; its port. The loop keeps the transport."""
    transport, _ = await env.loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    return {"port": transport.get_extra_info("sockname")[1]}


if __name__ == "__main__":
    serve(options_parser("A datagram echo server; started by udp.py.").parse_args(), start)
