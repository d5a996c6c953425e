"""`copy`, `deepcopy` and `pickle` of asyncio's objects: what works there works here and goes on.

Each case is made and copied on asyncio and on aioxide. Both work, with the same state, or both
refuse.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import aioxide
from helpers import implementation, shape, turns

pytestmark = pytest.mark.filterwarnings("ignore")

Namespace = Any
Copier = Callable[[Any], Any]


def pickled(protocol: int) -> Copier:
    """Return a function that pickles an object and loads it again."""
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


COPIERS: dict[str, Copier] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(6)},
}


class Attributed:
    """Gives instances an attribute of their own."""

    def label(self, text: str) -> Any:
        self.text = text
        return self


def subclass(name: str) -> dict[str, type]:
    """Return a class derived from each implementation's, known to pickle by name."""
    made = {}
    for namespace in (asyncio, aioxide):
        title = f"{name}Of{namespace.__name__.title()}"
        made[namespace.__name__] = type(
            title, (Attributed, getattr(namespace, name)), {"__module__": __name__}
        )
        globals()[title] = made[namespace.__name__]
    return made


SUBCLASSES = {
    name: subclass(name)
    for name in ("Lock", "Event", "Condition", "Semaphore", "Barrier", "Queue", "StreamReader")
}


async def held(lock: Any) -> Any:
    """Return a lock that is held."""
    await lock.acquire()
    return lock


def filled(queue: Any, *items: Any) -> Any:
    """Return a queue with items in it."""
    for item in items:
        queue.put_nowait(item)
    return queue


async def waited(thing: Any, wait: Callable[[], Any]) -> Any:
    """Return something that a task waits for."""
    task = asyncio.ensure_future(wait())
    thing_tasks.append(task)
    await turns(2)
    return thing


thing_tasks: list[Any] = []


async def _shut_down(queue: Any) -> Any:
    if hasattr(queue, "shutdown") and sys.version_info >= (3, 13):
        queue.shutdown()
    return queue


async def _set(event: Any) -> Any:
    event.set()
    return event


MADE: dict[str, Callable[[Namespace], Any]] = {
    "Lock": lambda ns: ns.Lock(),
    "Lock, held": lambda ns: held(ns.Lock()),
    "Lock, waited for": lambda ns: _contended(ns),
    "Event": lambda ns: ns.Event(),
    "Event, set": lambda ns: _set(ns.Event()),
    "Event, waited for": lambda ns: (lambda e: waited(e, e.wait))(ns.Event()),
    "Condition": lambda ns: ns.Condition(),
    "Condition, held": lambda ns: held(ns.Condition()),
    "Condition, of a lock": lambda ns: ns.Condition(ns.Lock()),
    "Semaphore": lambda ns: ns.Semaphore(3),
    "Semaphore, taken": lambda ns: held(ns.Semaphore(3)),
    "BoundedSemaphore": lambda ns: ns.BoundedSemaphore(3),
    "BoundedSemaphore, taken": lambda ns: held(ns.BoundedSemaphore(3)),
    "Barrier": lambda ns: ns.Barrier(2),
    "Queue": lambda ns: ns.Queue(),
    "Queue, with items": lambda ns: filled(ns.Queue(5), 1, "two", [3]),
    "Queue, waited for": lambda ns: (lambda q: waited(q, q.get))(ns.Queue()),
    "Queue, shut down": lambda ns: _shut_down(filled(ns.Queue(5), 1)),
    "PriorityQueue": lambda ns: filled(ns.PriorityQueue(), 3, 1, 2),
    "LifoQueue": lambda ns: filled(ns.LifoQueue(), 3, 1, 2),
    "StreamReader": lambda ns: ns.StreamReader(),
    "StreamReaderProtocol": lambda ns: ns.StreamReaderProtocol(ns.StreamReader()),
    "timeout": lambda ns: ns.timeout(None),
    "timeout_at": lambda ns: ns.timeout_at(17.5),
    "TaskGroup": lambda ns: ns.TaskGroup(),
    "future": lambda ns: asyncio.get_running_loop().create_future(),
    "task": lambda ns: _task(),
    "gather": lambda ns: ns.gather(asyncio.get_running_loop().create_future()),
    "coroutine of sleep": lambda ns: ns.sleep(0),
    "coroutine of a queue": lambda ns: ns.Queue().get(),
    "coroutine of a lock": lambda ns: ns.Lock().acquire(),
    "sleep": lambda ns: ns.sleep,
    "gather, the function": lambda ns: ns.gather,
    "create_task": lambda ns: ns.create_task,
    "a bound coroutine method": lambda ns: ns.Lock().acquire,
    "a bound method": lambda ns: ns.Event().set,
    "a method of a class": lambda ns: ns.Queue.put,
    "a class": lambda ns: ns.Queue,
    "Future": lambda ns: ns.Future,
    "a dict": lambda ns: {"lock": ns.Lock(), "queue": filled(ns.Queue(), 1)},
    **{
        f"subclass of {name}": lambda ns, name=name: SUBCLASSES[name][ns.__name__](
            *((2,) if name == "Barrier" else ())
        ).label("text")
        for name in SUBCLASSES
    },
}


