"""What the behaviour tests share: implementations to choose from, loop turns, recorders."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Context = dict[str, Any]
NAMES = ("asyncio", "aioxide")


@dataclass(frozen=True)
class Implementation:
    """One way of having an event loop: the standard library's, or ours."""

    name: str
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    Future: Any
    Task: Any


def implementation(name: str) -> Implementation:
    """Import lazily, so that the standard library's tests run without a build of ours."""
    if name == "asyncio":
        # The selector loop by name: `asyncio.new_event_loop` would follow an installed policy.
        return Implementation(name, asyncio.SelectorEventLoop, asyncio.Future, asyncio.Task)
    import aioxide

    return Implementation(name, aioxide.new_event_loop, aioxide.Future, aioxide.Task)


def live_objects() -> dict[str, int]:
    """Return how many native objects of each kind are alive: none before aioxide is imported."""
    native = sys.modules.get("aioxide._aioxide")
    if native is None:
        return {}
    return {kind: count for kind, count in native.live_objects().items() if count}


def open_fds() -> dict[int, str]:
    """Return every open descriptor with what it leads to, leaving out the listing's own."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def collect() -> None:
    """Collect until finalizers that revive or release others have run as well."""
    for _ in range(3):
        gc.collect()


class Contexts(list[Context]):
    """Every context given to the loop's exception handler; a test takes what it expects."""

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self.append(context)

    def take(self) -> list[Context]:
        """Hand over what came so far and forget it."""
        taken = list(self)
        self.clear()
        return taken

    def take_one(self) -> Context:
        """Hand over the only context there is."""
        assert len(self) == 1, f"expected one context, have {list(self)!r}"
        return self.pop()


def run_turns(loop: asyncio.AbstractEventLoop, count: int = 1) -> None:
    """Run exactly `count` turns of a loop that does not run now."""
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


async def turns(count: int = 1) -> None:
    """Let the loop turn `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Turn the loop until `condition` holds; the test's time limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.001)


@contextmanager
def finishing(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    """Close a loop at the end of a block, whatever happened in it."""
    try:
        yield loop
    finally:
        loop.close()


def shape(thing: object) -> str:
    """Return the repr with addresses blanked, so that two implementations can be compared."""
    return re.sub(r"0x[0-9a-f]+", "0x..", thing if isinstance(thing, str) else repr(thing))


def outcome(call: Callable[[], object]) -> object:
    """Return the result of a call, or the type of the exception that it raised."""
    try:
        return call()
    except BaseException as exc:
        return type(exc)


async def outcome_of(awaitable: Callable[[], Awaitable[object]]) -> object:
    """Return the result of an awaitable, or the type of the exception that it raised."""
    try:
        return await awaitable()
    except Exception as exc:
        return type(exc)


async def value(result: Any = None) -> Any:
    """Finish at once, with `result`."""
    return result


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()


async def cancelled_and_done(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end, leaving its exception retrieved."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of one TCP connection on loopback, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


def finish_once(future: asyncio.Future[None]) -> None:
    """Give a future its result unless it has one: for what may be called more than once."""
    if not future.done():
        future.set_result(None)


def refused_port() -> int:
    """Return a loopback port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Recorder(asyncio.Protocol):
    """A protocol that writes down every call it gets, and tells who waits for one."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.events: list[str] = []
        self.data = bytearray()
        self.connected: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()
        self.writable = asyncio.Event()
        self.writable.set()
        self.paused = asyncio.Event()
        self.keep_open = False
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.events.append("made")
        self.connected.set_result(None)

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        if self.events[-1] != "data":
            self.events.append("data")
        self.data += data
        for amount, watcher in self._watchers:
            if len(self.data) >= amount and not watcher.done():
                watcher.set_result(None)

    def eof_received(self) -> bool | None:
        self.events.append("eof")
        self.ended.set_result(None)
        return self.keep_open

    def pause_writing(self) -> None:
        self.events.append("pause")
        self.writable.clear()
        self.paused.set()

    def resume_writing(self) -> None:
        self.events.append("resume")
        self.paused.clear()
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.writable.set()
        self.lost.set_result(exc)

    async def received(self, amount: int) -> bytes:
        """Wait until at least `amount` bytes came in all; return all of them."""
        if len(self.data) < amount:
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append((amount, watcher))
            await watcher
        return bytes(self.data)


@dataclass
class Connection:
    """Both ends of one TCP connection, each with a transport of the loop under test."""

    near: Recorder
    far: Recorder

    async def close(self) -> None:
        """Close what is still open and wait until both protocols know."""
        for end in (self.near, self.far):
            end.transport.abort()
        await asyncio.gather(self.near.lost, self.far.lost)


async def connect(
    near: Callable[[], Recorder] = Recorder, far: Callable[[], Recorder] = Recorder
) -> Connection:
    """Make two protocols and connect them with each other over loopback TCP."""
    loop = asyncio.get_running_loop()
    one, other = tcp_pair()
    _, near_protocol = await loop.create_connection(near, sock=one)
    _, far_protocol = await loop.connect_accepted_socket(far, other)
    return Connection(near_protocol, far_protocol)


async def attach(protocol: Callable[[], Any] = Recorder) -> tuple[Any, socket.socket]:
    """Give a new protocol one end of a connection; return it with the bare socket opposite."""
    near, far = tcp_pair()
    _, made = await asyncio.get_running_loop().create_connection(protocol, sock=near)
    return made, far


async def recv_exactly(sock: socket.socket, amount: int) -> bytes:
    """Read `amount` bytes from a bare socket, fewer only if it ends before."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < amount:
        chunk = await loop.sock_recv(sock, min(amount - len(data), 1 << 18))
        if not chunk:
            break
        data += chunk
    return bytes(data)


