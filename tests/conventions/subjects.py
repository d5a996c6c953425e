"""Fresh objects of every kind that asyncio hands out, on asyncio and on aioxide."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trustme

import aioxide
from helpers import Recorder
from misuse.values import function

if TYPE_CHECKING:
    from misuse.stage import Stage

Maker = Callable[["Stage"], Awaitable[Any]]

_AUTHORITY: list[trustme.CA] = []


def authority() -> trustme.CA:
    """Return the certificate authority of this run, made at the first use."""
    if not _AUTHORITY:
        _AUTHORITY.append(trustme.CA())
    return _AUTHORITY[0]


def namespace(stage: Stage) -> Any:
    """Return the module whose names the implementation of this stage has."""
    return asyncio if stage.implementation.name == "asyncio" else aioxide


async def loop(stage: Stage) -> Any:
    """Return the running loop."""
    return stage.loop


async def handle(stage: Stage) -> Any:
    """Return a scheduled callback."""
    return stage.loop.call_soon(function)


async def timer(stage: Stage) -> Any:
    """Return a timer that is not due."""
    made = stage.loop.call_later(3600, function)
    stage.later(made.cancel)
    return made


async def future(stage: Stage) -> Any:
    """Return a pending future."""
    return stage.future()


async def gathering(stage: Stage) -> Any:
    """Return the future of a `gather` that is pending."""
    return namespace(stage).gather(stage.future(), return_exceptions=True)


async def task(stage: Stage) -> Any:
    """Return a task that waits."""

    async def wait() -> None:
        await stage.future()

    return stage.task(wait())


async def lock(stage: Stage) -> Any:
    """Return a lock that is held."""
    made = namespace(stage).Lock()
    await made.acquire()
    return made


async def event(stage: Stage) -> Any:
    """Return an event."""
    return namespace(stage).Event()


async def condition(stage: Stage) -> Any:
    """Return a condition whose lock is held."""
    made = namespace(stage).Condition()
    await made.acquire()
    return made


async def semaphore(stage: Stage) -> Any:
    """Return a semaphore."""
    return namespace(stage).Semaphore(2)


async def bounded_semaphore(stage: Stage) -> Any:
    """Return a bounded semaphore, one unit of which is taken."""
    made = namespace(stage).BoundedSemaphore(2)
    await made.acquire()
    return made


async def barrier(stage: Stage) -> Any:
    """Return a barrier for two."""
    return namespace(stage).Barrier(2)


async def queue(stage: Stage) -> Any:
    """Return a queue with one item."""
    made = namespace(stage).Queue(5)
    made.put_nowait(1)
    return made


async def priority_queue(stage: Stage) -> Any:
    """Return a priority queue with one item."""
    made = namespace(stage).PriorityQueue(5)
    made.put_nowait(1)
    return made


async def lifo_queue(stage: Stage) -> Any:
    """Return a LIFO queue with one item."""
    made = namespace(stage).LifoQueue(5)
    made.put_nowait(1)
    return made


async def timeout(stage: Stage) -> Any:
    """Return a timeout that has not been entered."""
    return namespace(stage).timeout(3600)


async def entered_timeout(stage: Stage) -> Any:
    """Return a timeout that has been entered."""
    return await namespace(stage).timeout(3600).__aenter__()


async def task_group(stage: Stage) -> Any:
    """Return a task group that has been entered."""
    return await namespace(stage).TaskGroup().__aenter__()


async def runner(stage: Stage) -> Any:
    """Return a runner."""
    made = namespace(stage).Runner()
    stage.later(made.close)
    return made


async def server(stage: Stage) -> Any:
    """Return a server."""
    made = await stage.loop.create_server(Recorder, "127.0.0.1", 0)
    stage.later(made.close)
    return made


async def tcp(stage: Stage) -> Any:
    """Return the transport of a TCP connection."""
    near, _ = stage.pair()
    transport, _ = await stage.loop.create_connection(Recorder, sock=near)
    return stage.transport(transport)


async def unix(stage: Stage) -> Any:
    """Return the transport of a Unix connection."""
    near, far = socket.socketpair()
    near.setblocking(False)
    stage.keep(near, far)
    transport, _ = await stage.loop.create_unix_connection(Recorder, sock=near)
    return stage.transport(transport)


async def udp(stage: Stage) -> Any:
    """Return a datagram transport."""
    transport, _ = await stage.loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    stage.later(transport.abort)
    return transport


async def tls(stage: Stage) -> Any:
    """Return the transport of a TLS connection."""
    import ssl

    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(serving)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(trusting)
    near, far = stage.pair()
    (transport, _), (other, _) = await asyncio.gather(
        stage.loop.create_connection(
            Recorder, sock=near, ssl=trusting, server_hostname="localhost"
        ),
        stage.loop.connect_accepted_socket(Recorder, far, ssl=serving),
    )
    stage.later(other.abort)
    return stage.transport(transport)


def pipe(stage: Stage) -> tuple[Any, Any]:
    """Return both ends of a pipe as files."""
    reading, writing = os.pipe()
    ends = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
    for end in ends:
        stage.later(end.close)
    return ends


async def read_pipe(stage: Stage) -> Any:
    """Return the transport of a pipe's reading end."""
    transport, _ = await stage.loop.connect_read_pipe(Recorder, pipe(stage)[0])
    stage.later(transport.close)
    return transport


async def write_pipe(stage: Stage) -> Any:
    """Return the transport of a pipe's writing end."""
    reading, writing = pipe(stage)
    stage.kept_open = reading  # type: ignore[attr-defined]
    transport, _ = await stage.loop.connect_write_pipe(Recorder, writing)
    stage.later(transport.abort)
    return transport


CHILD = (sys.executable, "-S", "-E", "-c", "import time; time.sleep(60)")


async def subprocess_transport(stage: Stage) -> Any:
    """Return the transport of a child that sleeps."""
    transport, _ = await stage.loop.subprocess_exec(
        asyncio.SubprocessProtocol, *CHILD, stdin=None, stdout=None, stderr=None
    )
    stage.child = transport  # type: ignore[attr-defined]
    return transport


async def process(stage: Stage) -> Any:
    """Return the Process of a child that sleeps."""
    made = await namespace(stage).create_subprocess_exec(*CHILD)
    stage.child = made._transport  # type: ignore[attr-defined]
    return made


async def stream_reader(stage: Stage) -> Any:
    """Return a stream reader with some lines in it."""
    made = namespace(stage).StreamReader()
    made.feed_data(b"some data\nmore\n")
    return made


async def stream_writer(stage: Stage) -> Any:
    """Return the writer of a connection."""
    near, _ = stage.pair()
    _, writer = await namespace(stage).open_connection(sock=near)
    stage.later(writer.transport.abort)
    return writer


async def stream_protocol(stage: Stage) -> Any:
    """Return the protocol of a stream."""
    return namespace(stage).StreamReaderProtocol(namespace(stage).StreamReader())


async def end_child(stage: Stage) -> None:
    """Kill the child of a stage, if it has one, and wait for the loop to reap it."""
    child = getattr(stage, "child", None)
    if child is None:
        return
    if child.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        while child.get_returncode() is None:
            await asyncio.sleep(0.001)
    child.close()


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        loop, handle, timer, future, gathering, task, lock, event, condition, semaphore,
        bounded_semaphore, barrier, queue, priority_queue, lifo_queue, timeout, entered_timeout,
        task_group, runner, server, tcp, unix, udp, tls, read_pipe, write_pipe,
        subprocess_transport, process, stream_reader, stream_writer, stream_protocol,
    )
}  # fmt: skip