def _task() -> Any:
    task = asyncio.ensure_future(asyncio.sleep(0))
    thing_tasks.append(task)
    return task


async def _contended(ns: Namespace) -> Any:
    lock = await held(ns.Lock())
    return await waited(lock, lock.acquire)


def state(thing: Any) -> Any:
    """Return what two copies have in common if they are the same."""
    if isinstance(thing, dict):
        return {key: state(value) for key, value in thing.items()}
    for kind in (asyncio.AbstractEventLoop, asyncio.Task, asyncio.Future):
        if isinstance(thing, kind):
            return kind.__name__
    if callable(thing):
        return getattr(thing, "__name__", "callable").replace("Aioxide", "Asyncio")
    package = type(thing).__module__.partition(".")[0]
    if package not in {"asyncio", "aioxide", "tests", "conventions"}:
        return shape(thing)
    found = thing.__getstate__()
    if not isinstance(found, dict):
        return type(thing).__name__
    # Bound methods of its lock, which asyncio's condition copies into itself; what only some
    # versions have.
    names = set(found) - {"locked", "acquire", "release", "_stream_reader_wr", "_drain_waiters"}
    names -= {"_is_shutdown", "_stream_writer"}
    # In debug mode: asyncio's constructors are frames of Python, and the list of frames has an end.
    names -= {"_source_traceback"}
    return {name: state(found[name]) for name in sorted(names)}


def outcome(name: str, make: Callable[[Namespace], Any], copier: Copier) -> Any:
    """Return the state of a copy made on one implementation, or that it was refused."""
    namespace = asyncio if name == "asyncio" else aioxide
    loop = implementation(name).new_event_loop()

    async def body() -> Any:
        made = make(namespace)
        thing = await made if asyncio.iscoroutine(made) and "coroutine" not in title else made
        try:
            copied = copier(thing)
        except (TypeError, pickle.PicklingError, AttributeError):  # a local object, on 3.11
            return "refused"
        finally:
            if asyncio.iscoroutine(thing):
                thing.close()
            for task in thing_tasks:
                task.cancel()
            await asyncio.gather(*thing_tasks, return_exceptions=True)
            thing_tasks.clear()
        if isinstance(thing, type) or not hasattr(thing, "__dict__"):
            assert copied is thing or type(copied) is type(thing)
        return state(copied)

    title = next(each for each, maker in MADE.items() if maker is make)
    try:
        return loop.run_until_complete(body())
    finally:
        loop.close()


@pytest.mark.aioxide_only
@pytest.mark.may_leave_residue
@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("title", MADE)
def test_copies_are_made_or_refused_as_by_asyncio(title: str, copier: str) -> None:
    theirs, ours = (outcome(name, MADE[title], COPIERS[copier]) for name in ("asyncio", "aioxide"))
    assert ours == theirs


@dataclasses.dataclass
class Settings:
    """An ordinary dataclass with a lock."""

    lock: Any
    queue: Any
    name: str = "settings"


@pytest.mark.aioxide_only
@pytest.mark.parametrize("namespace", [asyncio, aioxide])
def test_dataclasses_with_locks(namespace: Namespace) -> None:
    settings = Settings(namespace.Lock(), filled(namespace.Queue(), 1))
    found = dataclasses.asdict(settings)
    assert type(found["lock"]) is namespace.Lock
    assert found["lock"] is not settings.lock
    assert found["queue"].get_nowait() == 1
    assert settings.queue.qsize() == 1
    replaced = dataclasses.replace(settings, name="other")
    assert replaced.lock is settings.lock
    assert copy.deepcopy(settings).queue.get_nowait() == 1


