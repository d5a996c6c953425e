"""Allocations that fail: MemoryError in the call that needs the memory, and the object works on.

Each program runs in a process of its own, with a limit on its address space that leaves no room
for what the call has to copy. Rust's collections abort the process where an allocation fails,
unless the code asks first.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

PREAMBLE = """
    import asyncio, os, resource, socket, sys
    if sys.argv[1] == "asyncio":
        new_event_loop = asyncio.SelectorEventLoop
    else:
        import aioxide
        aioxide.install()
        new_event_loop = aioxide.new_event_loop

    MIB = 1 << 20
    LARGE = 64 * MIB

    class Limit:
        # Leaves room for `rest` bytes more than the process has mapped now.
        def __init__(self, rest=16 * MIB):
            self.rest = rest

        def __enter__(self):
            with open("/proc/self/statm") as file:
                mapped = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (mapped + self.rest, resource.RLIM_INFINITY))

        def __exit__(self, *error):
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

    def attempt(call, *args):
        # What a call comes to under the limit.
        with Limit():
            try:
                call(*args)
            except MemoryError:
                return "MemoryError"
            return "done"

    def until_it_fails(call, *args):
        # How often it succeeds. Removing the limit needs some memory itself.
        count = 0
        reserve = bytearray(MIB)
        with Limit():
            try:
                while True:
                    call(*args)
                    count += 1
            except MemoryError:
                del reserve
        return count

    async def connection():
        # A connection whose other end reads nothing until it is asked to.
        one, other = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=one)
        return writer, other

    async def rest(other):
        # Everything that comes until the end.
        reader, writer = await asyncio.open_connection(sock=other)
        said = await reader.read()
        writer.close()
        return said
"""

# What they print with asyncio, and with aioxide if it differs. Since 3.12 asyncio's transports
# keep a reference
# to what was written, even if its owner may change it; ours copy what is no `bytes`.
PROGRAMS = {
    "StreamReader.feed_data": """
        reader = asyncio.StreamReader()
        data = b"x" * LARGE
        reader.feed_data(b"1")
        said = attempt(reader.feed_data, data)
        reader.feed_data(b"2")
        reader.feed_eof()
        return said, await reader.read()
    """,
    "StreamReader.feed_data of a shared buffer": """
        reader = asyncio.StreamReader()
        data = b"x" * LARGE
        reader.feed_data(b"1")
        buffer = reader._buffer
        said = attempt(reader.feed_data, data)
        reader.feed_data(b"2")
        reader.feed_eof()
        return said, await reader.read()
    """,
    "StreamReader.read": """
        reader = asyncio.StreamReader()
        reader.feed_data(b"x" * LARGE)
        reader.feed_eof()
        with Limit():
            try:
                await reader.read()
            except MemoryError:
                return "MemoryError"
    """,
    "StreamReader.readexactly": """
        reader = asyncio.StreamReader()
        reader.feed_data(b"x" * LARGE)
        with Limit():
            try:
                await reader.readexactly(LARGE)
            except MemoryError:
                said = "MemoryError"
        return said, len(await reader.readexactly(LARGE)) == LARGE
    """,
    "Queue.put_nowait": """
        queue = asyncio.Queue()
        count = until_it_fails(queue.put_nowait, None)
        queue.put_nowait(1)
        last = [queue.get_nowait() for _ in range(count + 1)][-1]
        return count > 0, last
    """,
    "LifoQueue.put_nowait": """
        queue = asyncio.LifoQueue()
        count = until_it_fails(queue.put_nowait, None)
        queue.put_nowait(1)
        return count > 0, queue.qsize() == count + 1, queue.get_nowait()
    """,
    "call_soon": """
        loop = asyncio.get_running_loop()
        called = []
        count = until_it_fails(loop.call_soon, called.append, 1)
        await asyncio.sleep(0)
        # Where CPython cannot make the handle, nothing is scheduled; nor where the queue cannot
        # grow.
        return count > 0, len(called) == count
    """,
    "call_later": """
        loop = asyncio.get_running_loop()
        count = until_it_fails(loop.call_later, 3600, print)
        return count > 0
    """,
    "a pipe": """
        loop = asyncio.get_running_loop()
        one, other = os.pipe()
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(other, "wb", 0))
        reader = asyncio.StreamReader()
        said = attempt(transport.write, bytearray(LARGE))
        transport.write(b"end")
        pipe = os.fdopen(one, "rb", 0)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        transport.close()
        return said, (await reader.read()).endswith(b"end")
    """,
}
ONLY_OURS = {
    "a connection, bytes": """
        writer, other = await connection()
        data = b"x" * LARGE
        said = attempt(writer.write, data)
        reading = asyncio.ensure_future(rest(other))
        await writer.drain()
        writer.close()
        return said, len(await reading) == LARGE
    """,
    "a connection, a copy": """
        writer, other = await connection()
        data = bytearray(b"x") * LARGE
        said = attempt(writer.write, data)
        writer.write(b"end")
        reading = asyncio.ensure_future(rest(other))
        await writer.drain()
        writer.close()
        return said, await reading
    """,
    "a connection, a copy behind other data": """
        writer, other = await connection()
        data = bytearray(b"x") * LARGE
        writer.write(b"y" * 8 * MIB)
        said = attempt(writer.write, data)
        writer.write(b"end")
        reading = asyncio.ensure_future(rest(other))
        await writer.drain()
        writer.close()
        return said, await reading == b"y" * 8 * MIB + b"end"
    """,
    "a connection, copies": """
        writer, other = await connection()
        data = [b"1", bytearray(b"x") * LARGE, b"2"]
        said = attempt(writer.writelines, data)
        writer.write(b"end")
        reading = asyncio.ensure_future(rest(other))
        await writer.drain()
        writer.close()
        return said, await reading
    """,
    "a pipe of a process": """
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys; print(sys.stdin.read()[-3:])", stdin=-1, stdout=-1
        )
        said = attempt(child.stdin.write, bytearray(b"x") * LARGE)
        return said, (await child.communicate(b"end"))[0]
    """,
    "a separator": """
        reader = asyncio.StreamReader()
        reader.feed_data(b"12")
        separator = bytearray(LARGE)
        with Limit():
            try:
                await reader.readuntil(separator)
            except MemoryError:
                said = "MemoryError"
        return said, await reader.readuntil(b"2")
    """,
}
EXPECTED = {
    "a connection, bytes": ("done", True),
    "a connection, a copy": ("MemoryError", b"end"),
    "a connection, a copy behind other data": ("MemoryError", True),
    "a connection, copies": ("MemoryError", b"end"),
    "a pipe of a process": ("MemoryError", b"end\n"),
    "a separator": ("MemoryError", b"12"),
}


def run(body: str, implementation: str) -> str:
    """Return what a program prints."""
    body = textwrap.indent(textwrap.dedent(body), "    ")
    source = f"{textwrap.dedent(PREAMBLE)}\nasync def body():\n{body}\n"
    source += "with asyncio.Runner(loop_factory=new_event_loop) as runner:\n"
    source += "    print(runner.run(body()))\n"
    done = subprocess.run(
        [sys.executable, "-c", source, implementation],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_same_as_asyncio(program: str) -> None:
    assert run(PROGRAMS[program], "aioxide") == run(PROGRAMS[program], "asyncio")


@pytest.mark.parametrize("program", ONLY_OURS)
def test_a_write_is_queued_as_a_whole_or_not_at_all(program: str) -> None:
    assert run(ONLY_OURS[program], "aioxide") == f"{EXPECTED[program]}\n"
