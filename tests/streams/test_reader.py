"""StreamReader, fed by hand."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest

from helpers import turns


class Transport(asyncio.Transport):
    """Counts what a reader asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


async def outcome_of(task: asyncio.Task[Any]) -> Any:
    """The result, or the exception with what matters of it."""
    try:
        return await task
    except asyncio.IncompleteReadError as error:
        return type(error), error.partial, error.expected
    except asyncio.LimitOverrunError as error:
        return type(error), error.consumed, str(error)
    except (Exception, asyncio.CancelledError) as error:
        return type(error), str(error)


READS = {
    "read": lambda reader: reader.read(5),
    "readexactly": lambda reader: reader.readexactly(5),
    "readline": lambda reader: reader.readline(),
    "readuntil": lambda reader: reader.readuntil(b"yz"),
    "next": lambda reader: anext(reader),
}


@pytest.mark.parametrize("kind", READS)
async def test_bytes_that_came_before_are_there_at_once(
    loop: asyncio.AbstractEventLoop, streams: Any, kind: str
) -> None:
    reader = streams.StreamReader(loop=loop)
    reader.feed_data(b"abcxyz\nrest")
    task = loop.create_task(READS[kind](reader))
    expected = {
        "read": b"abcxy",
        "readexactly": b"abcxy",
        "readline": b"abcxyz\n",
        "readuntil": b"abcxyz",
        "next": b"abcxyz\n",
    }[kind]
    await turns(1)
    assert task.done()
    assert task.result() == expected
    assert expected + reader._buffer == b"abcxyz\nrest"


@pytest.mark.parametrize("kind", READS)
async def test_bytes_that_come_wake_the_one_who_waits(
    loop: asyncio.AbstractEventLoop, streams: Any, kind: str
) -> None:
    reader = streams.StreamReader(loop=loop)
    task = loop.create_task(READS[kind](reader))
    await turns(2)
    assert reader._waiter is not None
    reader.feed_data(b"abcxyz\nrest")
    assert reader._waiter is None
    data = await task
    assert data + reader._buffer == b"abcxyz\nrest"
    assert await reader.read(100) == reader._buffer + b"abcxyz\nrest"[len(data) :]


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_cancelled_read_loses_nothing(
    loop: asyncio.AbstractEventLoop, streams: Any, kind: str, when: str
) -> None:
    reader = streams.StreamReader(loop=loop)
    task = loop.create_task(READS[kind](reader))
    await turns(2)
    if when == "before":
        task.cancel()
        reader.feed_data(b"abcxyz\nrest")
    else:
        reader.feed_data(b"abcxyz\nrest")
        task.cancel()
    assert await outcome_of(task) == (asyncio.CancelledError, "")
    assert reader._waiter is None
    assert await reader.readline() == b"abcxyz\n"
    assert await reader.read(100) == b"rest"


@pytest.mark.parametrize("kind", READS)
async def test_a_read_that_is_dropped_lets_the_next_one_wait(
    loop: asyncio.AbstractEventLoop, streams: Any, kind: str
) -> None:
    reader = streams.StreamReader(loop=loop)
    read = READS[kind](reader)
    assert read.send(None) is reader._waiter
    read.close()
    assert reader._waiter is None
    task = loop.create_task(READS[kind](reader))
    await turns(2)
    reader.feed_data(b"abcxyz\nrest")
    assert (await task)[:3] == b"abc"


