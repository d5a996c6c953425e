"""Random programs of waits, and what can be observed of one when it runs.

A program is a tree of expressions for each of its tasks, and what the outside does to them at which
time. It runs under a virtual clock that counts in ticks, so that it takes no time and is the same
each time. Every beginning, end and exception is written down with the tick and in order.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: A tick is a power of two, so that no sum of them is rounded.
TICK = 2.0**-6
#: When everything that still waits is cancelled, again and again.
LAST_TICK = 400


class VirtualSelector(selectors.SelectSelector):
    """Does not wait: tells the clock to go on."""

    now = 1.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("the program waits for nothing")
        self.now += max(0.0, timeout)
        return super().select(0)


class OrderedTimer(asyncio.TimerHandle):
    """A timer that is behind those that were set before it to the same time."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self.number) < (other.when(), other.number)


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop under the virtual clock, with an order among equal times."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        self._numbers = itertools.count()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        timer = OrderedTimer(when, callback, args, self, context)
        timer.number = next(self._numbers)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer


def virtual_aioxide_loop() -> asyncio.AbstractEventLoop:
    """Our loop under the virtual clock."""
    import aioxide

    loop = aioxide.EventLoop()
    loop._use_virtual_clock(1.0)
    return loop


@dataclass(frozen=True)
class Expression:
    """One thing to await, with its parameters and what is inside."""

    kind: str
    inside: tuple[Expression, ...] = ()
    ticks: int | None = None
    option: Any = None


@dataclass(frozen=True)
class Program:
    """The tasks, and the interventions: (tick, what, whom)."""

    tasks: tuple[Expression, ...]
    interventions: tuple[tuple[int, str, int], ...]

    def has(self, kind: str) -> bool:
        """Whether this kind of expression occurs."""

        def within(expression: Expression) -> bool:
            return expression.kind == kind or any(map(within, expression.inside))

        return any(map(within, self.tasks))


def seconds(ticks: int | None) -> float | None:
    return None if ticks is None else ticks * TICK


def describe(exc: BaseException | None) -> Any:
    """An exception's class, arguments, parts and cause."""
    if exc is None:
        return None
    parts = [describe(part) for part in getattr(exc, "exceptions", ())]
    name = "timeout" if isinstance(exc, TimeoutError) else type(exc).__name__
    arguments = exc.args[:1] if parts else exc.args
    return (name, arguments, parts, describe(exc.__cause__))


def plain(result: Any) -> Any:
    """A result that can be compared: exceptions in it are described."""
    if isinstance(result, list):
        return [plain(each) for each in result]
    return describe(result) if isinstance(result, BaseException) else result


