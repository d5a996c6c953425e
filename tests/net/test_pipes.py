"""Pipe transports: pipes, FIFOs, sockets and terminals; both ends, and all ways to end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import fcntl
import gc
import io
import logging
import os
import pty
import socket
import sys
import tty
from pathlib import Path
from typing import Any

import pytest

from helpers import Contexts, Implementation, Recorder, finishing, outcome_of, turns, until
from pipe_helpers import MUCH, both, end, pipe_files, reading, writing

pytestmark = pytest.mark.usefixtures("loop")


async def test_types() -> None:
    reader, writer = await both()
    assert isinstance(reader.transport, asyncio.ReadTransport)
    assert not isinstance(reader.transport, asyncio.WriteTransport)
    assert isinstance(writer.transport, asyncio.WriteTransport)
    for protocol in (reader, writer):
        assert protocol.transport.get_protocol() is protocol
        assert protocol.transport.is_closing() is False
        assert protocol.transport.get_extra_info("nonsense", 5) == 5
        assert protocol.transport.get_extra_info("nonsense") is None
    assert reader.transport.is_reading() is True
    assert writer.transport.can_write_eof() is True
    await end(reader, writer)
    assert reader.transport.get_extra_info("pipe").closed
    assert writer.transport.get_extra_info("pipe").closed


async def test_data_goes_through() -> None:
    reader, writer = await both()
    writer.transport.write(b"first")
    assert await reader.received(5) == b"first"
    data = os.urandom(MUCH)
    writer.transport.write(data)
    writer.transport.writelines([b"a", bytearray(b"b"), memoryview(b"c" * 9000)])
    expected = b"first" + data + b"ab" + b"c" * 9000
    assert await reader.received(len(expected)) == expected
    writer.transport.close()
    assert await writer.lost is None
    assert await reader.lost is None
    assert reader.events == ["made", "data", "eof", "lost"]
    assert writer.events[0] == "made"
    assert writer.events[-1] == "lost"


async def test_streams() -> None:
    loop = asyncio.get_running_loop()
    near, far = pipe_files()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), near)
    written, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, far)
    writer = asyncio.StreamWriter(written, flow, reader, loop)
    for number in range(50):
        writer.write(b"%d\n" % number)
        await writer.drain()
        assert await reader.readline() == b"%d\n" % number
    writer.close()
    assert await reader.read() == b""
    transport.close()
    await turns(3)


async def test_the_end_comes_after_everything_that_was_written() -> None:
    reader, writer = await both()
    writer.transport.write(b"x" * MUCH)
    writer.transport.write_eof()
    assert writer.transport.is_closing()
    assert await reader.received(MUCH) == b"x" * MUCH
    assert await reader.lost is None
    assert await writer.lost is None
    assert reader.events[-2:] == ["eof", "lost"]


async def test_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    near = io.FileIO(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK), "r")
    far = io.FileIO(os.open(tmp_path / "fifo", os.O_WRONLY), "w")
    reader, writer = await reading(near), await writing(far)
    writer.transport.write(b"through a name")
    assert await reader.received(14) == b"through a name"
    await end(writer, reader)
    assert "eof" in reader.events or reader.events == ["made", "data", "lost"]


async def test_sockets() -> None:
    near, far = socket.socketpair()
    reader, writer = await reading(near), await writing(far)
    writer.transport.write(b"x" * MUCH)
    assert await reader.received(MUCH) == b"x" * MUCH
    await end(writer, reader)
    assert near.fileno() == far.fileno() == -1


async def test_terminals() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    writer = await writing(io.FileIO(master, "w"))
    reader = await reading(io.FileIO(slave, "r"))
    writer.transport.write(b"typed")
    assert await reader.received(5) == b"typed"
    await end(writer, reader)


async def test_a_terminal_whose_other_end_goes() -> None:
    """Reading says EIO, which is told to the protocol only."""
    master, slave = pty.openpty()
    reader = await reading(io.FileIO(master, "r"))
    os.write(slave, b"typed")
    assert await reader.received(5) == b"typed"
    os.close(slave)
    assert isinstance(await reader.lost, OSError)
    assert reader.events == ["made", "data", "lost"]


async def test_a_device_that_takes_everything() -> None:
    writer = await writing(io.FileIO("/dev/null", "w"))
    writer.transport.write(b"x" * MUCH)
    assert writer.transport.get_write_buffer_size() == 0
    await end(writer)


async def test_a_device_that_cannot_be_waited_for(contexts: Contexts) -> None:
    reader = await reading(io.FileIO("/dev/null", "r"))
    assert type(contexts.take_one()["exception"]) is PermissionError
    await end(reader)


async def test_repr() -> None:
    reader, writer = await both()
    for protocol in (reader, writer):
        number = protocol.transport.get_extra_info("pipe").fileno()
        assert f" fd={number} " in repr(protocol.transport)
    await turns(2)
    assert repr(reader.transport).endswith(" polling>")
    reader.transport.pause_reading()
    assert repr(reader.transport).endswith(" idle>")
    assert repr(writer.transport).endswith(" idle bufsize=0>")
    writer.transport.write(b"x" * MUCH)
    size = writer.transport.get_write_buffer_size()
    assert size > 0
    assert repr(writer.transport).endswith(f" polling bufsize={size}>")
    writer.transport.close()
    assert " closing fd=" in repr(writer.transport)
    writer.transport.abort()
    await writer.lost
    await end(reader)
    for protocol in (reader, writer):
        assert " closed fd=" in repr(protocol.transport)
        assert repr(protocol.transport).endswith(" closed>")


async def test_made_non_blocking() -> None:
    near, far = pipe_files()
    assert os.get_blocking(near.fileno())
    reader, writer = await reading(near), await writing(far)
    assert not os.get_blocking(near.fileno())
    assert not os.get_blocking(far.fileno())
    await end(reader, writer)


class TestTheReadingEnd:
    async def test_pausing(self) -> None:
        reader, writer = await both()
        reader.transport.pause_reading()
        assert not reader.transport.is_reading()
        reader.transport.pause_reading()
        writer.transport.write(b"later")
        await turns(5)
        assert reader.data == b""
        reader.transport.resume_reading()
        reader.transport.resume_reading()
        assert reader.transport.is_reading()
        assert await reader.received(5) == b"later"
        await end(writer, reader)
        assert not reader.transport.is_reading()
        reader.transport.pause_reading()  # nothing more to do
        reader.transport.resume_reading()
        assert not reader.transport.is_reading()

    async def test_pausing_in_connection_made(self) -> None:
        class Shy(Recorder):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                transport.pause_reading()

        reader, writer = await both(Shy)
        writer.transport.write(b"later")
        await turns(5)
        assert reader.data == b""
        reader.transport.resume_reading()
        assert await reader.received(5) == b"later"
        await end(writer, reader)

    async def test_pausing_in_data_received(self) -> None:
        """What one pause lets through is bounded, however large the pipe."""

        class Shy(Recorder):
            calls = 0

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.calls += 1
                self.transport.pause_reading()

        near, far = pipe_files()
        fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, MUCH)
        os.set_blocking(far.fileno(), False)
        assert far.write(b"x" * MUCH) == MUCH
        reader = await reading(near, Shy)
        await until(lambda: reader.calls)
        await turns(5)
        assert reader.calls == 1
        assert len(reader.data) <= 256 * 1024
        reader.transport.close()
        await reader.lost
        far.close()

    async def test_a_full_large_pipe_does_not_keep_the_loop(
        self, loop: asyncio.AbstractEventLoop
    ) -> None:
        """One event reads asyncio's 256 KiB at most, then others have their turn."""
        near, far = pipe_files()
        fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, MUCH)
        os.set_blocking(far.fileno(), False)
        assert far.write(b"x" * MUCH) == MUCH
        reader = await reading(near)
        sizes = []
        while len(reader.data) < MUCH:
            sizes.append(len(reader.data))
            await turns(1)
        assert len([size for size in set(sizes) if size]) >= 3
        far.close()
        await end(reader)

    async def test_closing_in_data_received(self) -> None:
        class Leaves(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.transport.close()

        reader, writer = await both(Leaves)
        writer.transport.write(b"x")
        assert await reader.lost is None
        assert reader.events == ["made", "data", "lost"]
        assert await writer.lost is None

    async def test_closing_twice(self) -> None:
        reader, writer = await both()
        reader.transport.close()
        reader.transport.close()
        assert reader.transport.is_closing()
        assert await reader.lost is None
        reader.transport.close()
        assert reader.events == ["made", "lost"]
        await end(writer)

    async def test_an_exception_in_data_received_ends_nothing(self, contexts: Contexts) -> None:
        class Fails(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                raise ZeroDivisionError

        reader, writer = await both(Fails)
        writer.transport.write(b"1")
        await until(lambda: contexts)
        context = contexts.take_one()
        assert type(context["exception"]) is ZeroDivisionError
        assert "_read_ready" in context["message"]
        assert not reader.transport.is_closing()
        writer.transport.write(b"2")
        await until(lambda: contexts)
        contexts.take_one()
        assert reader.data == b"12"
        await end(writer, reader)

    @pytest.mark.parametrize("method", ["connection_made", "eof_received", "connection_lost"])
    async def test_exceptions_of_the_other_callbacks(self, method: str, contexts: Contexts) -> None:
        def fail(self: Recorder, *args: Any) -> None:
            getattr(Recorder, method)(self, *args)
            raise ZeroDivisionError

        reader, writer = await both(type("Fails", (Recorder,), {method: fail}))
        writer.transport.close()
        await reader.lost
        await writer.lost
        await turns(2)
        assert reader.events == ["made", "eof", "lost"]
        assert reader.transport.get_extra_info("pipe").closed
        assert type(contexts.take_one()["exception"]) is ZeroDivisionError

    async def test_another_protocol(self) -> None:
        reader, writer = await both()
        other = Recorder()
        other.connection_made(reader.transport)
        reader.transport.set_protocol(other)
        assert reader.transport.get_protocol() is other
        writer.transport.write(b"to whom?")
        assert await other.received(8) == b"to whom?"
        writer.transport.close()
        assert await other.lost is None
        await writer.lost
        assert reader.events == ["made"]

    async def test_a_read_that_fails(self, contexts: Contexts) -> None:
        """The writing end given to be read: reported, then lost with the error."""
        near, far = pipe_files()
        reader = await reading(far)
        near.close()
        assert isinstance(await reader.lost, OSError)
        context = contexts.take_one()
        assert context["message"] == "Fatal read error on pipe transport"
        assert context["transport"] is reader.transport
        assert context["protocol"] is reader


@contextlib.contextmanager
def opened(kind: str, tmp_path: Path) -> Any:
    """Something that is no pipe."""
    if kind == "closed":
        near, far = pipe_files()
        near.close()
        far.close()
        yield near
    elif kind == "number":
        yield 0
    elif kind == "stale":
        near, far = pipe_files()
        with near, far:
            pass
        yield type("Stale", (), {"fileno": lambda self: 1 << 20, "close": lambda self: None})()
    elif kind == "text for a number":
        yield type("Text", (), {"fileno": lambda self: "0", "close": lambda self: None})()
    else:
        path = tmp_path / "file"
        path.write_bytes(b"data")
        fd = os.open(path if kind == "file" else tmp_path, os.O_RDONLY)
        try:
            yield type("Opened", (), {"fileno": lambda self: fd, "close": lambda self: None})()
        finally:
            os.close(fd)


MISUSED: list[tuple[str, type[Exception]]] = [
    ("file", ValueError),
    ("folder", ValueError),
    ("closed", ValueError),
    ("number", AttributeError),
    ("stale", OSError),
    ("text for a number", TypeError),
]


# asyncio leaves a transport behind that was never finished, whose finalizer complains.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("kind", "expected"), MISUSED)
async def test_what_is_no_pipe(kind: str, expected: type[Exception], tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with opened(kind, tmp_path) as thing:
        got = [
            await outcome_of(lambda: loop.connect_read_pipe(asyncio.Protocol, thing)),
            await outcome_of(lambda: loop.connect_write_pipe(asyncio.Protocol, thing)),
        ]
        assert all(isinstance(one, type) and issubclass(one, expected) for one in got)


async def test_a_file_stays_as_it_is(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        with pytest.raises(ValueError, match="only for pipes, sockets and character devices"):
            await writing(file)
        assert os.get_blocking(file.fileno())
        file.write(b"still open")


async def test_cancelled_while_connecting(loop: asyncio.AbstractEventLoop) -> None:
    near, far = pipe_files()
    for connect, file in ((loop.connect_read_pipe, near), (loop.connect_write_pipe, far)):
        task = loop.create_task(connect(Recorder, file))
        await turns(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns(3)
        assert file.closed


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio closes the pipe in a finalizer
def test_a_closed_loop(loop: asyncio.AbstractEventLoop) -> None:
    near, far = pipe_files()
    with finishing(loop):
        pass
    with near, far:
        for connect, file in ((loop.connect_read_pipe, near), (loop.connect_write_pipe, far)):
            with pytest.raises(RuntimeError, match="closed"):
                connect(asyncio.Protocol, file).send(None)
        gc.collect()


def forget(held: list[Any]) -> None:
    held.clear()
    gc.collect()


@pytest.mark.parametrize("side", ["read", "write"])
def test_forgotten(implementation: Implementation, side: str) -> None:
    """Warned of and closed, when the loop that watched it is gone."""
    near, far = pipe_files()
    file, other = (near, far) if side == "read" else (far, near)
    loop = implementation.new_event_loop()
    with finishing(loop):
        connect = getattr(loop, f"connect_{side}_pipe")
        transport, _ = loop.run_until_complete(connect(asyncio.Protocol, file))
    assert repr(transport).endswith(" open>")
    held = [transport]
    del transport
    with pytest.warns(ResourceWarning, match="unclosed transport <"):
        forget(held)
    assert file.closed
    other.close()


async def test_all_callbacks_run_in_one_context() -> None:
    """That in which the transport was made."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[tuple[str, str]] = []

    class Looks(Recorder):
        def connection_made(self, transport: Any) -> None:
            seen.append(("made", variable.get()))
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            seen.append(("data", variable.get()))
            super().data_received(data)

        def eof_received(self) -> None:
            seen.append(("eof", variable.get()))
            super().eof_received()

        def connection_lost(self, exc: Exception | None) -> None:
            seen.append(("lost", variable.get()))
            super().connection_lost(exc)

    variable.set("made with")
    reader, writer = await both(Looks, Looks)
    variable.set("later")
    writer.transport.write(b"x")
    await reader.received(1)
    writer.transport.close()
    await reader.lost
    await writer.lost
    values = dict.fromkeys(value for event, value in seen if event in {"made", "data", "eof"})
    assert list(values) == ["made with"]


async def test_debug_mode(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000.0
    with caplog.at_level(logging.DEBUG, "asyncio"):
        reader, writer = await both()
        reader.transport.pause_reading()
        reader.transport.resume_reading()
        writer.transport.write(b"x" * MUCH)
        assert await reader.received(MUCH) == b"x" * MUCH
        writer.transport.close()
        await writer.lost
        await reader.lost
    messages = [record.getMessage() for record in caplog.records]
    for expected in (
        "Read pipe",
        "Write pipe",
        "pauses reading",
        "resumes reading",
        "was closed by peer",
    ):
        assert any(expected in message for message in messages), expected


async def test_many_pipes_at_once(loop: asyncio.AbstractEventLoop) -> None:
    pairs = [await both() for _ in range(50)]
    data = os.urandom(200_000)
    for _, writer in pairs:
        writer.transport.write(data)
        writer.transport.close()
    for reader, writer in pairs:
        assert await reader.received(len(data)) == data
        assert await reader.lost is None
        assert await writer.lost is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="packet mode is Linux's")
async def test_packets_stay_apart() -> None:
    """In packet mode each read gives one write: nothing is read together."""
    near, far = os.pipe2(os.O_DIRECT)
    got: list[bytes] = []

    class Packets(Recorder):
        def data_received(self, data: bytes) -> None:
            got.append(data)
            super().data_received(data)

    reader = await reading(io.FileIO(near, "r"), Packets)
    writer = await writing(io.FileIO(far, "w"))
    for size in (1, 100, 4096):
        writer.transport.write(b"p" * size)
    await reader.received(4197)
    assert [len(packet) for packet in got] == [1, 100, 4096]
    await end(writer, reader)
