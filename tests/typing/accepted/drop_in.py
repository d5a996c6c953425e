"""An ordinary program whose only change is its import: every type is asyncio's own, both ways."""

from __future__ import annotations

import asyncio as stock
import contextlib
import contextvars
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_type

import aioxide as asyncio


async def one() -> int:
    """Return a number, later."""
    await asyncio.sleep(0)
    return 1


async def text() -> str:
    """Return text, later."""
    return await asyncio.sleep(0, "text")


async def numbers() -> AsyncIterator[int]:
    """Yield numbers."""
    for number in range(3):
        yield number
        await asyncio.sleep(0)


async def tasks_and_futures() -> None:
    """Assign every awaitable to asyncio's types and to ours."""
    loop = asyncio.get_running_loop()

    task: asyncio.Task[int] = asyncio.create_task(one())
    same: stock.Task[int] = task
    back: asyncio.Task[int] = same
    assert_type(await back, int)
    named = asyncio.create_task(one(), name="named", context=contextvars.copy_context())
    assert_type(named, stock.Task[int])
    assert_type(await named, int)

    of_loop: asyncio.Task[str] = loop.create_task(text())
    assert_type(await of_loop, str)
    of_stock: asyncio.Task[int] = stock.create_task(one())
    assert_type(await of_stock, int)
    own: asyncio.Task[int] = asyncio.Task(one(), loop=loop)
    of_own: stock.Task[int] = own
    assert_type(await of_own, int)

    future: asyncio.Future[int] = loop.create_future()
    as_stock: stock.Future[int] = future
    as_stock.set_result(5)
    assert_type(await future, int)
    made: asyncio.Future[str] = asyncio.Future()
    made.add_done_callback(on_done)
    made.set_result("done")
    assert_type(made.result(), str)

    ensured: asyncio.Task[int] = asyncio.ensure_future(one())
    shielded: asyncio.Future[int] = asyncio.shield(ensured)
    assert_type(await shielded, int)
    wrapped: asyncio.Future[str] = asyncio.wrap_future(loop.run_in_executor(None, str))
    assert_type(await wrapped, str)
    current: asyncio.Task[Any] | None = asyncio.current_task()
    everything: set[asyncio.Task[Any]] = asyncio.all_tasks()
    assert current in everything
    pool: set[asyncio.Task[int]] = set()
    added = asyncio.create_task(one())
    pool.add(added)
    added.add_done_callback(pool.discard)
    assert_type(await asyncio.gather(*pool), list[int])


def on_done(future: asyncio.Future[str]) -> None:
    """Look at a result, as a callback does."""
    assert future.result()


async def waiting() -> None:
    """Wait for several things at once."""
    gathered: asyncio.Future[tuple[int, str]] = asyncio.gather(one(), text())
    assert_type(await gathered, tuple[int, str])
    pair = await asyncio.gather(one(), text())
    assert_type(pair, tuple[int, str])
    first, second = pair
    assert_type(first, int)
    assert_type(second, str)
    kept = await asyncio.gather(one(), text(), return_exceptions=True)
    assert_type(kept, tuple[int | BaseException, str | BaseException])
    many = await asyncio.gather(*[one() for _ in range(3)])
    assert_type(many, list[int])

    assert_type(await asyncio.wait_for(one(), 5), int)
    assert_type(await asyncio.wait_for(asyncio.create_task(text()), timeout=None), str)
    waited: set[asyncio.Task[int]] = {asyncio.create_task(one()) for _ in range(3)}
    done, pending = await asyncio.wait(waited, timeout=5, return_when=asyncio.ALL_COMPLETED)
    finished: set[asyncio.Task[int]] = done
    late: set[stock.Task[int]] = pending
    assert not late
    assert [task.result() for task in finished] == [1, 1, 1]
    for earliest in asyncio.as_completed([one(), one()]):
        assert_type(await earliest, int)
    assert_type(await asyncio.sleep(0, result=b""), bytes)
    assert_type(await asyncio.to_thread(len, "four"), int)
    with contextlib.suppress(asyncio.TimeoutError):
        async with asyncio.timeout(0) as limit:
            as_stock: stock.Timeout = limit
            assert_type(as_stock.when(), float | None)
            await asyncio.sleep(60)
    async with asyncio.timeout_at(asyncio.get_running_loop().time() + 60) as later:
        ours: asyncio.Timeout = later
        ours.reschedule(None)
    assert [number async for number in numbers()] == [0, 1, 2]


async def groups() -> None:
    """Let a group hold tasks."""
    async with asyncio.TaskGroup() as group:
        as_stock: stock.TaskGroup = group
        number: asyncio.Task[int] = group.create_task(one(), name="number")
        word: stock.Task[str] = as_stock.create_task(text())
    assert_type(number.result(), int)
    assert_type(word.result(), str)
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())


async def failing() -> None:
    """Fail."""
    raise ValueError


