"""The writing end of a pipe: its reader's end, flow control, what can be written."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from helpers import Contexts, turns, until
from pipe_helpers import MUCH, Writer, both, end, pipe_files, read_file, writing

pytestmark = pytest.mark.usefixtures("loop")


class TestTheWritingEnd:
    async def test_the_reader_goes_while_nothing_waits(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        near.close()
        assert await writer.lost is None
        assert writer.events == ["made", "lost"]

    async def test_the_reader_goes_while_something_waits(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        writer.transport.write(b"x" * MUCH)
        near.close()
        assert isinstance(await writer.lost, BrokenPipeError)
        assert writer.transport.get_write_buffer_size() == 0

    async def test_the_reader_goes_after_the_end_was_written(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        writer.transport.write(b"x" * MUCH)
        writer.transport.write_eof()
        near.close()
        assert isinstance(await writer.lost, BrokenPipeError)

    async def test_writing_to_a_reader_that_has_gone(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        near.close()
        writer.transport.write(b"x")  # before the loop has looked
        assert isinstance(await writer.lost, BrokenPipeError)

    async def test_writes_to_nobody_are_complained_about(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        near.close()
        await writer.lost
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(5):
                writer.transport.write(b"x")
            assert not caplog.records
            writer.transport.write(b"x")
            writer.transport.write(b"")
        assert [record.getMessage() for record in caplog.records] == [
            "pipe closed by peer or os.write(pipe, data) raised exception."
        ]

    async def test_abort_drops_what_waits(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        writer.transport.write(b"x" * MUCH)
        waiting = writer.transport.get_write_buffer_size()
        assert waiting > 0
        writer.transport.abort()
        assert writer.transport.get_write_buffer_size() == 0
        assert await writer.lost is None
        assert len(await read_file(near, MUCH)) == MUCH - waiting
        near.close()

    async def test_abort_after_close(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        writer.transport.write(b"x" * MUCH)
        writer.transport.close()
        await turns(2)
        assert not writer.lost.done()
        writer.transport.abort()
        assert await writer.lost is None
        near.close()

    async def test_closing_twice(self) -> None:
        reader, writer = await both()
        writer.transport.close()
        writer.transport.close()
        writer.transport.write_eof()
        assert await writer.lost is None
        writer.transport.close()
        assert writer.events == ["made", "lost"]
        assert await reader.lost is None

    async def test_flow_control(self) -> None:
        near, far = pipe_files()
        writer = await writing(far)
        transport = writer.transport
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.set_write_buffer_limits(high=1000, low=10)
        assert transport.get_write_buffer_limits() == (10, 1000)
        with pytest.raises(ValueError, match="must be >= low"):
            transport.set_write_buffer_limits(high=1, low=2)
        transport.write(b"x" * MUCH)
        assert writer.events == ["made", "pause"]
        transport.write(b"x")
        assert writer.events == ["made", "pause"]
        assert await read_file(near, MUCH + 1) == b"x" * (MUCH + 1)
        await until(lambda: "resume" in writer.events)
        assert transport.get_write_buffer_size() <= 10
        await end(writer)
        assert writer.events == ["made", "pause", "resume", "lost"]
        near.close()

    async def test_writing_from_resume_writing(self) -> None:
        class Refills(Writer):
            rounds = 0

            def resume_writing(self) -> None:
                super().resume_writing()
                if self.rounds < 3:
                    self.rounds += 1
                    self.transport.write(bytes([self.rounds]) * MUCH)

        near, far = pipe_files()
        writer = await writing(far, Refills)
        writer.transport.write(b"\0" * MUCH)
        got = await read_file(near, 4 * MUCH)
        assert got == b"".join(bytes([number]) * MUCH for number in range(4))
        await until(lambda: writer.events.count("resume") == 4)
        assert writer.events == ["made", *["pause", "resume"] * 4]
        await end(writer)
        near.close()

    @pytest.mark.aioxide_only  # asyncio calls connection_lost() twice
    @pytest.mark.parametrize("method", ["close", "abort"])
    async def test_closing_from_resume_writing(self, method: str) -> None:
        class Leaves(Writer):
            def resume_writing(self) -> None:
                super().resume_writing()
                getattr(self.transport, method)()

        near, far = pipe_files()
        writer = await writing(far, Leaves)
        writer.transport.write(b"x" * MUCH)
        got = await read_file(near, MUCH)
        assert len(got) == MUCH or method == "abort"
        assert await writer.lost is None
        assert writer.events == ["made", "pause", "resume", "lost"]
        near.close()

    async def test_an_exception_in_pause_writing(self, contexts: Contexts) -> None:
        class Fails(Writer):
            def pause_writing(self) -> None:
                raise ZeroDivisionError

        near, far = pipe_files()
        writer = await writing(far, Fails)
        writer.transport.write(b"x" * MUCH)
        assert contexts.take_one()["message"] == "protocol.pause_writing() failed"
        assert not writer.transport.is_closing()
        writer.transport.abort()
        await writer.lost
        near.close()

    async def test_many_small_pieces(self) -> None:
        reader, writer = await both()
        writer.transport.write(b"-" * MUCH)  # from now on everything is queued
        pieces = [bytes([number % 251]) * (number % 5000) for number in range(1000)]
        for piece in pieces:
            writer.transport.write(piece)
        writer.transport.writelines(pieces)
        expected = b"-" * MUCH + b"".join(pieces) * 2
        assert await reader.received(len(expected)) == expected
        await end(writer, reader)

    async def test_the_caller_keeps_its_buffer(self) -> None:
        reader, writer = await both()
        data = bytearray(b"x" * MUCH)
        writer.transport.write(data)
        data[:] = b"y" * MUCH
        data.clear()
        assert await reader.received(MUCH) == b"x" * MUCH
        await end(writer, reader)

    @pytest.mark.parametrize("junk", ["text", None, 5, ["list"], object()])
    async def test_what_is_not_bytes(self, junk: Any) -> None:
        reader, writer = await both()
        with pytest.raises(AssertionError):
            writer.transport.write(junk)
        with pytest.raises(TypeError):
            writer.transport.writelines([b"a", junk])
        with pytest.raises(TypeError):
            writer.transport.writelines(5)
        assert not writer.transport.is_closing()
        await end(writer, reader)
        assert reader.data == b""

    async def test_nothing_is_nothing(self) -> None:
        reader, writer = await both()
        for nothing in (b"", bytearray(), memoryview(b"")):
            writer.transport.write(nothing)
        writer.transport.writelines([])
        writer.transport.writelines([b"", b""])
        await turns(3)
        await end(writer)
        assert await reader.lost is None
        assert reader.events == ["made", "eof", "lost"]
