"""Random programs over the primitives, and a run of one that writes down every observable step.

A program is a list of tasks, each a list of instructions. Time is virtual: a coroutine of ours
lets the loop turn until nothing moves any more, and then moves the clock to the next thing that is
due. So the same program takes the same steps on every loop, and what differs is what the primitives
do. Each step is written down with the number of the turn in which it happened.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

#: Turns of the loop after which everything that could move has moved.
SETTLED = 24
TASKS = 5

Instruction = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """What the tasks do."""

    tasks: tuple[tuple[Instruction, ...], ...]
    maxsize: int
    units: int
    parties: int


def programs(*, shutdown: bool) -> st.SearchStrategy[Program]:
    """Return a strategy for programs; `shutdown` if the queues can be shut down."""
    queues = st.sampled_from(("fifo", "lifo", "priority"))
    acquired = st.sampled_from(("lock", "condition", "semaphore", "bounded"))
    contexts = st.sampled_from(
        ("lock", "condition", "condition", "semaphore", "bounded", "barrier")
    )
    counts = st.integers(0, 3)
    limits = st.one_of(st.none(), st.none(), st.integers(0, 3))
    how = st.sampled_from(("await", "task", "gather"))
    waiting = st.one_of(
        st.tuples(st.just("get"), queues),
        st.tuples(st.just("put"), queues, st.integers(0, 9)),
        st.tuples(st.just("join"), queues),
        st.tuples(st.just("acquire"), acquired),
        st.tuples(st.just("wait"), st.sampled_from(("event", "barrier"))),
    )
    simple = st.one_of(
        st.tuples(st.just("wait with limit"), waiting, limits, how),
        st.tuples(st.just("wait with limit"), waiting, limits, how),
        st.tuples(st.just("put_nowait"), queues, st.integers(0, 9)),
        st.tuples(st.just("get_nowait"), queues),
        st.tuples(st.just("task_done"), queues),
        st.tuples(st.just("release"), acquired),
        st.tuples(st.sampled_from(("set", "clear"))),
        st.tuples(st.sampled_from(("reset", "abort")), limits),
        st.tuples(st.just("pause"), st.integers(1, 3)),
        st.tuples(st.just("sleep"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, TASKS - 1)),
        st.tuples(st.just("look"), st.sampled_from(("lock", "semaphore", "event", "condition"))),
        st.tuples(st.just("notify"), counts),
        st.tuples(st.just("notify_all")),
    )
    held = st.one_of(
        simple,
        st.tuples(st.just("condition wait"), limits),
        st.tuples(st.just("condition wait_for"), st.integers(0, 2), limits),
        st.tuples(st.just("notify"), counts),
        st.tuples(st.just("notify_all")),
    )
    block = st.tuples(
        st.just("with"),
        contexts,
        st.lists(held, max_size=4).map(tuple),
    )
    choices = [simple, simple, block, block]
    if shutdown:
        choices.append(st.tuples(st.just("shutdown"), queues, st.booleans()))
    task = st.lists(st.one_of(choices), min_size=1, max_size=7).map(tuple)
    return st.builds(
        Program,
        tasks=st.lists(task, min_size=2, max_size=TASKS).map(tuple),
        maxsize=st.integers(0, 2),
        units=st.integers(0, 2),
        parties=st.integers(1, 3),
    )


def anonymous(text: str) -> str:
    """Leave out whose it is, and where it lies."""
    return re.sub(r"aioxide\.|asyncio\.|0x[0-9a-f]+", "", text)


@dataclass
class Stage:
    """One run of a program."""

    aio: Any
    program: Program
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    turn: int = 0
    now: int = 0
    due: list[tuple[int, int, Callable[[], object]]] = field(default_factory=list)
    scheduled: int = 0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    things: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0

    def make(self) -> None:
        """Make the primitives."""
        aio, program = self.aio, self.program
        self.things = {
            "fifo": aio.Queue(program.maxsize),
            "lifo": aio.LifoQueue(maxsize=program.maxsize),
            "priority": aio.PriorityQueue(program.maxsize),
            "lock": aio.Lock(),
            "condition": aio.Condition(),
            "event": aio.Event(),
            "semaphore": aio.Semaphore(program.units),
            "bounded": aio.BoundedSemaphore(program.units),
            "barrier": aio.Barrier(program.parties),
        }

    def note(self, *what: Any) -> None:
        """Write down a step, and how everything looks after it."""
        state = tuple(anonymous(repr(thing)) for thing in self.things.values())
        self.trace.append((self.now, self.turn, *what, state))

    def at(self, delay: int, action: Callable[[], object]) -> None:
        """Do something in the virtual future."""
        self.scheduled += 1
        heapq.heappush(self.due, (self.now + delay, self.scheduled, action))

    async def limited(
        self, coroutine: Coroutine[Any, Any, Any], limit: int | None, how: str = "await"
    ) -> Any:
        """Await it, cancelled when the time limit has passed."""
        if how == "task" or limit is not None:
            task = asyncio.create_task(coroutine)
            if limit is not None:
                self.at(limit, task.cancel)
            return await task
        if how == "gather":
            return await asyncio.gather(coroutine)
        return await coroutine

    def waiting(self, instruction: Instruction) -> Coroutine[Any, Any, Any]:
        """Call what the instruction says; the result is a coroutine."""
        name, thing, *rest = instruction
        result: Coroutine[Any, Any, Any] = getattr(self.things[thing], name)(*rest)
        assert asyncio.iscoroutine(result)
        return result

    async def perform(self, instruction: Instruction) -> Any:
        """Do what one instruction says; the result goes into the trace."""
        things, (name, *args) = self.things, instruction
        condition = things["condition"]
        if name == "wait with limit":
            return await self.limited(self.waiting(args[0]), args[1], args[2])
        if name in ("put_nowait", "get_nowait", "task_done", "shutdown", "release"):
            return getattr(things[args[0]], name)(*args[1:])
        if name in ("set", "clear"):
            return getattr(things["event"], name)()
        if name in ("reset", "abort"):
            return await self.limited(getattr(things["barrier"], name)(), args[0])
        if name in ("notify", "notify_all"):
            return getattr(condition, name)(*args)
        if name == "condition wait":
            return await self.limited(condition.wait(), args[0])
        if name == "condition wait_for":
            return await self.limited(condition.wait_for(self.predicate(args[0])), args[1])
        if name == "pause":
            for _ in range(args[0]):
                await asyncio.sleep(0)
            return None
        if name == "sleep":
            wake = asyncio.Event()
            self.at(args[0], wake.set)
            return await wake.wait()
        if name == "cancel":
            if args[0] < len(self.tasks):
                return self.tasks[args[0]].cancel()
            return None
        if name == "look":
            # From here on a native one keeps its waiters where Python can see them.
            waiters = things[args[0]]._waiters
            return None if waiters is None else [waiter.done() for waiter in waiters]
        assert name == "with"
        thing, body = things[args[0]], args[1]
        async with thing as value:
            self.note("inside", args[0], value)
            await self.block(body, "inside")
        return value

    def predicate(self, asked: int) -> Callable[[], object]:
        """Return a predicate that is true when it has been asked often enough."""
        left = asked

        def predicate() -> object:
            nonlocal left
            left -= 1
            return "yes" if left < 0 else 0

        return predicate

    async def block(self, body: tuple[Instruction, ...], who: Any) -> None:
        """Do the instructions one after the other; an error ends only its own."""
        for number, instruction in enumerate(body):
            try:
                result = await self.perform(instruction)
            except asyncio.CancelledError as error:
                self.note(who, number, instruction, "cancelled", error.args)
                raise
            except Exception as error:
                self.note(who, number, instruction, type(error).__name__, anonymous(str(error)))
            else:
                self.note(who, number, instruction, result)

    async def settle(self) -> None:
        """Let everything move that can."""
        for _ in range(SETTLED):
            await asyncio.sleep(0)
            self.turn += 1

    async def run(self) -> list[tuple[Any, ...]]:
        """Run the program to its end, and give the trace."""
        self.make()
        for number, body in enumerate(self.program.tasks):
            self.tasks.append(asyncio.create_task(self.block(body, number)))
        await self.settle()
        while self.due:
            self.now, _, action = heapq.heappop(self.due)
            action()
            await self.settle()
        self.note("end", [task.done() for task in self.tasks])
        # Whoever still waits is cancelled, one by one, which moves others.
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        # In turn: one in Condition.wait() does not end before another lets go of the lock.
        for number in itertools.count():
            waiting = [task for task in self.tasks if not task.done()]
            if not waiting:
                break
            waiting[number % len(waiting)].cancel()
            await self.settle()
        for task in left:
            task.cancel()
        await asyncio.gather(*self.tasks, *left, return_exceptions=True)
        self.note("over", [task.cancelled() for task in self.tasks])
        for queue in ("fifo", "lifo", "priority"):
            self.trace.append((queue, list(self.things[queue]._queue)))
        self.things.clear()
        self.tasks.clear()
        return self.trace


def trace(
    aio: Any, loop_factory: Callable[[], asyncio.AbstractEventLoop], program: Program
) -> list[tuple[Any, ...]]:
    """Run a program with some primitives on some loop."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        main: Awaitable[list[tuple[Any, ...]]] = Stage(aio, program).run()
        return runner.run(main)  # type: ignore[arg-type]
