"""Exceptions raised by protocols, the context they run in, transports dropped unclosed."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import warnings
from typing import Any

import pytest

from helpers import (
    Contexts,
    Recorder,
    attach,
    collect,
    recv_exactly,
    turns,
    until,
)

pytestmark = pytest.mark.usefixtures("loop")


async def finish(protocol: Any, far: socket.socket) -> None:
    """Wind up one transport and the bare socket opposite."""
    protocol.transport.abort()
    await protocol.lost
    far.close()


@pytest.mark.parametrize("place", ["data_received", "eof_received"])
async def test_exceptions_from_the_protocol_are_fatal(contexts: Contexts, place: str) -> None:
    class Breaks(Recorder):
        def data_received(self, data: bytes) -> None:
            if place == "data_received":
                raise LookupError("in the protocol")

        def eof_received(self) -> bool:
            raise LookupError("in the protocol")

    protocol, far = await attach(Breaks)
    far.send(b"x")
    if place == "eof_received":
        await turns(2)
        far.shutdown(socket.SHUT_WR)
    exc = await protocol.lost
    assert isinstance(exc, LookupError)
    context = contexts.take_one()
    assert context["exception"] is exc
    assert context["message"].startswith("Fatal error: protocol.")
    assert place in context["message"]
    assert context["transport"] is protocol.transport
    assert context["protocol"] is protocol
    far.close()


@pytest.mark.parametrize("base", [SystemExit, KeyboardInterrupt])
def test_exits_from_the_protocol_leave_the_loop(
    loop: asyncio.AbstractEventLoop, base: type[BaseException]
) -> None:
    class Leaves(Recorder):
        def data_received(self, data: bytes) -> None:
            raise base("out")

    async def body() -> Any:
        return await attach(Leaves)

    protocol, far = loop.run_until_complete(body())
    far.send(b"x")
    with pytest.raises(base, match="out"):
        loop.run_until_complete(protocol.lost)
    loop.run_until_complete(finish(protocol, far))


async def test_exceptions_in_connection_made(contexts: Contexts) -> None:
    class Breaks(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise LookupError("in the protocol")

    protocol, far = await attach(Breaks)
    # The transport lives on: the exception only goes to the handler.
    assert isinstance(contexts.take_one()["exception"], LookupError)
    assert not protocol.transport.is_closing()
    far.send(b"x")
    assert await protocol.received(1) == b"x"
    await finish(protocol, far)


async def test_exceptions_in_connection_lost(contexts: Contexts) -> None:
    class Breaks(Recorder):
        def connection_lost(self, exc: Any) -> None:
            super().connection_lost(exc)
            raise LookupError("in the protocol")

    protocol, far = await attach(Breaks)
    number = protocol.transport.get_extra_info("socket").fileno()
    protocol.transport.close()
    await protocol.lost
    await turns(1)
    assert isinstance(contexts.take_one()["exception"], LookupError)
    with pytest.raises(OSError):
        os.fstat(number)  # closed nevertheless
    far.close()


@pytest.mark.parametrize("place", ["pause_writing", "resume_writing"])
async def test_exceptions_in_flow_control(contexts: Contexts, place: str) -> None:
    class Breaks(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            if place == "pause_writing":
                raise LookupError("in the protocol")

        def resume_writing(self) -> None:
            super().resume_writing()
            if place == "resume_writing":
                raise LookupError("in the protocol")

    protocol, far = await attach(Breaks)
    protocol.transport.write(b"x" * (8 << 20))
    await recv_exactly(far, 8 << 20)
    await until(lambda: "resume" in protocol.events)
    context = contexts.take_one()
    assert context["message"] == f"protocol.{place}() failed"
    assert isinstance(context["exception"], LookupError)
    assert context["transport"] is protocol.transport
    assert not protocol.transport.is_closing()
    await finish(protocol, far)


async def test_protocol_callbacks_run_in_the_context_of_their_creation() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    class Notes(Recorder):
        def note(self, name: str) -> None:
            seen[name] = variable.get()

        def connection_made(self, transport: Any) -> None:
            self.note("made")
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            self.note("data")
            super().data_received(data)

        def eof_received(self) -> bool | None:
            self.note("eof")
            return super().eof_received()

        def connection_lost(self, exc: Any) -> None:
            self.note("lost")
            super().connection_lost(exc)

    seen: dict[str, str] = {}
    variable.set("creator")
    protocol, far = await attach(Notes)
    variable.set("later")
    far.send(b"x")
    await protocol.received(1)
    far.close()
    await protocol.lost
    assert seen["made"] == "creator"
    assert seen["data"] == "creator"
    assert seen["eof"] == "creator"


async def test_unclosed_transport_warns(contexts: Contexts) -> None:
    protocol, far = await attach()
    transport = protocol.transport
    transport.pause_reading()  # else the loop's registration keeps it alive
    number = transport.get_extra_info("socket").fileno()
    protocol.transport = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport, protocol
        await turns(1)
        collect()
    assert any("unclosed transport" in str(warning.message) for warning in caught)
    assert {warning.category for warning in caught} == {ResourceWarning}
    with pytest.raises(OSError):
        os.fstat(number)
    far.close()
