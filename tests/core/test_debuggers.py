"""`python -m asyncio ps` and `pstree`, the call graph, and libraries that exchange a coroutine.

The first two read the memory of another process, where a native coroutine is no coroutine.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers import Implementation

needs_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")

#: Tasks that are made directly from coroutines of asyncio's.
PROGRAM = textwrap.dedent(
    """
    import importlib, sys
    asyncio = importlib.import_module(sys.argv[1])

    async def query():
        await asyncio.sleep(100)

    async def handler():
        await query()

    async def main():
        queue, event, lock = asyncio.Queue(), asyncio.Event(), asyncio.Lock()
        reader = asyncio.StreamReader()
        await lock.acquire()
        waiting = {
            "get": queue.get(), "join": queue.join(), "wait": event.wait(),
            "acquire": lock.acquire(), "read": reader.read(), "sleep": asyncio.sleep(100),
            "wait_for": asyncio.wait_for(handler(), 100), "own": handler(),
        }
        queue.put_nowait(1)
        await queue.get()
        tasks = [asyncio.create_task(each, name=name) for name, each in waiting.items()]
        tasks.append(asyncio.create_task(asyncio.wait(tuple(tasks)), name="outer"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        print("waiting", flush=True)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    """
)


@pytest.fixture
def process(implementation: Implementation, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    started = subprocess.Popen(
        [sys.executable, str(program), implementation.name], stdout=subprocess.PIPE, text=True
    )
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == "waiting\n"
        yield started
        started.kill()


def ask(command: str, process: subprocess.Popen[str]) -> str:
    # The tool reads while the process may be changing what it reads.
    deadline = time.monotonic() + 30
    while True:
        answer = subprocess.run(
            [sys.executable, "-m", "asyncio", command, str(process.pid)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        text = answer.stdout + answer.stderr
        if "insufficient permissions" in text or "PermissionError" in text:
            pytest.skip("this user may not read the memory of another process")
        if answer.returncode == 0 or time.monotonic() > deadline:
            assert answer.returncode == 0, text
            return answer.stdout


@needs_314
def test_ps_shows_every_task(process: subprocess.Popen[str]) -> None:
    rows = ask("ps", process).splitlines()[2:]
    stacks = {}
    for row in rows:
        columns = re.split(r"\s{2,}", row.strip())
        name = columns[1].split()[-1] if len(columns[1].split()) > 1 else columns[2]
        stacks[name] = row
    expected = {
        "get": "Queue.get",
        "join": "Queue.join",
        "wait": "Event.wait",
        "acquire": "Lock.acquire",
        "read": "StreamReader.read",
        "sleep": "sleep",
        "wait_for": "query -> handler",
        "own": "query -> handler",
        "outer": "wait",
        "Task-1": "main",
    }
    assert stacks.keys() == expected.keys()
    for name, stack in expected.items():
        assert stack in stacks[name], (name, stacks[name])


@needs_314
def test_pstree_shows_every_task(process: subprocess.Popen[str]) -> None:
    text = ask("pstree", process)
    for name in ("get", "join", "wait", "acquire", "read", "sleep", "wait_for", "own", "outer"):
        assert f"(T) {name}\n" in text
    for function, file in (("Queue.get", "queues.py"), ("Lock.acquire", "locks.py")):
        assert re.search(rf"{re.escape(function)} .*{file}:\d+", text)
    for function in ("handler", "query"):
        assert len(re.findall(rf"{function} .*program\.py:\d+", text)) >= 2


@needs_314
async def test_call_graph_goes_through_native_coroutines(
    implementation: Implementation, loop: asyncio.AbstractEventLoop, capsys: Any
) -> None:
    if sys.version_info < (3, 14):
        return
    aio = asyncio
    if implementation.name == "aioxide":
        import aioxide

        aio = aioxide  # type: ignore[assignment]

    event = aio.Event()

    async def handler() -> None:
        await event.wait()

    async def outer() -> None:
        await aio.wait_for(handler(), 100)

    task = loop.create_task(outer())
    direct = loop.create_task(event.wait())
    await asyncio.sleep(0)
    graph = asyncio.capture_call_graph(task)
    assert graph is not None
    names = [entry.frame.f_code.co_name for entry in graph.call_stack]
    assert names == ["wait", "handler", "wait_for", "outer"]
    text = asyncio.format_call_graph(task)
    for name, file in (("Event.wait", "locks.py"), ("wait_for", "tasks.py")):
        assert re.search(rf"File '.*{file}', line \d+, in async {re.escape(name)}\(\)", text)
    asyncio.print_call_graph(direct)
    assert "in async Event.wait()" in capsys.readouterr().out
    event.set()
    await asyncio.gather(task, direct)


def coroutine_address(task: Any, coroutine: Any) -> list[int]:
    """Every place in a task's memory that holds the address of its coroutine."""
    words = type(task).__basicsize__ // ctypes.sizeof(ctypes.c_size_t)
    memory = (ctypes.c_size_t * words).from_address(id(task))
    return [index for index, word in enumerate(memory) if word == id(coroutine)]


async def test_coroutine_stands_in_one_place(loop: asyncio.AbstractEventLoop) -> None:
    """greenback looks for it in the memory of the task, and puts another one there."""
    steps = []

    async def body() -> str:
        await asyncio.sleep(0)
        steps.append("body")
        return "result"

    async def shim(inner: Any) -> Any:
        steps.append("shim")
        return await inner

    original = body()
    task: Any = loop.create_task(original)
    (place,) = coroutine_address(task, original)
    other = shim(original)
    field = (ctypes.c_size_t * (place + 1)).from_address(id(task))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(other))
    field[place] = id(other)
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(original))
    assert task.get_coro() is other
    assert await task == "result"
    assert steps == ["shim", "body"]


@pytest.mark.aioxide_only
async def test_coroutine_of_a_task_can_be_set(loop: asyncio.AbstractEventLoop) -> None:
    """What a library tries before it writes into the memory. asyncio's task in Python takes it."""

    async def shim(inner: Any) -> Any:
        return ["shim", await inner]

    async def own() -> int:
        return 1

    for original in (own(), asyncio.sleep(0, 1)):
        task: Any = loop.create_task(original)
        other = shim(original)
        task._coro = other
        assert task.get_coro() is other
        assert await task == ["shim", 1]
    import aioxide

    original = own()
    task = loop.create_task(original)
    task._coro = aioxide.wait_for(original, 10)
    assert await task == 1
    with pytest.raises(TypeError, match="a coroutine was expected"):
        task._coro = 5