@dataclass
class Machine:
    """Runs a program with the functions of `aio`."""

    aio: Any
    loop: asyncio.AbstractEventLoop
    events: list[tuple[Any, ...]] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def note(self, label: str, what: str, *more: Any) -> None:
        tick = (self.loop.time() - 1.0) / TICK
        self.events.append((tick, label, what, *more))

    async def run(self, label: str, expression: Expression) -> Any:
        """Await one expression, writing down how it begins and ends."""
        self.note(label, "begins", expression.kind)
        try:
            result = await getattr(self, f"do_{expression.kind}")(label, expression)
        except BaseException as exc:
            self.note(label, "raises", describe(exc))
            raise
        self.note(label, "returns", plain(result))
        return result

    def children(self, label: str, expression: Expression) -> list[Any]:
        return [
            self.run(f"{label}.{number}", inner) for number, inner in enumerate(expression.inside)
        ]

    def spawned(self, label: str, expression: Expression) -> list[asyncio.Task[Any]]:
        return [self.aio.create_task(child) for child in self.children(label, expression)]

    async def do_sleep(self, label: str, expression: Expression) -> Any:
        return await self.aio.sleep(seconds(expression.ticks), label)

    async def do_fail(self, label: str, expression: Expression) -> Any:
        raise ValueError(label)

    async def do_cancelled(self, label: str, expression: Expression) -> Any:
        raise asyncio.CancelledError(label)

    async def do_sequence(self, label: str, expression: Expression) -> Any:
        return [
            await self.run(f"{label}.{number}", inner)
            for number, inner in enumerate(expression.inside)
        ]

    async def do_future(self, label: str, expression: Expression) -> Any:
        return await self.futures[expression.option]

    async def do_stubborn(self, label: str, expression: Expression) -> Any:
        try:
            return await self.run(f"{label}.0", expression.inside[0])
        except asyncio.CancelledError:
            self.note(label, "ignores a cancellation")
            return "ignored"

    async def do_gather(self, label: str, expression: Expression) -> Any:
        awaitables = self.children(label, expression)
        if expression.ticks is not None:  # the same future twice
            twice = self.aio.ensure_future(awaitables.pop(0))
            awaitables += [twice, twice]
        return await self.aio.gather(*awaitables, return_exceptions=bool(expression.option))

    async def do_wait(self, label: str, expression: Expression) -> Any:
        tasks = self.spawned(label, expression)
        try:
            done, pending = await self.aio.wait(
                tasks, timeout=seconds(expression.ticks), return_when=expression.option
            )
        finally:
            for task in tasks:
                task.cancel()
        assert done | pending == set(tasks)
        return [task in done for task in tasks]

    async def do_wait_for(self, label: str, expression: Expression) -> Any:
        awaitable = self.children(label, expression)[0]
        if expression.option:
            awaitable = self.aio.create_task(awaitable)
        return await self.aio.wait_for(awaitable, seconds(expression.ticks))

    async def do_timeout(self, label: str, expression: Expression) -> Any:
        async with self.aio.timeout(seconds(expression.ticks)) as limit:
            if expression.option is not None:
                limit.reschedule(self.loop.time() + expression.option * TICK)
            result = await self.run(f"{label}.0", expression.inside[0])
            self.note(label, "in time", limit.expired(), repr(limit))
        self.note(label, "left", limit.expired(), repr(limit))
        return result

    async def do_shield(self, label: str, expression: Expression) -> Any:
        return await self.aio.shield(self.children(label, expression)[0])

    async def do_group(self, label: str, expression: Expression) -> Any:
        async with self.aio.TaskGroup() as group:
            tasks = [group.create_task(child) for child in self.children(label, expression)]
            if expression.ticks is not None:
                await self.aio.sleep(seconds(expression.ticks))
                self.note(label, "goes on in the group")
        return [task.result() for task in tasks]

    async def do_as_completed(self, label: str, expression: Expression) -> Any:
        tasks = self.spawned(label, expression)
        results = []
        try:
            for earliest in self.aio.as_completed(tasks, timeout=seconds(expression.ticks)):
                results.append(await earliest)
                self.note(label, "has", plain(results[-1]))
        finally:
            for task in tasks:
                task.cancel()
        return results

    def intervene(self, what: str, whom: int) -> None:
        self.note("outside", what, whom)
        future = self.futures[whom % len(self.futures)]
        if what == "cancel":
            self.tasks[whom % len(self.tasks)].cancel(f"cancelled from outside {whom}")
        elif what == "cancel future":
            future.cancel()
        elif not future.done():
            if what == "result":
                future.set_result(f"result {whom}")
            else:
                future.set_exception(KeyError(whom))

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = context["message"]
        if "never retrieved" in message:
            return  # when an object dies is not what this is about
        self.note("handler", message, describe(context.get("exception")))

    async def main(self, program: Program) -> None:
        """All tasks of the program, until they are done."""
        self.loop.set_exception_handler(self.handle)
        self.futures = [self.loop.create_future() for _ in range(3)]
        self.tasks = [
            self.loop.create_task(self.run(str(number), expression))
            for number, expression in enumerate(program.tasks)
        ]
        for tick, what, whom in program.interventions:
            self.loop.call_later(tick * TICK, self.intervene, what, whom)
        alarm: asyncio.TimerHandle | None = None

        def end() -> None:
            nonlocal alarm
            for future in [*self.futures, *self.tasks]:
                future.cancel()
            alarm = self.loop.call_later(TICK, end)

        alarm = self.loop.call_later(LAST_TICK * TICK, end)
        mine = asyncio.current_task()
        while others := [task for task in asyncio.all_tasks() if task is not mine]:
            await asyncio.wait(others)
        alarm.cancel()
        for number, task in enumerate(self.tasks):
            cancelling = task.cancelling()
            ending = "cancelled" if task.cancelled() else describe(task.exception())
            self.note(str(number), "ended", ending, cancelling)


def observe(
    new_loop: Callable[[], asyncio.AbstractEventLoop], aio: Any, program: Program
) -> list[tuple[Any, ...]]:
    """Run a program; return everything that was observed."""
    loop = new_loop()
    machine = Machine(aio, loop)
    try:
        loop.run_until_complete(machine.main(program))
        for future in machine.futures:
            if future.done() and not future.cancelled():
                future.exception()
    finally:
        loop.close()
    return machine.events


def by_task(events: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """The events of each label by itself, where the order between them is not defined."""
    sorted_out: dict[str, list[tuple[Any, ...]]] = {}
    for event in events:
        sorted_out.setdefault(event[1], []).append(event)
    return sorted_out
