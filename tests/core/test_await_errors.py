"""The messages for objects that cannot be awaited, for closed files and incomplete reads."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import implementation

pytestmark = (
    pytest.mark.aioxide_only
)  # asyncio, or the builtin, runs in each of them as the control


class Awaits:
    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator

    def __await__(self) -> Any:
        return self.iterator


async def pausing() -> int:
    await asyncio.sleep(0)
    return 1


def begun() -> Any:
    coroutine = pausing()
    coroutine.send(None)
    return coroutine


def closed() -> Any:
    coroutine = pausing()
    coroutine.close()
    return coroutine


def generator() -> Iterator[None]:
    yield


OBJECTS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "an int": lambda: 5,
    "a function": lambda: pausing,
    "a class": lambda: object,
    "a generator": generator,
    "__await__ gives an int": lambda: Awaits(3),
    "__await__ gives None": lambda: Awaits(None),
    "a coroutine that is awaited already": begun,
    "a coroutine that is closed": closed,
}


def outcome(name: str, make: Callable[[], Any], limit: float | None) -> tuple[str, str]:
    import aioxide

    lib: Any = asyncio if name == "asyncio" else aioxide

    async def main() -> tuple[str, str]:
        awaitable = make()
        try:
            return "result", repr(await lib.wait_for(awaitable, limit))
        except Exception as error:
            return type(error).__name__, str(error)
        finally:
            if inspect.iscoroutine(awaitable):
                awaitable.close()

    loop = implementation(name).new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("limit", [5, None])
@pytest.mark.parametrize("title", OBJECTS)
def test_wait_for_refuses_as_await_does(title: str, limit: float | None) -> None:
    make = OBJECTS[title]
    assert outcome("aioxide", make, limit) == outcome("asyncio", make, limit)


@pytest.mark.parametrize("size", [10, 2**62, 2**64])
def test_readexactly_names_the_number(size: int) -> None:
    import aioxide

    async def main(lib: Any) -> tuple[str, int | None]:
        reader = lib.StreamReader()
        reader.feed_data(b"some")
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(size)
        return str(caught.value), caught.value.expected

    assert asyncio.run(main(aioxide)) == asyncio.run(main(asyncio))


CALLS: dict[str, Callable[[Any], Any]] = {
    "read": lambda file: file.read(5),
    "readline": lambda file: file.readline(),
    "readlines": lambda file: file.readlines(),
    "readinto": lambda file: file.readinto(bytearray(3)),
    "write": lambda file: file.write(b"x"),
    "writelines": lambda file: file.writelines([b"x"]),
    "seek": lambda file: file.seek(0),
    "tell": lambda file: file.tell(),
    "truncate": lambda file: file.truncate(),
    "flush": lambda file: file.flush(),
    "fileno": lambda file: file.fileno(),
    "isatty": lambda file: file.isatty(),
}


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("mode", ["rb", "wb", "r+b"])
@pytest.mark.parametrize("call", CALLS)
def test_a_closed_binary_file_says_what_the_builtin_says(
    tmp_path: Path, mode: str, buffering: int, call: str
) -> None:
    import aioxide

    path = tmp_path / "file"
    path.write_bytes(b"some bytes")

    async def on_aioxide() -> str:
        file = await aioxide.open(path, mode, buffering)
        await file.close()
        try:
            done = CALLS[call](file)
            if inspect.isawaitable(done):
                await done
        except ValueError as error:
            return str(error)
        return "no error"

    file = open(path, mode, buffering)  # noqa: SIM115
    file.close()
    with pytest.raises(ValueError) as caught:
        CALLS[call](file)
    if isinstance(caught.value, io.UnsupportedOperation):
        pytest.skip("the builtin looks at the mode first")
    assert aioxide.run(on_aioxide()) == str(caught.value)
