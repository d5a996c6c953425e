"""Moving averages with generator coroutines: what is under `async def`.

A coroutine is a generator with other clothes. `types.coroutine` makes a plain generator awaitable:
it may `yield from` a coroutine or a future, and a bare `yield` hands over to the loop for one
turn. Our native Task drives it as it drives `async def`. And `send` makes a plain generator, which
no loop knows of, into a small machine with a memory.

Runs by `aioxide.run` with asyncio's names: the Task that awaits all this is the loop's.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import types
from collections import deque
from collections.abc import Generator
from typing import Any

import aioxide

PRICES = [10.0, 11.0, 12.0, 11.0, 13.0, 17.0, 16.0, 18.0, 17.0, 21.0]


def moving_average(width: int) -> Generator[float | None, float, None]:
    """A plain generator: send it values, it answers with the mean of the last `width`."""
    last: deque[float] = deque(maxlen=width)
    mean = None
    while True:
        last.append((yield mean))
        mean = sum(last) / len(last)


@types.coroutine
def next_turn() -> Generator[None, None, None]:
    """Let everything else that is ready run once: what `sleep(0)` does."""
    yield


@types.coroutine
def result_of(future: asyncio.Future[float]) -> Generator[Any, None, float]:
    """Wait for a future, as the `await` in its `__await__` does."""
    price: float = yield from future
    return price


@types.coroutine
def next_price(prices: asyncio.Queue[float]) -> Generator[Any, None, float]:
    """Wait by `yield from` a coroutine, then give others a turn."""
    price: float = yield from prices.get()
    yield from next_turn()
    return price


async def exchange(prices: asyncio.Queue[float]) -> None:
    """Announce a price now and then."""
    for price in PRICES:
        await prices.put(price)
        await asyncio.sleep(0.001)


async def watch(prices: asyncio.Queue[float], widths: tuple[int, ...]) -> None:
    """Feed each price to one machine for each width."""
    machines = [moving_average(width) for width in widths]
    for machine in machines:
        next(machine)  # to the first `yield`
    for _ in PRICES:
        price = await next_price(prices)
        means = [machine.send(price) for machine in machines]
        print(f"{price:7.2f}" + "".join(f"{mean:10.2f}" for mean in means))


async def main() -> None:
    widths = (2, 3, 5)
    print("  price" + "".join(f"   last {width:2}" for width in widths))
    prices: asyncio.Queue[float] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(exchange(prices))
        group.create_task(watch(prices, widths))

    closing: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(closing.set_result, PRICES[-1])
    print(f"closing price {await result_of(closing):.2f}")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
