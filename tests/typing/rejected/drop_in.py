"""Mistakes in a program with `import aioxide as asyncio`: both checkers find them."""

import asyncio as stock

import aioxide as asyncio


async def one() -> int:
    return 1


async def handler(reader: asyncio.StreamReader) -> None:
    await reader.read()


async def main() -> None:
    task: asyncio.Task[str] = asyncio.create_task(one())  # error: arg-type
    other: stock.Task[str] = asyncio.create_task(one())  # error: arg-type
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result("text")  # error: arg-type
    text: str = await asyncio.wait_for(one(), 5)  # error: arg-type
    pair: tuple[int, str] = await asyncio.gather(one(), one())  # error: assignment
    queue: asyncio.Queue[int] = asyncio.Queue()
    queue.put_nowait("item")  # error: arg-type
    item: str = await queue.get()  # error: assignment
    wrong: stock.Queue[str] = queue  # error: assignment
    lock: asyncio.Lock = asyncio.Event()  # error: assignment
    timer: asyncio.TimerHandle = asyncio.get_running_loop().call_soon(print)  # error: assignment
    async with asyncio.TaskGroup() as group:
        member: asyncio.Task[bytes] = group.create_task(one())  # error: arg-type
    reader, writer = await asyncio.open_connection("localhost", 80)
    writer.write("text")  # error: arg-type
    line: str = await reader.readline()  # error: assignment
    await asyncio.start_server(handler)  # error: arg-type
    done, _ = await asyncio.wait([one()])  # error: type-var
    async with asyncio.timeout("5"):  # error: arg-type
        pass
    number: int = await asyncio.sleep(1, "text")  # error: arg-type


result: str = asyncio.run(main())  # error: assignment
