"""Any sequence of operations gives what the builtin ``open`` gives."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from helpers import Implementation

Step = tuple[str, tuple[Any, ...]]
# Before, the builtin may read what comes after a write before it has written.
WRITES_COME_FIRST = sys.version_info >= (3, 13)

_sizes = st.one_of(st.none(), st.integers(-1, 40), st.sampled_from([100, 4096, 8191, 8192, 20000]))
_places = st.one_of(st.integers(0, 60), st.sampled_from([4000, 8192, 8193, 9000, 20000, 70000]))
_data = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"a\nb\r\nc\r", b"x" * 5000, b"line\n" * 2000, b"y" * 20000]),
)
_binary_step: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.sampled_from(["read", "readline"]), st.tuples(_sizes)),
    st.tuples(st.just("readinto"), st.tuples(st.integers(0, 9000))),
    st.tuples(st.just("write"), st.tuples(_data)),
    st.tuples(st.just("writelines"), st.tuples(st.lists(_data, max_size=3))),
    st.tuples(st.just("seek"), st.tuples(_places)),
    st.tuples(st.just("seek"), st.tuples(st.integers(-30, 30), st.sampled_from([1, 2]))),
    st.tuples(st.just("truncate"), st.one_of(st.just(()), st.tuples(_places))),
    st.tuples(st.sampled_from(["tell", "flush", "readlines", "anext"]), st.just(())),
    st.tuples(st.just("readlines"), st.tuples(st.integers(-1, 9000))),
)

_text = st.one_of(
    st.text(alphabet="ab\n\r€é𐍈 ", max_size=30),
    st.sampled_from(["a\nb\r\nc\r", "x" * 5000, "líne\n" * 2000, "€\r\n" * 4000]),
)
# A place to go to is one that `tell` gave: the steps name them by number.
_text_step: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("read"), st.tuples(_sizes)),
    st.tuples(st.just("readline"), st.tuples(_sizes.filter(lambda size: size is not None))),
    st.tuples(st.just("write"), st.tuples(_text)),
    st.tuples(
        st.sampled_from(["tell", "flush", "readlines", "anext", "start", "end"]), st.just(())
    ),
    st.tuples(st.just("back"), st.tuples(st.integers(0, 5))),
    st.tuples(st.just("truncate"), st.just(())),
)


async def outcome(file: Any, step: Step, cookies: list[int]) -> Any:
    """Do one step on either file: its result, or the class of its exception."""
    name, arguments = step
    if name == "anext":
        name, arguments = "readline", ()  # the builtin's own iteration would turn `tell` off
        if hasattr(file, "__anext__"):
            try:
                return (await anext(file), None)
            except StopAsyncIteration:
                return ("" if "b" not in file.mode else b"", None)
            except (OSError, ValueError) as error:
                return type(error)
    if name == "start":
        name, arguments = "seek", (0,)
    elif name == "end":
        name, arguments = "seek", (0, 2)
    elif name == "back":
        if not cookies:
            return None
        name, arguments = "seek", (cookies[arguments[0] % len(cookies)],)
    buffer = bytearray(arguments[0]) if name == "readinto" else None
    try:
        result = getattr(file, name)(*([buffer] if buffer is not None else arguments))
        if inspect.isawaitable(result):
            result = await result
    except (OSError, ValueError) as error:
        return type(error)
    if name == "tell":
        cookies.append(result)
    return (result, buffer)


async def compare(ours: Any, theirs: Any, steps: list[Step], folder: Path) -> None:
    """Do the steps on both, and compare after each."""
    our_cookies: list[int] = []
    their_cookies: list[int] = []
    for number, step in enumerate(steps):
        if not ours.readable() and (step[1] in ((None,), (0,)) or step[0] == "readlines"):
            continue  # a file that is not for reading does something with these before it says so
        got = await outcome(ours, step, our_cookies)
        wanted = await outcome(theirs, step, their_cookies)
        assert got == wanted, f"step {number}: {step}"
    await ours.close()
    theirs.close()
    assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()


def settled(steps: list[Step], mode: str) -> list[Step]:
    """Go somewhere before and after each write of a file that appends and reads.

    The builtin keeps what it has read ahead over such a write, although the file's position has
    moved to the end, and may write it again; ours goes on from there. Before 3.13 its text may be
    read before what was written first: there each write is flushed.
    """
    if "a" in mode and "+" not in mode:
        # Where such a file stands before what it keeps is written depends on how much it keeps.
        moving = {"seek", "start", "back", "truncate"}
        return [step for step in steps if step[0] not in moving]
    if "+" not in mode or ("a" not in mode and WRITES_COME_FIRST):
        return steps
    settled: list[Step] = []
    for step in steps:
        if step[0].startswith("write"):
            settled += [("end", ()), step, ("start", ())] if "a" in mode else [step, ("flush", ())]
        else:
            settled.append(step)
    return settled


def prepare(folder: Path, content: bytes | None) -> None:
    """Give both the same file, or none."""
    for name in ("ours", "theirs"):
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)


_contents = st.one_of(
    st.binary(max_size=100),
    st.sampled_from(
        [
            b"",
            b"one\ntwo\r\nthree\rfour",
            b"0123456789abcde\n" * 2000,
            b"x" * 8191 + b"\r\n" + b"y" * 8192 + b"\n",
            b"z" * 70000,
        ]
    ),
)
_examples = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_examples
@given(
    mode=st.sampled_from(["rb", "wb", "ab", "r+b", "w+b", "a+b", "xb", "x+b"]),
    buffering=st.sampled_from([-1, -1, 0, 1024, 8192]),
    content=_contents,
    steps=st.lists(_binary_step, max_size=12),
)
def test_binary(
    mode: str,
    buffering: int,
    content: bytes,
    steps: list[Step],
    implementation: Implementation,
    backend: str,
    at_once: bool,
    tmp_path: Path,
) -> None:
    """Bytes, in every mode, buffered and not."""
    from aioxide import files

    prepare(tmp_path, None if "x" in mode else content)

    async def main() -> None:
        with open(tmp_path / "theirs", mode, buffering) as theirs:
            if buffering == 0:
                # A raw file's `read` and `write` may do less than they are asked for; on a regular
                # file ours do what the builtin's do.
                assert isinstance(theirs, io.FileIO)
            async with files.open(tmp_path / "ours", mode, buffering) as ours:
                await compare(ours, theirs, settled(steps, mode), tmp_path)

    run(implementation, main())


@_examples
@given(
    mode=st.sampled_from(["r", "w", "a", "r+", "w+", "a+", "x"]),
    encoding=st.sampled_from(
        ["utf-8", "utf-8", "latin-1", "utf-16", "utf-16-le", "utf-8-sig", "utf-7"]
    ),
    newline=st.sampled_from([None, None, "", "\n", "\r", "\r\n"]),
    content=st.one_of(_text, st.lists(_text, max_size=4).map("".join)),
    steps=st.lists(_text_step, max_size=12),
)
def test_text(
    mode: str,
    encoding: str,
    newline: str | None,
    content: str,
    steps: list[Step],
    implementation: Implementation,
    backend: str,
    at_once: bool,
    tmp_path: Path,
) -> None:
    """Text: encodings, line ends, and the cookies of `tell`."""
    from aioxide import files

    prepare(tmp_path, None if "x" in mode else content.encode(encoding, "replace"))

    async def main() -> None:
        with open(
            tmp_path / "theirs", mode, encoding=encoding, errors="replace", newline=newline
        ) as theirs:
            async with files.open(
                tmp_path / "ours", mode, encoding=encoding, errors="replace", newline=newline
            ) as ours:
                assert ours.encoding == theirs.encoding
                assert ours.errors == theirs.errors
                await compare(ours, theirs, settled(steps, mode), tmp_path)
                if not any(step[0] in {"tell", "back"} for step in steps):
                    # The builtin's `tell` decodes once more, and may forget what it has seen.
                    assert ours.newlines == theirs.newlines

    run(implementation, main())


def run(implementation: Implementation, main: Any) -> None:
    """Run a coroutine on a loop of its own."""
    loop = implementation.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "rw"},
        {"mode": "rbt"},
        {"mode": ""},
        {"mode": "b"},
        {"mode": "rr"},
        {"mode": "z"},
        {"mode": "rb", "encoding": "utf-8"},
        {"mode": "rb", "errors": "strict"},
        {"mode": "rb", "newline": "\n"},
        {"mode": "r", "buffering": 0},
        {"mode": "r", "newline": "x"},
        {"mode": "r", "encoding": "no-such-codec"},
        {"mode": "r", "closefd": False},
        {"mode": 3},
        {"file": None},
        {"file": -1},
        {"file": "no/such/file"},
        {"file": os.curdir},
        {"file": "a\0b"},
        {"mode": "x"},
    ],
)
async def test_refusals(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """What the builtin refuses is refused with the same exception."""
    from aioxide import files

    existing = tmp_path / "there"
    existing.touch()
    given = {"file": existing, **arguments}
    with pytest.raises(Exception) as theirs:
        open(**given)  # noqa: SIM115
    with pytest.raises(theirs.type) as ours:
        await files.open(**given)
    assert ours.type is theirs.type
    if isinstance(theirs.value, OSError):
        assert isinstance(ours.value, OSError)
        assert ours.value.errno == theirs.value.errno
        assert str(ours.value.filename) == str(theirs.value.filename)
