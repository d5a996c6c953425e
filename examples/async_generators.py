"""Asynchronous generators, and all that `async for` can do with them.

A chain of generators handles a sensor's readings one by one, each stage a few lines long. A
generator that is left early must be closed, so that its `finally` runs now and not some day:
`aclosing` does. One that is forgotten is closed by the loop when it ends.

Runs by `aioxide.run` with asyncio's names: the loop looks after generators, whatever they await.
"""

from __future__ import annotations

from _support import command_line

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import aioxide

READINGS = [20.5, 20.7, 21.0, 85.0, 21.2, 21.1, 20.9, -40.0, 20.8, 20.6]


async def readings() -> AsyncGenerator[float, None]:
    """What a thermometer says, as it comes; the connection is closed whatever happens."""
    try:
        for value in READINGS:
            await asyncio.sleep(0.001)
            yield value
    finally:
        await asyncio.sleep(0)  # cleaning up may wait, too
        print("  the thermometer is released")


async def plausible(source: AsyncIterator[float]) -> AsyncIterator[float]:
    """Leave out what cannot be."""
    async for value in source:
        if -30 < value < 60:
            yield value


async def pairs(source: AsyncIterator[float]) -> AsyncIterator[tuple[float, float]]:
    """Each value with the one before it; `anext` takes the first by hand."""
    before = await anext(source)
    async for value in source:
        yield before, value
        before = value


async def running_total() -> AsyncGenerator[float, float]:
    """A generator that is sent values, and answers each with the sum so far."""
    total = 0.0
    while True:
        total += yield total
        await asyncio.sleep(0)


async def main() -> AsyncGenerator[float, None]:
    print("a chain of generators:")
    async for before, value in pairs(plausible(readings())):
        print(f"  {before} -> {value} {'rises' if value > before else 'falls'}")

    print("a comprehension:")
    warm = [value async for value in plausible(readings()) if value > 21]
    print(f"  above 21 degrees: {warm}")

    print("left early, and closed by aclosing:")
    async with aclosing(readings()) as source:
        async for value in source:
            if value > 60:
                print(f"  {value} is the first that is too much")
                break

    print("sent values:")
    async with aclosing(running_total()) as total:
        await anext(total)
        print(f"  sums {[await total.asend(value) for value in (1.5, 2.5, 4.0)]}")

    print("side by side, two at a time:")
    async with aclosing(readings()) as first, aclosing(readings()) as second:
        both = [await asyncio.gather(anext(first), anext(second)) for _ in range(3)]
    print(f"  {both}")

    print("forgotten, and closed by the loop as it ends:")
    forgotten = readings()
    await anext(forgotten)
    return forgotten  # to a caller who cannot close it any more


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
