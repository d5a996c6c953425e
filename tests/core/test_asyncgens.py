"""Asynchronous generators: hooks only while running, finalized by their loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from helpers import Contexts, collect, run_turns, turns

pytestmark = pytest.mark.usefixtures("loop")


async def counting(log: list[str]) -> AsyncGenerator[int, None]:
    try:
        for number in range(1000):
            yield number
    finally:
        await asyncio.sleep(0)
        log.append("finalized")


def test_hooks_are_set_only_while_running(loop: asyncio.AbstractEventLoop) -> None:
    def own(generator: object) -> None: ...

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=own, finalizer=own)
    try:
        inside: list[Any] = []
        loop.call_soon(lambda: inside.append(sys.get_asyncgen_hooks()))
        run_turns(loop)
        after = sys.get_asyncgen_hooks()
        assert (after.firstiter, after.finalizer) == (own, own)
        assert own not in inside[0]
        assert None not in inside[0]
    finally:
        sys.set_asyncgen_hooks(*before)


def test_abandoned_and_collected(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        generator = counting(log)
        await anext(generator)
        del generator
        collect()
        while not log:
            await turns(1)

    log: list[str] = []
    loop.run_until_complete(body())
    assert log == ["finalized"]


def test_collected_in_another_thread(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        box = [counting(log)]
        await anext(box[0])
        await loop.run_in_executor(None, box.clear)
        collect()
        while not log:
            await turns(1)

    log: list[str] = []
    loop.run_until_complete(body())
    assert log == ["finalized"]


def test_shutdown_asyncgens(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        generators.extend(counting(log) for _ in range(3))
        for generator in generators:
            await anext(generator)

    log: list[str] = []
    generators: list[AsyncGenerator[int, None]] = []
    loop.run_until_complete(body())
    assert log == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert log == ["finalized"] * 3


def test_errors_at_shutdown_go_to_the_handler(
    loop: asyncio.AbstractEventLoop, contexts: Contexts
) -> None:
    async def broken() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise LookupError("in finally")

    async def body() -> None:
        kept.append(broken())
        await anext(kept[0])

    kept: list[Any] = []
    loop.run_until_complete(body())
    loop.run_until_complete(loop.shutdown_asyncgens())
    context = contexts.take_one()
    assert isinstance(context["exception"], LookupError)
    assert context["asyncgen"] is kept[0]


def test_first_iteration_after_shutdown_warns(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        generator = counting([])
        with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
            await anext(generator)
        await generator.aclose()

    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(body())


def test_debug_mode_is_safe(loop: asyncio.AbstractEventLoop) -> None:
    """Collected on another thread in debug mode, where plain call_soon would complain."""
    loop.set_debug(True)

    async def body() -> None:
        box = [counting(log)]
        await anext(box[0])
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        while not log:
            await turns(1)

    log: list[str] = []
    loop.run_until_complete(body())
    assert log == ["finalized"]