@pytest.mark.parametrize("copier", list(COPIERS)[1:])
async def test_copies_work(copier: str, loop: Any, implementation: Any) -> None:
    ns: Any = asyncio if implementation.name == "asyncio" else aioxide
    make = COPIERS[copier]
    lock = make(await held(ns.Lock()))
    assert lock.locked()
    waiter = asyncio.ensure_future(lock.acquire())
    await turns()
    lock.release()
    assert await waiter is True
    condition = make(ns.Condition())
    async with condition:
        waiting = asyncio.ensure_future(_wait(condition))
        await turns()
    await turns()
    async with condition:
        condition.notify()
    assert await waiting is True
    semaphore = make(ns.BoundedSemaphore(1))
    await semaphore.acquire()
    assert semaphore.locked()
    semaphore.release()
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    barrier = make(ns.Barrier(2))
    assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]
    queue = make(filled(ns.PriorityQueue(3), 3, 1, 2))
    assert queue.full()
    assert [queue.get_nowait() for _ in range(3)] == [1, 2, 3]
    for _ in range(3):
        queue.task_done()
    await queue.join()
    event = make(ns.Event())
    event.set()
    assert await event.wait() is True
    with pytest.raises(TimeoutError):
        async with make(ns.timeout(0)):
            await asyncio.get_running_loop().create_future()
    async with make(ns.TaskGroup()) as group:
        task = group.create_task(event.wait())
    assert task.result() is True


async def _wait(condition: Any) -> bool:
    async with condition:
        return bool(await condition.wait())


async def test_a_shallow_copy_of_a_queue_shares_its_items(loop: Any, implementation: Any) -> None:
    ns: Any = asyncio if implementation.name == "asyncio" else aioxide
    queue = filled(ns.Queue(), 1)
    copied = copy.copy(queue)
    queue.put_nowait(2)
    assert [copied.get_nowait(), copied.get_nowait()] == [1, 2]
    assert queue.empty()


class StatefulLock(aioxide.Lock):
    """Says itself what is pickled."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __getstate__(self) -> Any:
        return {"name": self.name}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)


class ReducedQueue(aioxide.Queue[int]):
    """Says itself how it is made again."""

    def __reduce__(self) -> Any:
        return ReducedQueue, (self.maxsize,)


class SlottedEvent(aioxide.Event):
    """Has a slot and no instance dict."""

    __slots__ = ("label",)
    label: str


@pytest.mark.aioxide_only
@pytest.mark.parametrize("copier", list(COPIERS)[1:])
def test_subclasses_with_methods_of_their_own(copier: str) -> None:
    make = COPIERS[copier]
    assert make(StatefulLock("name")).name == "name"
    assert not make(StatefulLock("name")).locked()
    assert make(ReducedQueue(7)).maxsize == 7
    event = SlottedEvent()
    event.label = "text"
    event.set()
    copied = make(event)
    assert copied.label == "text"
    assert copied.is_set()


@pytest.mark.aioxide_only
def test_a_timeout_that_was_entered_is_not_copied() -> None:
    async def main() -> None:
        async with aioxide.timeout(60) as entered:
            for make in COPIERS.values():
                with pytest.raises((TypeError, pickle.PicklingError)):
                    make(entered)

    aioxide.run(main())


@pytest.mark.aioxide_only
@pytest.mark.parametrize("copier", COPIERS)
def test_transports_and_loops_are_not_copied(copier: str) -> None:
    """asyncio makes shallow copies, two owners of one socket."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        with far:
            transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=near)
            for thing in (loop, transport, loop.call_soon(int), loop.call_later(0, int)):
                with pytest.raises((TypeError, pickle.PicklingError)):
                    COPIERS[copier](thing)
            transport.close()

    aioxide.run(main())


MAKE = """
import asyncio, pickle, sys
if sys.argv[1] == "installed":
    import aioxide
    aioxide.install()
queue = asyncio.Queue(5)
queue.put_nowait(1)
event = asyncio.Event()
event.set()
sys.stdout.buffer.write(pickle.dumps((asyncio.Lock(), queue, event, asyncio.Condition())))
"""
LOAD = """
import asyncio, pickle, sys
if sys.argv[1] == "installed":
    import aioxide
    aioxide.install()
lock, queue, event, condition = pickle.loads(sys.stdin.buffer.read())
async def main():
    async with lock, condition:
        return queue.get_nowait(), await event.wait(), condition.locked(), type(lock).__module__
print(*asyncio.run(main()))
"""


@pytest.mark.aioxide_only
@pytest.mark.parametrize(
    ("maker", "loader", "module"),
    [
        ("installed", "installed", "aioxide.locks"),
        ("installed", "stock", "aioxide.locks"),
        ("stock", "installed", "aioxide.locks"),
        ("stock", "stock", "asyncio.locks"),
    ],
)
def test_pickles_go_from_one_process_to_another(maker: str, loader: str, module: str) -> None:
    """A pickle of ours loads as ours; one that stock asyncio made loads as what is installed."""
    made = subprocess.run(
        [sys.executable, "-c", MAKE, maker], capture_output=True, check=True, timeout=60
    ).stdout
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, loader],
        input=made,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert loaded.decode().split() == ["1", "True", "True", module]
