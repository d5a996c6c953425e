"""A program with a second way to its connection cannot tell corking from asyncio's writes.

Seeded scripts write to a connection and use its descriptor beside the transport: `os.write`, a
duplicate, `sendfile`, a child process, a thread, a fork, `shutdown`. The script runs on asyncio
and on aioxide; the bytes that arrive, their order, results and errors have to be the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Recorder, implementation, tcp_pair, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.aioxide_only,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
RESET = b"\1\0\0\0\0\0\0\0"


class Script:
    """One connection, and a seeded list of actions on it within few iterations."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.protocol: Any
        self.far: socket.socket
        self.held: socket.socket | None = None
        self.sock: Any = None
        self.fd: int | None = None
        self.copy: Any = None
        self.count = 0
        self.seen: list[object] = []

    @property
    def transport(self) -> Any:
        return self.protocol.transport

    def data(self) -> bytes:
        self.count += 1
        return b"<%d:%s>" % (self.count, b"x" * self.random.choice([1, 1, 30, 3000]))

    # Writes through the transport.

    def write(self) -> object:
        return self.transport.write(self.data())

    def write_array(self) -> object:
        return self.transport.write(bytearray(self.data()))

    def writelines(self) -> object:
        return self.transport.writelines([self.data(), self.data()])

    # Looks at it.

    def look(self) -> object:
        what = self.random.randrange(6)
        transport = self.transport
        if what == 0:
            return transport.is_closing()
        if what == 1:
            return transport.get_write_buffer_size()
        if what == 2:
            return len(transport.get_extra_info("sockname"))
        if what == 3:
            return transport.get_extra_info("nonsense")
        if self.sock is None:
            self.sock = transport.get_extra_info("socket")
        if what == 4:
            return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    # Side channels.

    def number(self) -> int:
        """Return the descriptor, from the first place that was asked for it."""
        if self.fd is None:
            way = self.random.randrange(4)
            if self.sock is None:
                self.sock = self.transport.get_extra_info("socket")
            if way == 0:
                self.fd = self.transport._sock_fd
            elif way == 1:
                self.fd = self.transport._sock.fileno()
            elif way == 2:
                self.fd = self.sock._sock.fileno()
            else:
                self.fd = self.sock.fileno()
        return self.fd

    def os_write(self) -> object:
        return os.write(self.number(), self.data())

    def duplicate(self) -> object:
        if self.copy is None:
            if self.sock is None:
                self.sock = self.transport.get_extra_info("socket")
            self.copy = self.sock.dup()
        return self.copy.send(self.data())

    def os_sendfile(self) -> object:
        path = self.folder / "file"
        path.write_bytes(self.data())
        with path.open("rb") as file:
            return os.sendfile(self.number(), file.fileno(), 0, 1 << 20)

    def thread(self) -> object:
        thread = threading.Thread(target=os.write, args=(self.number(), self.data()))
        thread.start()
        thread.join()
        return None

    def child(self) -> object:
        return subprocess.run(["echo", self.data()], stdout=self.number(), check=True).returncode

    def spawn(self) -> object:
        actions = [(os.POSIX_SPAWN_DUP2, self.number(), 1)]
        pid = os.posix_spawn("/bin/echo", [b"echo", self.data()], {}, file_actions=actions)
        return os.waitpid(pid, 0)[1]

    def fork(self) -> object:
        fd, data = self.number(), self.data()
        pid = os.fork()
        if not pid:
            os.write(fd, data)
            os._exit(0)
        return os.waitpid(pid, 0)[1]

    def send_fds(self) -> object:
        left, right = socket.socketpair()
        with left, right:
            socket.send_fds(left, [b"."], [self.number()])
            _, (fd,), _, _ = socket.recv_fds(right, 1, 1)
            written = os.write(fd, self.data())
            os.close(fd)
        return written

    def held_socket(self) -> object:
        """Write through a socket object that was given to `create_connection`."""
        return self.held.send(self.data()) if self.held is not None else None

    # Ends.

    def shut_down(self) -> object:
        if self.sock is None:
            self.sock = self.transport.get_extra_info("socket")
        return self.sock.shutdown(socket.SHUT_WR)

    def write_eof(self) -> object:
        return self.transport.write_eof()

    def reset(self) -> object:
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.far.close()
        return None

    def close(self) -> object:
        return self.transport.close()

    def abort(self) -> object:
        return self.transport.abort()

    def run(self, actions: list[Callable[[], object]]) -> None:
        """Take some actions within one callback."""
        for action in actions:
            try:
                result = action()
            except Exception as error:
                result = type(error).__name__
            self.seen.append((action.__name__, result))

    def receive(self) -> None:
        """Receive what has arrived by the next iteration."""
        data = bytearray()
        if self.far.fileno() >= 0:
            while select.select([self.far], [], [], 0)[0]:
                try:
                    chunk = self.far.recv(1 << 20)
                except ConnectionError as error:
                    self.seen.append(type(error).__name__)
                    break
                if not chunk:
                    self.seen.append("end")
                    break
                data += chunk
        self.seen.append(bytes(data))


