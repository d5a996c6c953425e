"""Operations that a program uses for the first time while the interpreter ends.

Nothing can be imported any more in a finalizer that runs then, so native code must not import
anything on first use. Each program runs in an interpreter of its own, on asyncio and on aioxide,
and must say the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from functools import cache

import pytest

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

PREAMBLE = """
    import asyncio, atexit, io, os, socket, sys, tempfile
    if sys.argv[1] == "asyncio":
        new_event_loop = asyncio.SelectorEventLoop
    else:
        import aioxide
        new_event_loop = aioxide.new_event_loop
        if sys.argv[1] == "installed":
            aioxide.install()

    def run():
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                said = runner.run(body())
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        os.write(1, f"{said}\\n".encode())

    class Last:
        def __del__(self):
            run()

    async def nothing():
        pass

    async def outcome(awaitable):
        try:
            return await awaitable
        except Exception as error:
            return f"{type(error).__name__}: {error}"
"""
WHEN = {"exit handler": "atexit.register(run)\n", "finalizer": "last = Last()\n"}

BODIES = {
    "nothing": "return 1",
    "tasks": """
        tasks = [asyncio.create_task(nothing()) for _ in range(3)]
        known = len(asyncio.all_tasks())
        await asyncio.gather(*tasks)
        return known, asyncio.current_task() in asyncio.all_tasks()
    """,
    "an eager task": """
        if sys.version_info < (3, 12):
            return
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await asyncio.create_task(nothing())
    """,
    "a task left": "asyncio.create_task(asyncio.sleep(60)); await asyncio.sleep(0)",
    "representations": """
        task = asyncio.create_task(nothing())
        future = asyncio.get_running_loop().create_future()
        said = repr(task), repr(future), repr(asyncio.get_running_loop()), repr(asyncio.Queue())
        await task
        return said, repr(task)
    """,
    "a timeout": """
        async with asyncio.timeout(60) as limit:
            said = repr(limit)
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            return re.sub(r"\\d+\\.\\d+", "N", said) if (re := sys.modules.get("re")) else 0
    """,
    "a timeout out of order": """
        return await outcome(asyncio.timeout(1).__aexit__(None, None, None))
    """,
    "a handle": """
        loop = asyncio.get_running_loop()
        handle = asyncio.Handle(print, [], loop)
        return repr(handle), repr(loop.call_soon(len, ()))
    """,
    "wait_for": """
        return [
            await asyncio.wait_for(asyncio.sleep(0, 1), 60),
            await outcome(asyncio.wait_for(asyncio.sleep(60), 0.001)),
        ]
    """,
    "wait, shield and as_completed": """
        done, pending = await asyncio.wait([asyncio.ensure_future(nothing())])
        await asyncio.shield(nothing())
        return len(done), [await one for one in asyncio.as_completed([asyncio.sleep(0, 3)])]
    """,
    "a task group": """
        async def fail():
            raise ValueError(1)
        async def group():
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(60))
        return await outcome(group())
    """,
    "locks": """
        async with asyncio.Lock(), asyncio.Semaphore(1), asyncio.BoundedSemaphore(1):
            pass
        condition = asyncio.Condition()
        async with condition:
            condition.notify_all()
        event = asyncio.Event()
        event.set()
        await event.wait()
        barrier = asyncio.Barrier(1)
        async with barrier:
            pass
        await barrier.abort()
        return await outcome(barrier.wait())
    """,
    "queues": """
        said = []
        for kind in asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue:
            queue = kind(1)
            await queue.put(1)
            try:
                queue.put_nowait(2)
            except asyncio.QueueFull as error:
                said.append(repr(error))
            said.append(await queue.get())
            queue.task_done()
            await queue.join()
            if sys.version_info >= (3, 13):
                queue.shutdown()
                said.append(await outcome(queue.get()))
        return said
    """,
    "streams": """
        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.writelines([b"a", b"b\\n"])
        said = await reader.readuntil(b"\\n"), await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return said
    """,
    "errors of streams": """
        reader = asyncio.StreamReader(limit=4)
        reader.feed_data(b"123456789")
        said = [await outcome(reader.readline())]
        reader.feed_data(b"12")
        reader.feed_eof()
        return [*said, await outcome(reader.readexactly(9)), await outcome(reader.readuntil(b"x"))]
    """,
    "a reset connection": """
        server = await asyncio.start_server(lambda r, w: w.transport.abort(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await outcome(reader.read())
        for _ in range(7):
            writer.write(b"x")
            await asyncio.sleep(0)
        writer.close()
        await outcome(writer.wait_closed())
        server.close()
    """,
    "sendfile": """
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        loop = asyncio.get_running_loop()
        with open(__import__("sys").executable, "rb") as file:
            sent = await outcome(loop.sendfile(writer.transport, file, 0, 10))
            memory = io.BytesIO(b"abc")
            other = await outcome(loop.sendfile(writer.transport, memory, fallback=False))
        writer.close()
        server.close()
        return sent, other
    """,
    "datagrams": """
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        transport.close()
    """,
    "pipes": """
        loop = asyncio.get_running_loop()
        one, other = os.pipe()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(one))
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(other, "w"))
        transport.write(b"x")
        try:
            transport.write("x")
        except (AssertionError, TypeError) as error:
            said = repr(error)
        transport.close()
        return said, await reader.read()
    """,
    "sockets": """
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            await loop.sock_sendall(one, b"x")
            return await loop.sock_recv(other, 9)
    """,
    "names that need a thread": """
        loop = asyncio.get_running_loop()
        return [type(await outcome(loop.getaddrinfo("localhost", 80))) in (str, list)]
    """,
    "the exception handler": """
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        said = []
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        return [(context["message"], repr(context["exception"])) for context in said]
    """,
    "an asynchronous generator": """
        async def numbers():
            yield 1
            yield 2
        generator = numbers()
        return await anext(generator)
    """,
    "contexts": """
        import contextvars
        context = contextvars.copy_context()
        return await asyncio.create_task(asyncio.sleep(0, 5), context=context)
    """,
    "futures": """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        said = []
        for call in future.result, future.exception:
            try:
                call()
            except asyncio.InvalidStateError as error:
                said.append(repr(error))
        future.cancel("why")
        said.append(repr(future))
        return said
    """,
}


def normal(said: str) -> str:
    """Blank what differs between two runs, and between the names of the classes and modules."""
    said = re.sub(r"0x[0-9a-f]+", "0x..", said)
    said = re.sub(r"\d{4,}|fd=\d+|Task-\d+", "N", said)
    said = re.sub(r"<(asyncio\.unix_events\.)?_?(Unix)?(Selector)?EventLoop", "<Loop", said)
    return re.sub(r"\b(aioxide|asyncio)\.(\w+\.)*|at /\S+", "", said)


@cache
def run(body: str, when: str, implementation: str) -> tuple[int, str, str]:
    """Return status, stdout and stderr of a program."""
    body = textwrap.indent(textwrap.dedent(BODIES[body]), "    ")
    source = f"{textwrap.dedent(PREAMBLE)}\nasync def body():\n{body}\n{WHEN[when]}"
    done = subprocess.run(
        [sys.executable, "-c", source, implementation],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, normal(done.stdout), normal(done.stderr)


@pytest.mark.parametrize(
    ("when", "whose"),
    [("finalizer", "aioxide"), ("finalizer", "installed"), ("exit handler", "installed")],
)
@pytest.mark.parametrize("body", BODIES)
def test_the_same_as_asyncio(body: str, when: str, whose: str) -> None:
    expected = run(body, when, "asyncio")
    assert expected[:2] != (0, ""), "the program has said nothing"
    assert run(body, when, whose) == expected