@dataclass
class Shared:
    """What several tasks use."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.BoundedSemaphore(2))
    changed: asyncio.Condition | None = None


async def locks_and_queues() -> None:
    """Share things between tasks."""
    shared = Shared(jobs=asyncio.Queue(maxsize=5))
    lock: stock.Lock = shared.lock
    event: stock.Event = shared.ready
    event.set()
    async with lock, shared.limit:
        ready: bool = await shared.ready.wait()
        assert ready
    back: asyncio.Lock = stock.Lock()
    condition: asyncio.Condition = asyncio.Condition(back)
    async with condition:
        condition.notify_all()
        assert_type(await condition.wait_for(lambda: True), bool)
    barrier: stock.Barrier = asyncio.Barrier(1)
    assert_type(await barrier.wait(), int)
    semaphore: stock.Semaphore = asyncio.Semaphore(3)
    taken: bool = await semaphore.acquire()
    assert taken

    await shared.jobs.put(1)
    assert_type(await shared.jobs.get(), int)
    heap: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue()
    stack: asyncio.LifoQueue[bytes] = asyncio.LifoQueue()
    heap.put_nowait((1, "low"))
    assert_type(heap.get_nowait(), tuple[int, str])
    with contextlib.suppress(asyncio.QueueEmpty):
        assert_type(stack.get_nowait(), bytes)
    if sys.version_info >= (3, 13):
        queue: stock.Queue[int] = shared.jobs
        other: asyncio.Queue[str] = stock.Queue()
        other.put_nowait("item")
        queue.shutdown()
        with contextlib.suppress(asyncio.QueueShutDown):
            queue.put_nowait(1)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back a line."""
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()


async def stock_echo(reader: stock.StreamReader, writer: stock.StreamWriter) -> None:
    """Send back a line, with asyncio's types."""
    await echo(reader, writer)


async def streams() -> None:
    """Serve and connect."""
    handlers: list[
        Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    ] = [echo, stock_echo]
    for handler in handlers:
        server: asyncio.Server = await asyncio.start_server(handler, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(host, port)
            as_stock: stock.StreamReader = reader
            as_ours: asyncio.StreamWriter = writer
            as_ours.write(b"line\n")
            await as_ours.drain()
            assert_type(await as_stock.readexactly(5), bytes)
            as_ours.close()
            await as_ours.wait_closed()
            peer: asyncio.BaseTransport = as_ours.transport
            assert peer.is_closing()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        unix: stock.Server = await asyncio.start_unix_server(stock_echo, path)
        near, end = await asyncio.open_unix_connection(path)
        end.write(b"unix\n")
        assert await near.readuntil(b"\n") == b"unix\n"
        end.close()
        await end.wait_closed()
        unix.close()
        await unix.wait_closed()


class Upper(asyncio.Protocol):
    """Send back in capitals."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())


class Waiting(stock.Protocol):
    """Keep what comes first."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self.answer = answer

    def data_received(self, data: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(data)


async def protocols() -> None:
    """Use the loop itself."""
    loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
    stock_loop: stock.AbstractEventLoop = loop
    server = await stock_loop.create_server(Upper, "127.0.0.1", 0)
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, protocol = await loop.create_connection(
        lambda: Waiting(answer), *server.sockets[0].getsockname()
    )
    assert_type(transport, stock.Transport)
    assert_type(protocol, Waiting)
    transport.write(b"capitals")
    assert_type(await answer, bytes)
    transport.close()
    server.close()
    await server.wait_closed()

    handle: asyncio.Handle = loop.call_soon(int, "5")
    timer: asyncio.TimerHandle = loop.call_later(60, int)
    as_handle: stock.Handle = timer
    at: stock.TimerHandle = loop.call_at(loop.time() + 60, int)
    for scheduled in (handle, as_handle, at):
        scheduled.cancel()
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        await loop.sock_sendall(near, b"data")
        assert far.recv(4) == b"data"
    sent: list[asyncio.Task[None]] = [loop.create_task(asyncio.sleep(0))]
    await asyncio.wait(sent)


async def processes() -> None:
    """Run a child."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(1)", stdout=asyncio.subprocess.PIPE
    )
    as_stock: stock.subprocess.Process = child
    as_ours: asyncio.subprocess.Process = as_stock
    out, _ = await as_ours.communicate()
    assert out == b"1\n"
    assert_type(await child.wait(), int)


async def main() -> str:
    """Run everything."""
    parts: list[Callable[[], Coroutine[Any, Any, None]]] = [
        tasks_and_futures, waiting, groups, locks_and_queues, streams, protocols, processes,
    ]  # fmt: skip
    for part in parts:
        waited: Awaitable[None] = part()
        await waited
    return "done"


assert_type(asyncio.run(main(), debug=False), str)
with asyncio.Runner() as runner:
    as_stock: stock.Runner = runner
    assert_type(as_stock.run(one()), int)
loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
threadsafe = loop.run_until_complete(text())
assert_type(threadsafe, str)
loop.close()
