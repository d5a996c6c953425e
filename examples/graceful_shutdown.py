"""Signals and a graceful shutdown: finish what was begun, and begin nothing new.

What `add_signal_handler` sets is called by the loop, so it may set an event or cancel a task. On
SIGTERM or Ctrl-C the server closes its listener, answers what it has been asked, and says goodbye;
a deadline keeps that from taking forever. The example sends the signals to itself, as `kill` would.

Runs by `aioxide.run` with asyncio's names: signals are the loop's affair.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import os
import signal
import sys
from contextlib import suppress

import aioxide


class Server:
    """Answers each line after some work; knows how to stop."""

    def __init__(self) -> None:
        self.stopping, self.reported = asyncio.Event(), asyncio.Event()
        self.connections: set[asyncio.Task[None]] = set()
        self.idle: set[asyncio.Task[None]] = set()
        self.exit_code = self.answered = 0

    def handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number)
        loop.add_signal_handler(signal.SIGUSR1, self.report)

    def stop(self, number: signal.Signals) -> None:
        """Have connections end that wait for a question; others look when they have answered."""
        print(f"{number.name}: stopping, {len(self.connections)} clients are connected")
        self.exit_code = 128 + number if number == signal.SIGINT else 0
        self.stopping.set()
        for task in self.idle:
            task.cancel()

    def report(self) -> None:
        print(f"SIGUSR1: {len(self.connections)} clients, {self.answered} questions answered")
        self.reported.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        with suppress(asyncio.CancelledError):  # to be told to stop is no error
            while not self.stopping.is_set():
                self.idle.add(task)
                question = await reader.readline()
                self.idle.discard(task)
                if not question:
                    break
                if question == b"stop\n":
                    os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0.01)  # the work, which a signal does not interrupt
                writer.write(b"answer to " + question)
                self.answered += 1
        self.idle.discard(task)
        self.connections.discard(task)
        writer.write(b"goodbye\n")
        writer.close()

    async def run(self, grace: float) -> None:
        """Serve until a signal comes; then give the connections `grace` seconds to end."""
        self.handle_signals()
        listener = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        print("serving on loopback until SIGTERM or Ctrl-C")
        port = listener.sockets[0].getsockname()[1]
        clients = asyncio.create_task(talk(self, port))
        await self.stopping.wait()
        listener.close()
        if self.connections:
            _, late = await asyncio.wait(self.connections, timeout=grace)
            for task in late:
                task.cancel()
        await asyncio.wait([clients], timeout=grace)
        clients.cancel()


async def talk(server: Server, port: int) -> None:
    """The clients: one question each, then one of them asks the server to stop."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    for number, (reader, writer) in enumerate(streams):
        writer.write(f"question {number}\n".encode())
        print(f"client {number}: {(await reader.readline()).decode().strip()}")
    os.kill(os.getpid(), signal.SIGUSR1)
    await server.reported.wait()
    streams[0][1].write(b"stop\n")
    for number, (reader, writer) in enumerate(streams):
        print(f"client {number}: {', '.join((await reader.read()).decode().splitlines())}")
        writer.close()


async def main() -> int:
    server = Server()
    await server.run(grace=5)
    return server.exit_code


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        sys.exit(aioxide.run(main(), loop_factory=loop_factory))
