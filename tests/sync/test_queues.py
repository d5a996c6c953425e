"""Queues: order, races of cancelled getters and putters, shutdown, derived classes."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation

ORDERS = {"Queue": [3, 1, 2], "PriorityQueue": [1, 2, 3], "LifoQueue": [2, 1, 3]}


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ORDERS)
async def test_order(loop: asyncio.AbstractEventLoop, aio: Any, kind: str) -> None:
    queue = getattr(aio, kind)()
    for item in (3, 1, 2):
        queue.put_nowait(item)
    assert queue.qsize() == 3
    assert [await queue.get() for _ in range(3)] == ORDERS[kind]
    assert queue.empty()
    with pytest.raises(aio.QueueEmpty):
        queue.get_nowait()


@pytest.mark.parametrize("kind", ORDERS)
async def test_items_can_be_seen_and_changed(
    loop: asyncio.AbstractEventLoop, aio: Any, kind: str
) -> None:
    queue = getattr(aio, kind)()
    for item in (3, 1, 2):
        queue.put_nowait(item)
    held = queue._queue
    assert type(held) is (deque if kind == "Queue" else list)
    assert sorted(held) == [1, 2, 3]
    assert queue._queue is held
    queue.put_nowait(0)
    assert len(held) == 4
    held.remove(3)
    if kind == "PriorityQueue":
        heapq.heapify(held)
    assert queue.qsize() == 3
    assert sorted(queue.get_nowait() for _ in range(3)) == [0, 1, 2]
    queue._queue = held.copy()
    assert queue.empty()


@pytest.mark.parametrize("how", ["cancel the getter", "cancel the putter"])
async def test_nothing_is_lost(loop: asyncio.AbstractEventLoop, aio: Any, how: str) -> None:
    queue = aio.Queue(1)
    if how == "cancel the getter":
        first, second = (asyncio.create_task(queue.get()) for _ in range(2))
        await turns()
        queue.put_nowait("item")  # wakes the first
        first.cancel()
        assert await second == "item"
    else:
        queue.put_nowait("there")
        first, second = (asyncio.create_task(queue.put(each)) for each in ("first", "second"))
        await turns()
        assert queue.get_nowait() == "there"  # wakes the first
        first.cancel()
        await second
        assert queue.get_nowait() == "second"
    assert first.cancelled()
    assert not queue._getters
    assert not queue._putters


async def test_bounded_producer_and_consumers(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    queue, got = aio.Queue(3), []

    async def consume() -> None:
        while True:
            got.append(await queue.get())
            await asyncio.sleep(0)
            queue.task_done()

    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    for item in range(50):
        assert await queue.put(item) is None
        assert queue.qsize() <= 3
    await queue.join()
    assert got == list(range(50))
    for task in consumers:
        task.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        queue.task_done()


async def test_limits(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    queue = aio.Queue(1)
    assert (queue.maxsize, queue.full()) == (1, False)
    await queue.put("a")
    assert queue.full()
    with pytest.raises(aio.QueueFull):
        queue.put_nowait("b")
    queue._maxsize = 2
    queue.put_nowait("b")
    endless = aio.Queue(math.inf)
    for item in range(3):
        endless.put_nowait(item)
    assert not endless.full()
    assert endless.maxsize == math.inf
    odd = aio.Queue("many")
    with pytest.raises(TypeError, match="not supported between instances of 'str' and 'int'"):
        odd.put_nowait(1)


async def test_join_waits_for_the_event(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    queue = aio.Queue()
    await queue.join()
    assert queue._finished.is_set()
    queue.put_nowait(1)
    assert not queue._finished.is_set()
    joining = asyncio.create_task(queue.join())
    await turns()
    assert not joining.done()
    assert queue.get_nowait() == 1
    queue.task_done()
    assert await joining is None
    assert isinstance(queue._finished, asyncio.Event)


async def test_calls_are_coroutines(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    queue = aio.Queue()
    calls = [queue.get(), queue.put(1), queue.join()]
    assert all(map(asyncio.iscoroutine, calls))
    assert queue.empty()
    for call in calls:
        call.close()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(queue.get(), 0.001)
    assert list(await asyncio.gather(queue.get(), queue.put("x"))) == ["x", None]
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Queue\.get' was never awaited"):
        queue.get()


async def test_derived_class(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    class Unique(aio.Queue):  # type: ignore[misc]
        """Items in the order they came first."""

        def _init(self, maxsize: int) -> None:
            assert maxsize == 2
            self._queue: OrderedDict[Any, None] = OrderedDict()

        def _put(self, item: Any) -> None:
            self._queue[item] = None

        def _get(self) -> Any:
            return self._queue.popitem(last=False)[0]

    queue = Unique(maxsize=2)
    for item in "aba":
        queue.put_nowait(item)
        if item == "b":
            assert queue.get_nowait() == "a"
    assert queue.full()
    putting = asyncio.create_task(queue.put("c"))
    await turns()
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]
    await putting
    assert str(queue) == "<Unique maxsize=2 tasks=4>"


async def test_overridden_and_patched_methods_are_called(
    loop: asyncio.AbstractEventLoop, aio: Any
) -> None:
    called: list[str] = []

    class Noted(aio.PriorityQueue):  # type: ignore[misc]
        def put_nowait(self, item: Any) -> None:
            called.append("put_nowait")
            super().put_nowait(item)

        def get_nowait(self) -> Any:
            called.append("get_nowait")
            return super().get_nowait()

        def full(self) -> bool:
            called.append("full")
            return bool(super().full())

        def qsize(self) -> int:
            called.append("qsize")
            return int(super().qsize())

        def empty(self) -> bool:
            called.append("empty")
            return bool(super().empty())

        def _wakeup_next(self, waiters: Any) -> None:
            called.append("wakeup")
            assert type(waiters) is deque
            super()._wakeup_next(waiters)

    queue = Noted(5)
    await queue.put(1)
    assert called == ["full", "qsize", "put_nowait", "full", "qsize", "wakeup"]
    called.clear()
    assert await queue.get() == 1
    assert called == ["empty", "get_nowait", "empty", "wakeup"]
    plain = aio.Queue()
    plain._put = plain._queue.appendleft
    await plain.put(1)
    await plain.put(2)
    assert await plain.get() == 2


def test_repr(implementation: Implementation, aio: Any) -> None:
    queue = aio.Queue(3)
    assert str(queue) == "<Queue maxsize=3>"
    queue.put_nowait("x")
    assert repr(queue) == f"<Queue at {id(queue):#x} maxsize=3 _queue=['x'] tasks=1>"
    queue._unfinished_tasks = 0
    queue._getters.append(None)
    assert queue._format() == "maxsize=3 _queue=['x'] _getters[1]"
    queue._getters.clear()


@pytest.fixture
def shut(aio: Any) -> Any:
    """Queues that can be shut down, or the reason why there are none."""
    if not hasattr(aio.Queue, "shutdown"):
        pytest.skip("asyncio's queues have no shutdown() before 3.13")
    return aio


@pytest.mark.parametrize("kind", ORDERS)
async def test_shutdown(loop: asyncio.AbstractEventLoop, shut: Any, kind: str) -> None:
    queue = getattr(shut, kind)(1)
    queue.put_nowait(1)
    putting = asyncio.create_task(queue.put(2))
    await turns()
    queue.shutdown()
    with pytest.raises(shut.QueueShutDown):
        await putting
    with pytest.raises(shut.QueueShutDown):
        queue.put_nowait(3)
    assert await queue.get() == 1
    with pytest.raises(shut.QueueShutDown):
        await queue.get()
    with pytest.raises(shut.QueueShutDown):
        queue.get_nowait()
    assert str(queue) == f"<{kind} maxsize=1 tasks=1 shutdown>"


async def test_immediate_shutdown(loop: asyncio.AbstractEventLoop, shut: Any) -> None:
    queue = shut.Queue()
    getting = asyncio.create_task(queue.get())
    await turns()
    queue.shutdown()
    with pytest.raises(shut.QueueShutDown):
        await getting
    queue = shut.Queue()
    for item in range(3):
        queue.put_nowait(item)
    joining = asyncio.create_task(queue.join())
    await turns()
    queue.shutdown(immediate=True)
    await joining
    assert queue.empty()
    with pytest.raises(shut.QueueShutDown):
        queue.get_nowait()


def test_held_items_are_seen_by_the_collector(implementation: Implementation, aio: Any) -> None:
    import gc
    import weakref

    for kind in ORDERS:
        queue = getattr(aio, kind)()
        queue.put_nowait(queue)
        gone = weakref.ref(queue)
        del queue
        gc.collect()
        assert gone() is None
