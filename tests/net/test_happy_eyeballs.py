"""create_connection with several addresses: which are tried, in which order, and what is left.

Names lead to several addresses of this machine: some refuse, some never answer (their queue of
connections is full), some connect.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from helpers import Recorder, Service, gone, port_of, refused_port, turns, until

Address = tuple[Any, ...]

# Longer than a test may last: whoever waits for it has failed.
NEVER = 3600.0


def info(address: Address) -> Any:
    """Return what getaddrinfo says about an address."""
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address


@contextmanager
def leading_to(loop: Any, *addresses: Address) -> Iterator[list[Address]]:
    """Have every name lead to these addresses; yield those that were tried, in their order."""
    tried: list[Address] = []
    connect = loop.sock_connect

    async def getaddrinfo(host: Any, port: Any, **hints: Any) -> list[Any]:
        return [info(address) for address in addresses]

    async def sock_connect(sock: socket.socket, address: Address) -> None:
        tried.append(address)
        await connect(sock, address)

    loop.getaddrinfo, loop.sock_connect = getaddrinfo, sock_connect
    try:
        yield tried
    finally:
        del loop.getaddrinfo, loop.sock_connect


@pytest.fixture
def silent() -> Iterator[Address]:
    """Yield an address at which connecting never ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


@pytest.fixture
def refusing() -> Address:
    """Return an address that refuses."""
    return "127.0.0.1", refused_port()


async def finish(service: Service, protocol: Recorder) -> None:
    """Close a connection and its server."""
    await service.accepted()
    await gone(protocol)
    await service.close()


def good(service: Service) -> Address:
    """Return a server's address."""
    return "127.0.0.1", port_of(service.server)


async def test_a_silent_address_does_not_hold_the_next_one_up(
    loop: asyncio.AbstractEventLoop, silent: Address
) -> None:
    service = await Service().start()
    with leading_to(loop, silent, good(service)) as tried:
        _, protocol = await loop.create_connection(
            Recorder, "two.invalid", 1, happy_eyeballs_delay=0.001
        )
    assert tried == [silent, good(service)]
    assert protocol.transport.get_extra_info("peername") == good(service)
    await finish(service, protocol)


async def test_without_a_delay_a_silent_address_is_waited_for(
    loop: asyncio.AbstractEventLoop, silent: Address
) -> None:
    service = await Service().start()
    with leading_to(loop, silent, good(service)) as tried:
        task = loop.create_task(loop.create_connection(Recorder, "two.invalid", 1))
        await until(lambda: tried)
        await turns(5)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert tried == [silent]
    await service.close()


async def test_a_refusal_does_not_wait_for_the_delay(
    loop: asyncio.AbstractEventLoop, refusing: Address
) -> None:
    service = await Service().start()
    with leading_to(loop, refusing, refusing, good(service)) as tried:
        _, protocol = await loop.create_connection(
            Recorder, "three.invalid", 1, happy_eyeballs_delay=NEVER
        )
    assert tried == [refusing, refusing, good(service)]
    await finish(service, protocol)


async def test_the_first_address_wins_alone(
    loop: asyncio.AbstractEventLoop, silent: Address
) -> None:
    service = await Service().start()
    with leading_to(loop, good(service), silent) as tried:
        _, protocol = await loop.create_connection(
            Recorder, "two.invalid", 1, happy_eyeballs_delay=NEVER
        )
    assert tried == [good(service)]
    await finish(service, protocol)


