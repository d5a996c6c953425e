"""What is dropped without being closed, where warnings are errors."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from helpers import Recorder, tcp_pair


async def stream() -> Any:
    """Return a transport and what is opposite."""
    near, far = tcp_pair()
    transport, _ = await asyncio.get_running_loop().create_connection(Recorder, sock=near)
    return transport, far


async def datagram() -> Any:
    """Return a datagram transport, and nothing opposite."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    return transport, None


async def read_pipe() -> Any:
    """Return the transport of a pipe and its other end."""
    reading, writing = os.pipe()
    file, other = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(asyncio.Protocol, file)
    return transport, other


@pytest.mark.parametrize("make", [stream, datagram, read_pipe])
def test_a_warning_that_is_an_error_is_the_only_one(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Awaitable[Any]],
) -> None:
    """No other Python code runs while the finalizer's exception is set."""
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_type))
    transport, other = loop.run_until_complete(make())  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        loop.close()
        del transport
        gc.collect()
    if other is not None:
        other.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    assert set(unraisable) == {ResourceWarning}
