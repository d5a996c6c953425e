"""Producers and consumers around a queue, with backpressure and an orderly end.

A bounded queue makes producers wait when consumers are behind. `task_done` and `join` tell when
everything has been worked off. A priority queue gives what is urgent first.

Says `import aioxide as asyncio`: queues, sleep and task groups are names of the module and not
methods of the loop, and this way they are the native ones.
"""

from __future__ import annotations

from _support import no_options

import itertools
from collections import Counter

import aioxide as asyncio

PRODUCERS, CONSUMERS, ITEMS, ROOM = 3, 4, 2000, 50
URGENT, NORMAL, SOME_DAY = range(3)


class Warehouse:
    """The queue between both sides, and what went through it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int] = asyncio.Queue(maxsize=ROOM)
        self.fullest = self.total = 0
        self.handled: Counter[str] = Counter()

    async def produce(self, number: int) -> None:
        for item in range(number, ITEMS, PRODUCERS):
            await self.queue.put(item)  # waits while the queue is full
            self.fullest = max(self.fullest, self.queue.qsize())

    async def consume(self, name: str) -> None:
        while True:
            item = await self.queue.get()
            await asyncio.sleep(0)  # the work
            self.total += item
            self.handled[name] += 1
            self.queue.task_done()


async def bounded() -> None:
    warehouse = Warehouse()
    async with asyncio.TaskGroup() as consumers:
        running = [
            consumers.create_task(warehouse.consume(f"consumer {number}"))
            for number in range(CONSUMERS)
        ]
        async with asyncio.TaskGroup() as producers:
            for number in range(PRODUCERS):
                producers.create_task(warehouse.produce(number))
        await warehouse.queue.join()  # all is made, now wait until all is handled
        for task in running:
            task.cancel()
    print(f"{ITEMS:,} items, their sum {warehouse.total:,}, never more than {warehouse.fullest}")
    for name, count in sorted(warehouse.handled.items()):
        print(f"  {name}: {'busy' if count > ITEMS // CONSUMERS // 2 else 'idle'}")
    assert warehouse.total == sum(range(ITEMS))


async def by_priority() -> None:
    queue: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
    order = itertools.count()  # of two with the same priority, the first comes first
    errands = [
        (SOME_DAY, "water the plants"),
        (NORMAL, "answer the letter"),
        (URGENT, "stop the flood"),
        (NORMAL, "post the answer"),
        (URGENT, "call the plumber"),
    ]
    for priority, what in errands:
        queue.put_nowait((priority, next(order), what))
    while not queue.empty():
        priority, _, what = await queue.get()
        print(f"  {priority}: {what}")


async def main() -> None:
    print(f"{PRODUCERS} producers, {CONSUMERS} consumers, room for {ROOM}")
    await bounded()
    print("by priority:")
    await by_priority()


if __name__ == "__main__":
    with no_options(__doc__):
        asyncio.run(main())
