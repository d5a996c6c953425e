"""An echo server and its client written as coroutines: `start_server` and `open_connection`.

Reads like the conversation that it is. `drain` waits while the other side is behind, and a
connection's end is the end of a loop. The same with callbacks is in echo_callbacks.py.

Says `import aioxide as asyncio`: the streams are names of the module and not methods of the loop,
and this way they are the native ones.
"""

from __future__ import annotations

from _support import no_options

from contextlib import suppress

import aioxide as asyncio

CLIENTS, MESSAGES = 5, 200


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the client ends it."""
    with suppress(asyncio.CancelledError):  # Python 3.11 reports a cancelled one as an error
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


async def client(name: str, host: str, port: int) -> int:
    """Send each message when the one before has come back; returns how many have."""
    reader, writer = await asyncio.open_connection(host, port)
    message = f"{name} says hello\n".encode()
    for _ in range(MESSAGES):
        writer.write(message)
        await writer.drain()
        assert await reader.readline() == message
    writer.close()
    await writer.wait_closed()
    return MESSAGES


async def main() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print("an echo server of coroutines listens on loopback")
    async with server, asyncio.TaskGroup() as group:
        clients = [group.create_task(client(f"client {n}", host, port)) for n in range(CLIENTS)]
    for number, task in enumerate(clients):
        print(f"client {number}: {task.result()} messages echoed")


if __name__ == "__main__":
    with no_options(__doc__):
        asyncio.run(main())
