"""Barrier: rounds, draining, breaking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_rounds(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    barrier = aio.Barrier(3)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
    tasks = [asyncio.create_task(barrier.wait()) for _ in range(7)]
    await turns(20)
    assert sorted(task.result() for task in tasks if task.done()) == [0, 0, 1, 1, 2, 2]
    assert barrier.n_waiting == 1
    assert "[filling, waiters:1/3]" in repr(barrier)
    tasks[6].cancel()
    await turns()
    assert barrier.n_waiting == 0


async def test_async_with_gives_the_place(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    barrier, places = aio.Barrier(2), []

    async def member() -> None:
        async with barrier as place:
            places.append(place)

    await asyncio.gather(member(), member())
    assert sorted(places) == [0, 1]


@pytest.mark.parametrize("end", ["reset", "abort"])
async def test_broken(loop: asyncio.AbstractEventLoop, aio: Any, end: str) -> None:
    barrier = aio.Barrier(3)
    tasks = [asyncio.create_task(barrier.wait()) for _ in range(2)]
    await turns()
    assert await getattr(barrier, end)() is None
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.BrokenBarrierError] * 2
    assert barrier.broken is (end == "abort")
    if end == "abort":
        assert repr(barrier).endswith(" [broken]>")
        with pytest.raises(asyncio.BrokenBarrierError, match="Barrier aborted"):
            await barrier.wait()
        await barrier.reset()
    assert "filling" in repr(barrier)
    assert barrier._count == 0


async def test_private_attributes(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    from asyncio.locks import _BarrierState

    barrier = aio.Barrier(1)
    assert barrier._state is _BarrierState.FILLING
    assert isinstance(barrier._cond, aio.Condition)
    barrier._state = _BarrierState.BROKEN
    with pytest.raises(asyncio.BrokenBarrierError):
        await barrier.wait()
    barrier._state = _BarrierState.FILLING
    assert await barrier.wait() == 0


async def test_overridden_parts_are_called(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    called = []

    class Barrier(aio.Barrier):  # type: ignore[misc]
        async def _release(self) -> None:
            called.append("release")
            await super()._release()

        async def _wait(self) -> None:
            called.append("wait")
            await super()._wait()

    barrier = Barrier(2)
    assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]
    async with Barrier(1) as place:
        assert place == 0
    assert called == ["wait", "release", "release"]


def test_refuses(implementation: Implementation, aio: Any) -> None:
    with pytest.raises(ValueError, match="parties must be "):
        aio.Barrier(0)
    with pytest.raises(TypeError):
        aio.Barrier()
    with pytest.raises(TypeError, match="'<' not supported"):
        aio.Barrier("2")
