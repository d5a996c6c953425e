"""The hot paths whose instructions guard.py counts: workloads that do the same on every run.

An instruction count is only worth comparing if time decides nothing. So all of a path happens in
one process and in a fixed order: the other end of a connection is a plain blocking socket, and it
sends the next message before the loop looks again. The loop then always polls once for each
message, and never finds something half there. What it reads from the clock is fixed as well, see
guard_clock.c.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from workload import Run, expect
from workloads import WORKLOADS

if TYPE_CHECKING:
    from implementations import Environment

MESSAGE = b"x" * 64
BLOCK = 4096


@dataclass(frozen=True)
class HotPath:
    """One row of the table."""

    name: str
    title: str
    run: Run
    few: int
    """How many operations the shorter run has; the longer has three times as many."""

    @property
    def many(self) -> int:
        return 3 * self.few


HOT_PATHS: dict[str, HotPath] = {}


def hot_path(title: str, few: int) -> Callable[[Run], Run]:
    """Enter the function into the table under its own name, `_` written as `-`."""

    def enter(run: Run) -> Run:
        name = run.__name__.replace("_", "-")
        HOT_PATHS[name] = HotPath(name, title, run, few)
        return run

    return enter


def _enter_workloads(**operations: int) -> None:
    """Enter workloads of scheduling.py as they are."""
    for name, few in operations.items():
        each = WORKLOADS[name.replace("_", "-")]
        HOT_PATHS[each.name] = HotPath(each.name, each.title, each.run, few)


_enter_workloads(
    call_soon_chain=1000,
    sleep0_one=1000,
    task_one=1000,
    future_ping_pong=1000,
    queue_unbounded=1000,
    lock_uncontended=1000,
    wait_for_done=500,
)


@hot_path("100 times call_later(60) + cancel", few=10)
async def timers_hundred(env: Environment, n: int) -> None:
    """Per hundred timeouts that are set and lifted. None may fire: here the clock stands still."""
    call_later, sleep = env.loop.call_later, env.aio.sleep
    fired: list[int] = []
    for _ in range(n):
        for number in range(100):
            call_later(60, fired.append, number).cancel()
        await sleep(0)
    expect(not fired, "a cancelled timer fired")


@hot_path("gather of 100", few=10)
async def gather_hundred(env: Environment, n: int) -> None:
    """Per gather, its hundred coroutines included."""
    gather = env.aio.gather
    expected = list(range(100))

    async def child(value: int) -> int:
        return value

    for _ in range(n):
        results = await gather(*[child(value) for value in expected])
        expect(results == expected, "gather returned other results or another order")


@hot_path("call_soon_threadsafe", few=500)
async def call_soon_threadsafe(env: Environment, n: int) -> None:
    """Another thread schedules each callback, while the loop stays in the one before."""
    go, gone = threading.Lock(), threading.Lock()
    go.acquire()
    gone.acquire()
    finished = env.create_future()
    left = n

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            go.release()
            gone.acquire()
        else:
            finished.set_result(None)

    def schedule() -> None:
        for _ in range(n - 1):
            go.acquire()
            env.loop.call_soon_threadsafe(step)
            gone.release()

    thread = threading.Thread(target=schedule)
    thread.start()
    env.loop.call_soon(step)
    await finished
    thread.join()
    expect(left == 0, f"{n - left} callbacks ran, {n} were scheduled")


class Peer:
    """The other end of a connection: sends one message after the other, and takes the answers."""

    def __init__(self, sock: socket.socket, count: int) -> None:
        self._sock = sock
        self._count = count
        self._sent = 0

    def turn(self) -> bool:
        """Take an answer, send the next message; False when there is none left.

        It is the answer before the last, which has gone out however late `write` sends.
        """
        if self._sent >= 2:
            answer = self._sock.recv(len(MESSAGE), socket.MSG_WAITALL)
            expect(answer == MESSAGE, f"{answer!r} came back")
        if self._sent == self._count:
            return False
        self._sent += 1
        self._sock.send(MESSAGE)
        return True


def _pair() -> tuple[socket.socket, socket.socket]:
    """One end for the loop, one for the peer."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


class Echo(asyncio.Protocol):
    """Answers each message, and lets the peer send the next one."""

    transport: Any

    def __init__(self, env: Environment, peer: Peer) -> None:
        self.finished = env.create_future()
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answer(data)
        if not self._peer.turn():
            self.finished.set_result(None)

    def answer(self, data: bytes) -> None:
        self.transport.write(data)


class ThreeWrites(Echo):
    """The same bytes in three pieces, as status line, headers and body are written."""

    def answer(self, data: bytes) -> None:
        write = self.transport.write
        write(data[:16])
        write(data[16:32])
        write(data[32:])


