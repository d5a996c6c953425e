"""Temporary files, wrapped files, and the standard ones."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aioxide import files
from aioxide.files import tempfile


@pytest.mark.parametrize("mode", ["w+b", "w+", "wb"])
async def test_named(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path, mode: str
) -> None:
    """It has a name, and goes with it."""
    data: Any = "text\n" if mode == "w+" else b"text\n"
    folder = str(tmp_path)
    async with tempfile.NamedTemporaryFile(mode, suffix=".s", prefix="p", dir=folder) as f:
        assert Path(f.name).parent == tmp_path
        assert Path(f.name).name.startswith("p")
        assert f.name.endswith(".s")
        assert os.stat(f.name).st_mode & 0o777 == 0o600
        await f.write(data)
        if "+" in mode:
            await f.seek(0)
            assert await f.read() == data
    assert list(tmp_path.iterdir()) == []
    f = await tempfile.NamedTemporaryFile(mode, dir=folder, delete=False)
    await f.close()
    assert [str(path) for path in tmp_path.iterdir()] == [f.name]
    os.unlink(f.name)
    async with tempfile.NamedTemporaryFile(mode, dir=folder, delete_on_close=False) as f:
        await f.close()
        assert os.path.exists(f.name)
    assert list(tmp_path.iterdir()) == []


async def test_unnamed(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """It has no name at all."""
    async with tempfile.TemporaryFile("w+", dir=str(tmp_path), encoding="utf-8") as f:
        await f.write("é")
        assert await f.seek(0) == 0
        assert await f.read() == "é"
        assert list(tmp_path.iterdir()) == []


async def test_spooled(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """In memory until it is too large."""
    async with tempfile.SpooledTemporaryFile(max_size=100, dir=str(tmp_path)) as f:
        await f.write(b"x" * 60)
        assert not f._file._rolled
        await f.write(b"y" * 60)
        assert f._file._rolled
        await f.seek(0)
        assert await f.read() == b"x" * 60 + b"y" * 60
        assert await f.tell() == 120


async def test_directory(loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path) -> None:
    """It goes with everything in it."""
    async with tempfile.TemporaryDirectory(suffix="s", prefix="p", dir=str(tmp_path)) as name:
        assert Path(name).name.startswith("p")
        assert Path(name).stat().st_mode & 0o777 == 0o700
        (Path(name) / "file").touch()
    assert list(tmp_path.iterdir()) == []


async def test_wrap(loop: asyncio.AbstractEventLoop) -> None:
    """A file of the standard library, with awaitable methods."""
    text = files.wrap(io.StringIO("one\ntwo\n"))
    assert await text.readline() == "one\n"
    assert [line async for line in text] == ["two\n"]
    assert text.getvalue() == "one\ntwo\n"
    async with files.wrap(io.BytesIO()) as f:
        await f.write(b"data")
        assert await f.seek(0) == 0
        assert await f.read() == b"data"
    assert f.closed
    with pytest.raises(TypeError):
        files.wrap(3)


async def test_output(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `sys` has under the name when it is used."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    await files.stdout.write("hello\n")
    await files.stdout.flush()
    assert out.getvalue() == "hello\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    assert await files.stdin.readline() == "typed\n"


ECHO = """
import asyncio, sys
import aioxide
from aioxide import files

async def main():
    try:
        async with asyncio.timeout(0.05):
            await files.stdin.readline()
    except TimeoutError:
        await files.stdout.write("nobody\\n")
        await files.stdout.flush()
    first = await files.stdin.readline()
    await files.stdout.write(first.upper())
    async for line in files.stdin:
        await files.stdout_bytes.write(line.encode().upper())
    await files.stderr.write("done")

{run}(main())
"""


@pytest.mark.parametrize("run", ["aioxide.run", "asyncio.run"])
def test_input(backend: str, run: str) -> None:
    """The process's input is read without a thread: waiting for it can be cancelled."""
    child = subprocess.Popen(
        [sys.executable, "-c", ECHO.format(run=run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "AIOXIDE_FILES": backend},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"nobody\n"
    out, err = child.communicate(b"one\ntwo\nthree\n", timeout=30)
    assert child.returncode == 0, err
    assert out == b"ONE\nTWO\nTHREE\n"
    assert err == b"done"
