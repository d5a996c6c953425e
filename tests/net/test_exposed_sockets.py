"""Who has a connection's descriptor, and what corking does then.

A transport is corked while its descriptor is its own. What gives the descriptor to a program
flushes and ends corking on that connection; what only asks about the socket does neither.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Recorder, attach, recv_all, tcp_pair, turns

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("loop")


async def finish(protocol: Any, far: socket.socket) -> None:
    protocol.transport.abort()
    await protocol.lost
    far.close()


def there(sock: socket.socket) -> bytes:
    """What can be received without waiting."""
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


USES: dict[str, tuple[bool, Callable[[Any], object]]] = {
    "nothing": (False, lambda _: None),
    "the socket": (False, lambda transport: transport.get_extra_info("socket")),
    "an option": (
        False,
        lambda transport: transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, True
        ),
    ),
    "another option": (
        False,
        lambda transport: transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\0" * 8
        ),
    ),
    "addresses": (
        False,
        lambda transport: [
            transport.get_extra_info("socket").getsockname(),
            transport.get_extra_info("socket").getpeername(),
            transport.get_extra_info("peername"),
        ],
    ),
    "kind": (
        False,
        lambda transport: [
            transport.get_extra_info("socket").family,
            transport.get_extra_info("socket").type,
            transport.get_extra_info("socket").proto,
        ],
    ),
    "repr": (False, lambda transport: repr(transport.get_extra_info("socket"))),
    "_extra": (False, lambda transport: transport._extra),
    "fileno": (True, lambda transport: transport.get_extra_info("socket").fileno()),
    "dup": (True, lambda transport: transport.get_extra_info("socket").dup().close()),
    "_sock": (True, lambda transport: transport.get_extra_info("socket")._sock),
    "transport._sock": (True, lambda transport: transport._sock),
    "transport._sock_fd": (True, lambda transport: transport._sock_fd),
}


@pytest.mark.aioxide_only
@pytest.mark.parametrize("use", USES)
async def test_what_exposes_the_descriptor_ends_corking(use: str) -> None:
    """The first use flushes, and later writes are sent at once; other uses leave all as it is."""
    is_exposed, call = USES[use]
    protocol, far = await attach()
    transport = protocol.transport
    transport.write(b"before")
    assert there(far) == b""
    call(transport)
    assert there(far) == (b"before" if is_exposed else b"")
    await turns(1)
    there(far)
    transport.write(b"after")
    assert there(far) == (b"after" if is_exposed else b"")
    await turns(1)
    await finish(protocol, far)


@pytest.mark.aioxide_only
async def test_a_socket_that_somebody_holds_is_not_corked() -> None:
    near, far = tcp_pair()
    _, protocol = await asyncio.get_running_loop().create_connection(Recorder, sock=near)
    protocol.transport.write(b"held")
    assert there(far) == b"held"
    del near
    protocol.transport.write(b"corked")
    assert there(far) == b""
    await turns(1)
    assert there(far) == b"corked"
    await finish(protocol, far)


async def test_half_closing_by_the_socket_comes_after_what_was_written() -> None:
    protocol, far = await attach()
    sock = protocol.transport.get_extra_info("socket")
    protocol.transport.write(b"before the end")
    sock.shutdown(socket.SHUT_WR)
    assert await recv_all(far) == b"before the end"
    await finish(protocol, far)