async def recv_all(sock: socket.socket) -> bytes:
    """Read a bare socket to its end."""
    return await recv_exactly(sock, sys.maxsize)


def run_in(loop: asyncio.AbstractEventLoop, body: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a loop that does not run now."""
    return loop.run_until_complete(body)


def port_of(server: Any) -> int:
    """Return the port that a server got."""
    return int(server.sockets[0].getsockname()[1])


class Service:
    """A server on a free loopback port; remembers the protocols that it made."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self.server: Any

    def factory(self) -> Recorder:
        self.made.append(Recorder())
        return self.made[-1]

    async def start(self, *args: Any, **kwargs: Any) -> Service:
        loop = asyncio.get_running_loop()
        arguments = args or (("127.0.0.1", 0) if "sock" not in kwargs else ())
        self.server = await loop.create_server(self.factory, *arguments, **kwargs)
        return self

    async def dial(self, **kwargs: Any) -> Recorder:
        loop = asyncio.get_running_loop()
        host, port = self.server.sockets[0].getsockname()[:2]
        _, protocol = await loop.create_connection(Recorder, host, port, **kwargs)
        return protocol

    async def accepted(self, count: int = 1) -> list[Recorder]:
        while len(self.made) < count:
            await turns(1)
        await asyncio.gather(*(protocol.connected for protocol in self.made))
        return self.made

    async def close(self) -> None:
        self.server.close()
        for protocol in self.made:
            if protocol.connected.done():
                protocol.transport.abort()
                await protocol.lost
        await self.server.wait_closed()


async def gone(*protocols: Recorder) -> None:
    """Abort what is left of some connections and wait until their protocols know."""
    for protocol in protocols:
        protocol.transport.abort()
        await protocol.lost


class DatagramRecorder(asyncio.DatagramProtocol):
    """A datagram protocol that writes down every call it gets, and tells who waits for one."""

    def __init__(self) -> None:
        self.transport: Any
        self.events: list[str] = []
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[OSError] = []
        self.lost: asyncio.Future[BaseException | None]
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.events.append("data")
        self.received.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        assert isinstance(exc, OSError)
        self.events.append("error")
        self.errors.append(exc)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost.set_result(exc)

    @property
    def messages(self) -> list[bytes]:
        return [data for data, _ in self.received]

    async def get(self, count: int = 1) -> list[bytes]:
        """Wait until at least so many datagrams came in all; return all of them."""
        await until(lambda: len(self.received) >= count)
        return self.messages

    async def error(self) -> OSError:
        """Wait for the only error there is."""
        await until(lambda: self.errors)
        (error,) = self.errors
        return error

    async def end(self) -> BaseException | None:
        """Close, unless that was done, and wait for the last callback."""
        self.transport.close()
        return await self.lost


async def endpoint(
    protocol: Callable[[], Any] = DatagramRecorder, *args: Any, **kwargs: Any
) -> Any:
    """Return the protocol of a new datagram endpoint: unconnected, on IPv4, unless told other."""
    if not args and not kwargs:
        kwargs["local_addr"] = ("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(protocol, *args, **kwargs)
    return made


def sockname(protocol: Any) -> Any:
    """Return the address of an endpoint."""
    return protocol.transport.get_extra_info("sockname")


async def ended(*protocols: Any) -> None:
    """Close some endpoints, and wait until their protocols know."""
    for protocol in protocols:
        assert await protocol.end() is None