async def play(script: Script, way: str) -> list[object]:
    loop = asyncio.get_running_loop()
    server = None
    if way == "accepted":
        made: list[Any] = []

        def factory() -> Any:
            made.append(Recorder())
            return made[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        script.far = socket.socket()
        script.far.setblocking(False)
        await loop.sock_connect(script.far, server.sockets[0].getsockname())
        await until(lambda: made and made[0].connected.done())
        script.protocol = made[0]
    else:
        near, script.far = tcp_pair()
        _, script.protocol = await loop.create_connection(Recorder, sock=near)
        script.held = near if way == "held" else None
        del near
    writes = [script.write, script.write, script.write_array, script.writelines, script.look]
    channels = [
        script.os_write,
        script.os_write,
        script.duplicate,
        script.os_sendfile,
        script.thread,
        script.send_fds,
        script.held_socket,
        script.held_socket,
    ]
    # Processes take long.
    channels += script.random.sample([script.child, script.spawn, script.fork], 1)
    ends = [script.shut_down, script.write_eof, script.reset, script.close, script.abort]
    for _ in range(script.random.randrange(1, 5)):
        actions = script.random.choices(writes, k=script.random.randrange(1, 5))
        if script.random.random() < 0.7:
            actions += script.random.choices(channels, k=script.random.randrange(1, 3))
            actions += script.random.choices(writes, k=script.random.randrange(3))
        loop.call_soon(script.run, actions)
        await turns(2)
        script.receive()
    actions = script.random.choices(writes, k=2)
    actions.append(script.random.choice(ends))
    # Not `writelines`: behind `close()` asyncio 3.13.0 calls `connection_lost` twice.
    actions += script.random.choices([script.write, script.write_array, script.look], k=2)
    loop.call_soon(script.run, actions)
    await turns(2)
    script.receive()
    script.protocol.transport.abort()
    error = await script.protocol.lost
    script.seen.append(type(error).__name__)
    for sock in (script.far, script.copy, script.held):
        if sock is not None:
            sock.close()
    if server is not None:
        server.close()
        await server.wait_closed()
    return script.seen


@pytest.mark.parametrize("way", ["accepted", "given", "held"])
@pytest.mark.parametrize("seeds", range(6))
def test_random_scripts(seeds: int, way: str, tmp_path: Path) -> None:
    for seed in range(seeds * 12, seeds * 12 + 12):
        seen = {}
        for name in ("asyncio", "aioxide"):
            loop = implementation(name).new_event_loop()
            try:
                seen[name] = loop.run_until_complete(play(Script(seed, tmp_path), way))
            finally:
                loop.close()
        assert seen["aioxide"] == seen["asyncio"], f"seed {seed}"


PROGRAM = """
import asyncio, os, signal, socket, subprocess, sys, threading, time
import aioxide

far = socket.socket(fileno=int(sys.argv[2]))
far.setblocking(False)

async def main():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=far)
    await asyncio.sleep(0)
    globals().pop("far")
    transport.write(b"one ")
    transport.write(b"two")
{body}

run = asyncio.run if sys.argv[1] == "asyncio" else aioxide.run
run(main())
"""

DEPARTURES = {
    "return": "pass",
    "SystemExit": "raise SystemExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "os.execv": "os.execv('/bin/true', ['true'])",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "pthread_kill": "signal.pthread_kill(threading.get_ident(), signal.SIGKILL)",
    "is_closing, then os._exit": "transport.is_closing(); os._exit(0)",
    "size, then os._exit": "transport.get_write_buffer_size(); os._exit(0)",
    "forkpty": "pid, fd = os.forkpty(); pid or os._exit(0); os.waitpid(pid, 0); os._exit(0)",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {}); os._exit(0)",
    "system": "os.system('true'); os._exit(0)",
    "Popen": "subprocess.Popen(['true']).wait(); os._exit(0)",
    "sleep": "time.sleep(0); os._exit(0)",
    "thread": "thread = threading.Thread(target=int); thread.start(); thread.join(); os._exit(0)",
    "connect": "socket.socket().connect_ex(('127.0.0.1', 9)); os._exit(0)",
}
# Older Pythons raise no audit event there: docs/how-it-works.md.
if sys.version_info < (3, 13):
    del DEPARTURES["sleep"]
if sys.version_info < (3, 12):
    del DEPARTURES["thread"]


@pytest.mark.parametrize("name", ["asyncio", "aioxide"])
@pytest.mark.parametrize("departure", DEPARTURES)
def test_leaving_the_loop_within_an_iteration(departure: str, name: str) -> None:
    """What was written has been sent when another program, a signal or an exit takes over."""
    left, right = socket.socketpair()
    with left, right:
        body = textwrap.indent(DEPARTURES[departure], "    ")
        command = [sys.executable, "-c", PROGRAM.format(body=body), name, str(right.fileno())]
        process = subprocess.Popen(
            command, pass_fds=[right.fileno()], stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )
        right.close()
        left.settimeout(60)
        received = bytearray()
        while data := left.recv(100):
            received += data
        process.wait(60)
    assert received == b"one two"


def test_a_signal_to_oneself_comes_after_what_was_written() -> None:
    """A handler of the program's own runs behind the write that precedes the signal."""
    seen = []
    left, right = tcp_pair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        await turns(2)
        transport.write(b"written")
        os.kill(os.getpid(), signal.SIGUSR1)
        transport.abort()
        await protocol.lost

    previous = signal.signal(signal.SIGUSR1, lambda *_: seen.append(right.recv(100)))
    try:
        loop = implementation("aioxide").new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    finally:
        signal.signal(signal.SIGUSR1, previous)
        right.close()
    assert seen == [b"written"]
