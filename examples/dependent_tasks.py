"""Tasks that need the results of other tasks.

Each step of a recipe is a task that awaits the tasks it depends on. A task may be awaited by many,
and runs once. What can run side by side does, and nobody works out the order by hand. When a step
fails, all that depend on it fail with its exception, and the others go on.

Runs by `aioxide.run` with asyncio's names: tasks, and what waits for them, are the loop's.
"""

from __future__ import annotations

from _support import command_line

import asyncio

import aioxide

# What each step needs first, and how many milliseconds it takes.
BREAD: dict[str, tuple[tuple[str, ...], int]] = {
    "flour": ((), 20),
    "water": ((), 10),
    "yeast": (("water",), 30),
    "dough": (("flour", "water", "yeast"), 40),
    "oven": ((), 60),
    "bread": (("dough", "oven"), 50),
    "butter": ((), 10),
    "sandwich": (("bread", "butter"), 10),
}


class Kitchen:
    """Runs the steps of a recipe, and writes down in what order they end."""

    def __init__(self, recipe: dict[str, tuple[tuple[str, ...], int]], broken: str = "") -> None:
        self.recipe = recipe
        self.broken = broken
        self.tasks: dict[str, asyncio.Task[int]] = {}
        self.done: list[str] = []

    def start(self, name: str) -> asyncio.Task[int]:
        """The task of this step, which is started when it is first asked for."""
        if name not in self.tasks:
            self.tasks[name] = asyncio.create_task(self.step(name), name=name)
        return self.tasks[name]

    async def step(self, name: str) -> int:
        """Wait for what is needed, then work; returns after how many milliseconds it is there."""
        needs, duration = self.recipe[name]
        ready = await asyncio.gather(*map(self.start, needs))
        await asyncio.sleep(duration / 1000)
        if name == self.broken:
            raise RuntimeError(f"no {name} today")
        for need in needs:
            assert need in self.done
        self.done.append(name)
        return max(ready, default=0) + duration


async def main() -> None:
    print("making a sandwich")
    kitchen = Kitchen(BREAD)
    longest = await kitchen.start("sandwich")
    everything = sum(duration for _, duration in BREAD.values())
    print(f"one after the other: {everything} ms, as far as possible side by side: {longest} ms")
    print(f"{len(kitchen.done)} steps, {kitchen.done.count('water')} of them water")

    print("once more, with a broken oven")
    kitchen = Kitchen(BREAD, broken="oven")
    sandwich = kitchen.start("sandwich")
    await asyncio.wait([sandwich])
    # `gather` does not cancel the others when one fails: wait for them to end as well.
    await asyncio.wait(kitchen.tasks.values())
    for name, task in sorted(kitchen.tasks.items()):
        error = task.exception()
        print(f"{name:>9}: {f'failed, {error}' if error else 'done'}")
    assert sandwich.exception() is kitchen.tasks["oven"].exception()


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