async def test_what_is_never_awaited_is_warned_of(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader.read(1)
        gc.collect()
    # Where it was made may follow, if somebody tracks that.
    assert [str(warning.message).splitlines()[0] for warning in caught] == [
        "coroutine 'StreamReader.read' was never awaited"
    ]


async def test_reads_are_coroutines(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader = streams.StreamReader(loop=loop)
    for make in READS.values():
        read = make(reader)
        assert asyncio.iscoroutine(read)
        assert not asyncio.isfuture(read)
        read.close()
        read.close()


async def test_two_reads_at_once_are_refused(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader = streams.StreamReader(loop=loop)
    first = loop.create_task(reader.read(1))
    await turns(2)
    for make in READS.values():
        with pytest.raises(RuntimeError, match="already waiting for incoming data"):
            await make(reader)
    reader.feed_data(b"x")
    assert await first == b"x"


async def test_the_end_of_the_stream(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    outcomes = {}
    for kind, make in READS.items():
        for before in (b"", b"ab"):
            reader = streams.StreamReader(loop=loop)
            task = loop.create_task(make(reader))
            await turns(2)
            if before:
                reader.feed_data(before)
            reader.feed_eof()
            outcomes[kind, before] = await outcome_of(task), bytes(reader._buffer)
    assert outcomes == {
        ("read", b""): (b"", b""),
        ("read", b"ab"): (b"ab", b""),
        ("readexactly", b""): ((asyncio.IncompleteReadError, b"", 5), b""),
        ("readexactly", b"ab"): ((asyncio.IncompleteReadError, b"ab", 5), b""),
        ("readline", b""): (b"", b""),
        ("readline", b"ab"): (b"ab", b""),
        ("readuntil", b""): ((asyncio.IncompleteReadError, b"", None), b""),
        ("readuntil", b"ab"): ((asyncio.IncompleteReadError, b"ab", None), b""),
        ("next", b""): ((StopAsyncIteration, ""), b""),
        ("next", b"ab"): (b"ab", b""),
    }


async def test_read_all_gathers_and_loses_nothing(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(limit=10, loop=loop)
    task = loop.create_task(reader.read())
    for part in (b"a" * 7, b"b" * 30, b"", b"c"):
        reader.feed_data(part)
        await turns(2)
    assert not task.done()
    reader.feed_eof()
    assert await task == b"a" * 7 + b"b" * 30 + b"c"
    assert reader.at_eof()


@pytest.mark.parametrize("length", [3, 4, 5, 9])
async def test_lines_and_the_limit(
    loop: asyncio.AbstractEventLoop, streams: Any, length: int
) -> None:
    """A line of up to the limit and its newline is read; a longer one is thrown away."""
    reader = streams.StreamReader(limit=4, loop=loop)
    task = loop.create_task(reader.readline())
    await turns(2)
    line = b"x" * length + b"\n"
    for start in range(0, len(line), 2):
        reader.feed_data(line[start : start + 2])
        await turns(2)
    outcome = await outcome_of(task)
    if length <= 4:
        assert outcome == line
    else:
        found = "is found, but chunk is longer than limit"
        missing = "is not found, and chunk exceed the limit"
        assert outcome == (ValueError, f"Separator {found if length == 5 else missing}")
        reader.feed_data(b"\nnext\n")
        remains = bytes(reader._buffer)
        assert remains.endswith(b"\nnext\n")


async def test_a_line_that_is_all_there_and_too_long(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(limit=4, loop=loop)
    reader.feed_data(b"too long\nnext\n")
    with pytest.raises(ValueError, match="Separator is found, but chunk is longer") as caught:
        await reader.readline()
    assert isinstance(caught.value.__context__, asyncio.LimitOverrunError)
    assert await reader.readline() == b"next\n"


async def test_readuntil_leaves_everything_after_an_overrun(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(limit=4, loop=loop)
    reader.feed_data(b"too long;next;")
    with pytest.raises(asyncio.LimitOverrunError) as caught:
        await reader.readuntil(b";")
    assert caught.value.consumed == 8
    assert await reader.readexactly(9) == b"too long;"


@pytest.mark.parametrize(
    "argument", [b"", "x", None, 3, (), (b"",), ("x",), [b"x"], bytearray(b"x"), memoryview(b"x")]
)
async def test_separators_that_are_none(
    loop: asyncio.AbstractEventLoop, streams: Any, argument: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    reader.feed_data(b"abxcd")
    task = loop.create_task(reader.readuntil(argument))
    expected: Any = {
        "b''": ValueError,
        "()": ValueError,
        "(b'',)": ValueError,
        "bytearray(b'x')": b"abx",
    }.get(repr(argument), b"abx" if isinstance(argument, memoryview) else TypeError)
    try:
        got: Any = await task
    except (TypeError, ValueError) as error:
        got = type(error)
    if isinstance(argument, tuple) and not hasattr(asyncio, "QueueShutDown"):
        # Tuples came with 3.13; ours take them everywhere.
        assert got in (expected, TypeError, ValueError)
    else:
        assert got == expected


async def test_flow_control(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader = streams.StreamReader(limit=10, loop=loop)
    transport = Transport()
    reader.set_transport(transport)
    with pytest.raises(AssertionError, match="Transport already set"):
        reader.set_transport(transport)
    reader.feed_data(b"x" * 20)
    assert transport.calls == []
    reader.feed_data(b"x")
    reader.feed_data(b"x")
    assert transport.calls == ["pause"]
    assert await reader.read(11) == b"x" * 11
    assert transport.calls == ["pause"]
    assert await reader.readexactly(1) == b"x"
    assert transport.calls == ["pause", "resume"]
    reader.feed_data(b"x" * 20)
    assert transport.calls == ["pause", "resume", "pause"]
    # More than the limit is wanted: waiting while paused would wait for ever.
    task = loop.create_task(reader.readexactly(100))
    await turns(2)
    assert transport.calls == ["pause", "resume", "pause", "resume"]
    reader.feed_data(b"x" * 70)
    assert await task == b"x" * 100
    assert transport.calls == ["pause", "resume", "pause", "resume", "pause", "resume"]


async def test_a_transport_that_cannot_pause_is_not_asked_again(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    class Unstoppable(Transport):
        def pause_reading(self) -> None:
            super().pause_reading()
            raise NotImplementedError

    reader = streams.StreamReader(limit=1, loop=loop)
    transport = Unstoppable()
    reader.set_transport(transport)
    reader.feed_data(b"xxxx")
    reader.feed_data(b"xxxx")
    assert transport.calls == ["pause"]
    assert reader._transport is None


async def test_an_exception_ends_every_read(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    for make in READS.values():
        reader = streams.StreamReader(loop=loop)
        waiting = loop.create_task(make(reader))
        await turns(2)
        error = OSError("gone")
        reader.set_exception(error)
        assert reader.exception() is error
        assert await outcome_of(waiting) == (OSError, "gone")
        assert await outcome_of(loop.create_task(make(reader))) == (OSError, "gone")


async def test_wrong_uses(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    for limit in (0, -1):
        with pytest.raises(ValueError, match="Limit cannot be <= 0"):
            streams.StreamReader(limit=limit, loop=loop)
    with pytest.raises(TypeError):
        streams.StreamReader(limit="x", loop=loop)
    reader = streams.StreamReader(loop=loop)
    with pytest.raises(ValueError, match="can not be less than zero"):
        await reader.readexactly(-1)
    with pytest.raises(TypeError):
        await reader.readexactly("1")
    with pytest.raises(TypeError):
        await reader.read(None)
    with pytest.raises(TypeError):
        reader.feed_data("text")
    assert await reader.read(0) == b""
    assert await reader.readexactly(0) == b""
    reader.feed_eof()
    with pytest.raises(AssertionError, match="feed_data after feed_eof"):
        reader.feed_data(b"x")


async def test_a_derived_class_may_override_anything(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    class Shouting(streams.StreamReader):  # type: ignore[misc, name-defined]
        def feed_data(self, data: bytes) -> None:
            super().feed_data(data.upper())

        async def readuntil(self, separator: bytes = b"\n") -> bytes:
            return b"> " + await super().readuntil(separator)

    reader = Shouting(loop=loop)
    reader.feed_data(b"one\ntwo\n")
    assert await reader.readline() == b"> ONE\n"
    assert [line async for line in _ended(reader)] == [b"> TWO\n"]


def _ended(reader: Any) -> Any:
    reader.feed_eof()
    return reader


async def test_the_buffer_is_a_bytearray_that_others_may_change(
    loop: asyncio.AbstractEventLoop, streams: Any
) -> None:
    reader = streams.StreamReader(loop=loop)
    reader.feed_data(b"0123456789")
    buffer = reader._buffer
    assert type(buffer) is bytearray
    del buffer[:3]
    buffer.extend(b"ab\n")
    reader.feed_data(b"cd")
    assert await reader.readline() == b"3456789ab\n"
    assert reader._buffer is buffer
    assert buffer == b"cd"
    task = loop.create_task(reader.read(100))
    await task
    assert buffer == b""
    task = loop.create_task(reader.readexactly(3))
    await turns(2)
    reader.feed_data(b"xyz!")
    task.cancel()
    assert await outcome_of(task) == (asyncio.CancelledError, "")
    assert buffer == b"xyz!"


async def test_repr(loop: asyncio.AbstractEventLoop, streams: Any) -> None:
    reader = streams.StreamReader(loop=loop)
    assert repr(reader) == "<StreamReader>"
    reader = streams.StreamReader(limit=3, loop=loop)
    reader.set_transport(Transport())
    reader.feed_data(b"1234567")
    reader.feed_eof()
    reader.set_exception(ValueError("x"))
    text = repr(reader)
    assert text.startswith("<StreamReader 7 bytes eof limit=3 exception=ValueError('x') transport=")
    assert text.endswith(" paused>")
