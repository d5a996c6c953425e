"""`import aioxide as asyncio`: types as in asyncio, generic classes included."""

from __future__ import annotations

from typing import assert_type

import aioxide
import aioxide as asyncio


async def number(value: int) -> int:
    """Something to wait for."""
    await asyncio.sleep(0)
    return value


async def text(value: str) -> str:
    """Something else to wait for."""
    return await asyncio.sleep(0, value)


async def primitives() -> None:
    """Locks and queues."""
    queue: asyncio.Queue[str] = asyncio.Queue(maxsize=3)
    await queue.put("one")
    assert_type(await queue.get(), str)
    ranked: aioxide.PriorityQueue[tuple[int, str]] = aioxide.PriorityQueue()
    ranked.put_nowait((1, "one"))
    assert_type(ranked.get_nowait(), tuple[int, str])
    lock = asyncio.Lock()
    async with lock:
        assert_type(lock.locked(), bool)
    event = asyncio.Event()
    event.set()
    await event.wait()
    async with asyncio.Semaphore(2), asyncio.Condition() as nothing:
        assert_type(nothing, None)


async def combinators() -> None:
    """Waiting for several things."""
    both = await asyncio.gather(number(1), text("a"))
    assert_type(both, tuple[int, str])
    either = await asyncio.gather(number(1), text("a"), return_exceptions=True)
    assert_type(either, tuple[int | BaseException, str | BaseException])
    assert_type(await asyncio.wait_for(number(1), 10), int)
    assert_type(await asyncio.shield(number(1)), int)
    task = asyncio.create_task(text("b"))
    done, pending = await asyncio.wait([task], return_when=asyncio.ALL_COMPLETED)
    assert not pending
    for each in done:
        assert_type(each.result(), str)
    async with asyncio.timeout(10) as limit:
        assert_type(limit.when(), float | None)
    for future in asyncio.as_completed([number(3)]):
        assert_type(await future, int)
    async with asyncio.TaskGroup() as group:
        member = group.create_task(number(4))
    assert_type(member.result(), int)
    assert_type(await asyncio.to_thread(len, "four"), int)


async def streams() -> None:
    """Reading and writing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert_type(await reader.readline(), bytes)
        writer.write(b"there\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(address[0], address[1])
        writer.write(b"hello\n")
        assert_type(await reader.readexactly(6), bytes)
        async for line in reader:
            assert_type(line, bytes)
        writer.close()
        await writer.wait_closed()


async def main() -> None:
    """Everything."""
    await primitives()
    await combinators()
    await streams()


asyncio.run(main())
