"""Datagram endpoints: how they end, what their callbacks run in, and those that are forgotten."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import warnings
import weakref
from typing import Any

import pytest

from helpers import Contexts, DatagramRecorder, collect, ended, endpoint, sockname, turns

pytestmark = pytest.mark.usefixtures("loop")


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_the_last_callback_comes_once_and_later(how: str) -> None:
    server = await endpoint()
    transport = server.transport
    number = transport.get_extra_info("socket").fileno()
    for _ in range(2):
        getattr(transport, how)()
        assert transport.is_closing()
        assert server.events == ["made"]
    transport.close()
    transport.abort()
    assert await server.lost is None
    await turns(2)
    assert server.events == ["made", "lost"]
    with pytest.raises(OSError):
        os.fstat(number)
    assert transport.get_protocol() is None
    assert transport.get_write_buffer_size() == 0
    getattr(transport, how)()
    await turns(2)
    assert server.events == ["made", "lost"]


async def test_closing_in_connection_made() -> None:
    class Closes(DatagramRecorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.close()

    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(("127.0.0.1", 0))
    near.sendto(b"x", near.getsockname())
    server = await endpoint(Closes, sock=near)
    await server.lost
    assert server.events == ["made", "lost"]


async def test_sending_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A connected endpoint that is closed counts, and says so from the fifth time on."""
    server = await endpoint()
    client = await endpoint(remote_addr=sockname(server))
    client.transport.close()
    with caplog.at_level(logging.WARNING, "asyncio"):
        client.transport.sendto(b"1")
        await client.lost
        for _ in range(3):
            client.transport.sendto(b"x")
        assert caplog.messages == []
        client.transport.sendto(b"x")
        client.transport.sendto(b"x")
    assert caplog.messages == ["socket.send() raised exception."] * 2
    with pytest.raises(TypeError):
        client.transport.sendto("x")
    with pytest.raises(ValueError, match="Invalid address"):
        client.transport.sendto(b"x", ("127.0.0.1", 1))
    await turns(2)
    assert server.received == []
    await ended(server)


async def test_an_unconnected_endpoint_sends_until_its_socket_is_closed() -> None:
    server = await endpoint()
    client = await endpoint()
    client.transport.close()
    client.transport.sendto(b"last words", sockname(server))
    assert await server.get() == [b"last words"]
    await client.lost
    await turns(1)
    with pytest.raises(AttributeError):
        client.transport.sendto(b"from beyond", sockname(server))
    with pytest.raises(AttributeError):
        client.transport.sendto(b"from beyond", ("localhost", 9))
    await turns(2)
    assert len(server.received) == 1
    await ended(server)


async def test_exceptions_in_connection_made(contexts: Contexts) -> None:
    class Breaks(DatagramRecorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise LookupError("in the protocol")

    server = await endpoint(Breaks)
    assert isinstance(contexts.take_one()["exception"], LookupError)
    # The endpoint lives on.
    server.transport.sendto(b"x", sockname(server))
    assert await server.get() == [b"x"]
    await ended(server)


async def test_exceptions_in_connection_lost(contexts: Contexts) -> None:
    class Breaks(DatagramRecorder):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            raise LookupError("in the protocol")

    server = await endpoint(Breaks)
    number = server.transport.get_extra_info("socket").fileno()
    server.transport.close()
    await server.lost
    await turns(1)
    assert isinstance(contexts.take_one()["exception"], LookupError)
    with pytest.raises(OSError):
        os.fstat(number)  # closed nevertheless


async def test_fatal_errors(contexts: Contexts) -> None:
    """Those of the network are for the protocol only, all others are reported."""
    for exception in (OSError("network"), LookupError("other")):
        server = await endpoint()
        server.transport._fatal_error(exception, "a message")
        server.transport._fatal_error(ZeroDivisionError("late"), "another message")
        assert await server.lost is exception
        reported = [context["exception"] for context in contexts.take()]
        assert [type(each) for each in reported] == [
            *([LookupError] if isinstance(exception, LookupError) else []),
            ZeroDivisionError,
        ]


async def test_callbacks_run_in_the_context_of_the_making() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    class Looks(DatagramRecorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(("made", variable.get()))

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            seen.append(("data", variable.get()))

        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            seen.append(("error", variable.get()))

    variable.set("making")
    server = await endpoint(Looks)
    variable.set("later")
    server.transport.sendto(b"x", sockname(server))
    await server.get()
    # What sendto itself calls runs where it is called.
    server.transport.sendto(bytes(70_000), sockname(server))
    assert seen == [("made", "making"), ("data", "making"), ("error", "later")]
    await ended(server)


async def test_a_forgotten_endpoint_warns() -> None:
    server = await endpoint()
    number = server.transport.get_extra_info("socket").fileno()
    server.transport.pause_reading()  # else the loop's registration keeps it alive
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del server
        await turns(1)
        collect()
    assert any("unclosed transport <" in str(warning.message) for warning in caught)
    assert {warning.category for warning in caught} == {ResourceWarning}
    with pytest.raises(OSError):
        os.fstat(number)


def test_an_endpoint_of_a_closed_loop(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> Any:
        return await endpoint()

    server = loop.run_until_complete(body())
    loop.close()
    assert "polling" not in repr(server.transport)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del server
        collect()
    assert any("unclosed transport <" in str(warning.message) for warning in caught)
    assert {warning.category for warning in caught} == {ResourceWarning}


async def test_cycles_are_collected() -> None:
    """An endpoint that was closed, and that leads to itself through its protocol."""
    server = await endpoint()
    server.transport.sendto(b"x", sockname(server))
    await server.get()
    server.itself = server
    reference = weakref.ref(server.transport)
    await ended(server)
    await turns(1)
    del server
    collect()
    assert reference() is None