async def test_cancelling_gives_up_every_attempt(
    loop: asyncio.AbstractEventLoop, silent: Address
) -> None:
    """The fixture counts descriptors."""
    with leading_to(loop, silent, silent, silent) as tried:
        task = loop.create_task(
            loop.create_connection(Recorder, "three.invalid", 1, happy_eyeballs_delay=0.001)
        )
        await until(lambda: len(tried) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # On 3.11 the attempts end after it.
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@pytest.mark.parametrize("delay", [None, 0.001, NEVER])
async def test_everybody_refuses(
    loop: asyncio.AbstractEventLoop, refusing: Address, delay: float | None
) -> None:
    other = "127.0.0.3", refused_port()
    with leading_to(loop, refusing, other) as tried:
        with pytest.raises(OSError, match="Multiple exceptions") as info:
            await loop.create_connection(Recorder, "two.invalid", 1, happy_eyeballs_delay=delay)
        assert "'127.0.0.1'" in str(info.value)
        assert "'127.0.0.3'" in str(info.value)
        if sys.version_info >= (3, 12):  # all_errors is new there
            with pytest.raises(ExceptionGroup) as group:
                await loop.create_connection(
                    Recorder, "two.invalid", 1, happy_eyeballs_delay=delay, all_errors=True
                )
            assert [type(exc) for exc in group.value.exceptions] == [ConnectionRefusedError] * 2
            del group
    assert tried[:2] == [refusing, other]
    del info


V4 = [(f"127.0.0.{number}", 1) for number in range(1, 4)]
V6 = [(f"2001:db8::{number}", 1, 0, 0) for number in range(1, 4)]


@pytest.mark.parametrize(
    ("delay", "interleave", "order"),
    [
        (None, None, [*V6, *V4]),
        (None, 0, [*V6, *V4]),
        (None, 1, [V6[0], V4[0], V6[1], V4[1], V6[2], V4[2]]),
        (None, 2, [V6[0], V6[1], V4[0], V6[2], V4[1], V4[2]]),
        (None, 9, [*V6, *V4]),
        (NEVER, None, [V6[0], V4[0], V6[1], V4[1], V6[2], V4[2]]),
        (NEVER, 0, [*V6, *V4]),
        (NEVER, 2, [V6[0], V6[1], V4[0], V6[2], V4[1], V4[2]]),
    ],
)
async def test_the_order_of_the_attempts(
    loop: Any, delay: float | None, interleave: int | None, order: list[Address]
) -> None:
    """With a delay the families take turns, unless told otherwise."""

    async def refuse(sock: socket.socket, address: Address) -> None:
        raise ConnectionRefusedError(111, "as planned")

    loop.sock_connect = refuse
    try:
        with leading_to(loop, *V6, *V4) as tried, pytest.raises(OSError, match="as planned"):
            await loop.create_connection(
                Recorder, "six.invalid", 1, happy_eyeballs_delay=delay, interleave=interleave
            )
    finally:
        vars(loop).pop("sock_connect", None)
    assert tried == order


async def test_zones_reach_the_socket(loop: Any) -> None:
    """Flow label and scope of an address are part of what is connected to."""
    scoped = ("fe80::1", 1, 5, 7)
    seen: list[Any] = []

    async def refuse(sock: socket.socket, address: Address) -> None:
        seen.append((sock.family, address))
        raise ConnectionRefusedError(111, "as planned")

    loop.sock_connect = refuse
    try:
        with leading_to(loop, scoped), pytest.raises(OSError, match="as planned"):
            await loop.create_connection(Recorder, "scoped.invalid", 1)
        loop.sock_connect = refuse
        with pytest.raises(OSError, match="as planned"):
            await loop.create_connection(Recorder, "fe80::1%7", 1)
    finally:
        vars(loop).pop("sock_connect", None)
    assert seen == [(socket.AF_INET6, scoped), (socket.AF_INET6, ("fe80::1", 1, 0, 7))]


async def test_both_families(loop: asyncio.AbstractEventLoop, silent: Address) -> None:
    service = await Service().start("::1", 0, family=socket.AF_INET6)
    address = ("::1", port_of(service.server), 0, 0)
    with leading_to(loop, silent, address) as tried:
        _, protocol = await loop.create_connection(
            Recorder, "two.invalid", 1, happy_eyeballs_delay=0.001
        )
    assert tried == [silent, address]
    assert protocol.transport.get_extra_info("peername") == address
    sockname = protocol.transport.get_extra_info("sockname")
    assert sockname == protocol.transport.get_extra_info("socket").getsockname()
    assert len(sockname) == 4
    await finish(service, protocol)


@pytest.mark.parametrize("delay", [None, 0.001])
async def test_a_local_address_of_one_family(
    loop: asyncio.AbstractEventLoop, delay: float | None
) -> None:
    """Addresses of the other one are passed over."""
    service = await Service().start()
    with leading_to(loop, ("::1", port_of(service.server), 0, 0), good(service)):
        getaddrinfo: Any = loop.getaddrinfo

        async def local_too(host: Any, port: Any, **hints: Any) -> Any:
            if host == "127.0.0.3.invalid":
                return [info(("127.0.0.3", 0))]
            return await getaddrinfo(host, port, **hints)

        loop.getaddrinfo = local_too  # type: ignore[method-assign]
        _, protocol = await loop.create_connection(
            Recorder,
            "two.invalid",
            1,
            local_addr=("127.0.0.3.invalid", 0),
            happy_eyeballs_delay=delay,
        )
    (accepted,) = await service.accepted()
    assert accepted.transport.get_extra_info("peername")[0] == "127.0.0.3"
    await finish(service, protocol)