async def _echo(env: Environment, n: int, protocol: type[Echo]) -> None:
    ours, theirs = _pair()
    peer = Peer(theirs, n)
    transport, echo = await env.loop.create_connection(lambda: protocol(env, peer), sock=ours)
    peer.turn()
    await echo.finished
    transport.close()
    await env.aio.sleep(0)
    theirs.close()


@hot_path("Protocol echo, one write", few=200)
async def protocol_echo(env: Environment, n: int) -> None:
    """Per message of 64 bytes: poll, receive, data_received, write."""
    await _echo(env, n, Echo)


@hot_path("Protocol echo, three writes", few=200)
async def protocol_three_writes(env: Environment, n: int) -> None:
    """The same with the answer in three pieces."""
    await _echo(env, n, ThreeWrites)


@hot_path("streams echo", few=200)
async def streams_echo(env: Environment, n: int) -> None:
    """Per message of 64 bytes: a read that waits, write, drain."""
    ours, theirs = _pair()
    reader, writer = await env.aio.open_connection(sock=ours)
    peer = Peer(theirs, n)
    env.loop.call_soon(peer.turn)
    received = 0
    more = True
    while more:
        data = await reader.read(65536)
        received += len(data)
        writer.write(data)
        await writer.drain()
        more = peer.turn()
    expect(received == n * len(MESSAGE), f"{received} bytes came")
    writer.close()
    await writer.wait_closed()
    theirs.close()


@hot_path("sock_recv + sock_sendall, data there", few=200)
async def sock_ready(env: Environment, n: int) -> None:
    """Per message of 64 bytes that need not be waited for."""
    ours, theirs = _pair()
    recv, sendall = env.loop.sock_recv, env.loop.sock_sendall
    for _ in range(n):
        theirs.send(MESSAGE)
        await sendall(ours, await recv(ours, 65536))
        expect(len(theirs.recv(65536)) == len(MESSAGE), "another number of bytes came back")
    ours.close()
    theirs.close()


@hot_path("sock_recv + sock_sendall, waiting", few=200)
async def sock_waiting(env: Environment, n: int) -> None:
    """The same where the message comes later: a callback sends it, which is in the figure."""
    ours, theirs = _pair()
    recv, sendall = env.loop.sock_recv, env.loop.sock_sendall
    call_soon = env.loop.call_soon
    for _ in range(n):
        call_soon(theirs.send, MESSAGE)
        await sendall(ours, await recv(ours, 65536))
        expect(len(theirs.recv(65536)) == len(MESSAGE), "another number of bytes came back")
    ours.close()
    theirs.close()


class DatagramEcho(asyncio.DatagramProtocol):
    """Answers each datagram; the peer sends the next one when the loop is back."""

    transport: asyncio.DatagramTransport

    def __init__(self, env: Environment) -> None:
        self.finished = env.create_future()
        self.turn: Callable[[], object] = lambda: None
        self._call_soon = env.loop.call_soon

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)
        self._call_soon(self.turn)


@hot_path("UDP echo", few=200)
async def udp_echo(env: Environment, n: int) -> None:
    """Per datagram of 64 bytes: poll, receive, datagram_received, sendto, and a callback."""
    transport, echo = await env.loop.create_datagram_endpoint(
        lambda: DatagramEcho(env), local_addr=("127.0.0.1", 0)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.connect(transport.get_extra_info("sockname"))
        peer = Peer(theirs, n)

        def turn() -> None:
            if not peer.turn():
                echo.finished.set_result(None)

        echo.turn = turn
        peer.turn()
        await echo.finished
    transport.close()
    await env.aio.sleep(0)


class Closing(asyncio.Protocol):
    """Closes its connection at once."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()


@hot_path("accept + close", few=50)
async def accept_close(env: Environment, n: int) -> None:
    """Per connection over loopback: accepted, told to its protocol, closed."""
    finished = env.create_future()
    left = n
    theirs: socket.socket | None = None

    def connect() -> None:
        nonlocal theirs
        theirs = socket.create_connection(address)

    def lost() -> None:
        nonlocal left
        assert theirs is not None
        theirs.close()
        left -= 1
        if left:
            connect()
        else:
            finished.set_result(None)

    server = await env.loop.create_server(lambda: Closing(lost), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    connect()
    await finished
    server.close()
    await server.wait_closed()
    expect(left == 0, f"{n - left} connections were closed, not {n}")


@hot_path("file: pread of 4 KiB, cached", few=200)
async def file_pread(env: Environment, n: int) -> None:
    """Per block of a file whose pages the kernel has."""
    with tempfile.NamedTemporaryFile() as made:
        made.write(b"x" * BLOCK)
        made.flush()
        received = 0
        async with env.aio.open(made.name, "rb") as file:
            for _ in range(n):
                received += len(await file.pread(BLOCK, 0))
    expect(received == n * BLOCK, f"{received} bytes were read")
