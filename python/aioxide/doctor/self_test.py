"""The self test: one of each thing that a program does with a loop.

Each step is a coroutine that returns if all is well. Whatever it raises is what is wrong, and the
other steps are still taken.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aioxide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# A step is over in milliseconds; what takes this long hangs.
_PATIENCE_S = 30
_MESSAGE = bytes(range(256)) * 256


def run() -> dict[str, Any]:
    """Take every step on one loop; returns whether all `passed`, and of each step what is wrong.

    If an event loop runs in this thread, which can run no other one, a thread does it.
    """
    if asyncio._get_running_loop() is None:
        return _run_here()
    with ThreadPoolExecutor(1, "aioxide-doctor") as pool:
        return pool.submit(_run_here).result()


def _run_here() -> dict[str, Any]:
    errors: dict[str, str | None] = dict.fromkeys(STEPS)
    try:
        with aioxide.Runner() as runner:
            for name, step in STEPS.items():
                try:
                    runner.run(_in_time(step))
                except Exception as error:  # told, and the other steps are taken
                    errors[name] = _sentence(error)
    except Exception as error:  # no loop, so none of the steps either
        errors = {name: wrong or f"no loop: {_sentence(error)}" for name, wrong in errors.items()}
    return {"passed": not any(errors.values()), "errors": errors}


async def _in_time(step: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        await step()


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError) and not text:
        text = f"not over after {_PATIENCE_S} s"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check(right: bool, otherwise: str) -> None:
    if not right:
        raise RuntimeError(otherwise)


async def _task() -> None:
    async def answer() -> int:
        await aioxide.sleep(0)
        return 42

    task = asyncio.get_running_loop().create_task(answer())
    _check(isinstance(task, aioxide.Task), f"the loop made a {type(task).__qualname__}")
    result = await task
    _check(result == 42, f"a task that returns 42 returned {result!r}")


async def _timer() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.01
    fired = loop.create_future()
    loop.call_at(due, lambda: fired.set_result(loop.time()))
    at = await fired
    _check(at >= due, f"a timer fired {(due - at) * 1e3:.3f} ms early")


async def _tcp() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(_MESSAGE)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await aioxide.start_server(echo, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await aioxide.open_connection(host, port)
        writer.write(_MESSAGE)
        back = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
    _check(back == _MESSAGE, f"of {len(_MESSAGE)} bytes {len(back)} came back, or others")


async def _file() -> None:
    with tempfile.TemporaryDirectory(prefix="aioxide-doctor-") as folder:
        path = os.path.join(folder, "file")
        async with aioxide.open(path, "wb") as file:
            await file.write(_MESSAGE)
            # No cache answers this: it is what io_uring, or a thread, really does.
            await file.fsync()
        async with aioxide.open(path, "rb") as file:
            back = await file.read()
    _check(back == _MESSAGE, f"of {len(_MESSAGE)} bytes {len(back)} were read, or others")


async def _process() -> None:
    _check(bool(sys.executable), "this Python does not know its executable")
    command = (
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os; os.write(1, os.read(0, 9)); os._exit(7)",
    )
    pipe = asyncio.subprocess.PIPE
    process = await aioxide.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    back, _ = await process.communicate(b"from here")
    _check(back == b"from here", f"what was sent to a process came back as {back!r}")
    _check(process.returncode == 7, f"exit code 7 was reported as {process.returncode}")


STEPS: dict[str, Callable[[], Awaitable[None]]] = {
    "task": _task,
    "timer": _timer,
    "tcp": _tcp,
    "file": _file,
    "process": _process,
}
