"""``aioxide.files.os`` and ``Path`` against ``os`` and ``pathlib``."""

from __future__ import annotations

import asyncio
import inspect
import os
import pathlib
import socket
from pathlib import Path
from typing import Any

import pytest

from aioxide import files
from aioxide.files import Path as AsyncPath


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a little of everything."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "inner").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "to_folder").symlink_to("folder")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    return tmp_path


NAMES = ["file", "folder", "link", "to_folder", "broken", "fifo", "socket", "missing", "file/x"]


def same(ours: os.stat_result, theirs: os.stat_result) -> bool:
    """Whether they agree in everything but the time of the last access."""
    fields = [name for name in dir(theirs) if name.startswith("st_") and "atime" not in name]
    return all(getattr(ours, name) == getattr(theirs, name) for name in fields)


@pytest.mark.parametrize("name", NAMES)
async def test_questions(
    loop: asyncio.AbstractEventLoop, backend: str, at_once: bool, tree: Path, name: str
) -> None:
    """Every question has the answer that `os` and `os.path` give."""
    path = tree / name
    for ours, theirs in ((files.os.stat, os.stat), (files.os.lstat, os.lstat)):
        try:
            wanted = theirs(path)
        except OSError as error:
            errno = error.errno
            with pytest.raises(type(error)) as caught:
                await ours(path)
            assert caught.value.errno == errno
        else:
            got = await ours(path)
            assert isinstance(got, os.stat_result)
            assert same(got, wanted)
            assert len(got) == len(wanted)
    for question in ("exists", "lexists", "isfile", "isdir", "islink", "ismount"):
        assert await getattr(files.os.path, question)(path) == getattr(os.path, question)(path)
    assert await files.os.exists(path) == path.exists()
    ours_path = AsyncPath(path)
    for question in (
        "exists",
        "is_dir",
        "is_file",
        "is_symlink",
        "is_fifo",
        "is_socket",
        "is_block_device",
        "is_char_device",
        "is_mount",
    ):
        assert await getattr(ours_path, question)() == getattr(path, question)()


async def test_special_stats(loop: asyncio.AbstractEventLoop, backend: str, tree: Path) -> None:
    """Devices, descriptors, bytes, and a path with a NUL in it."""
    for path in ("/dev/null", b"/", "/proc/self/status"):
        assert (await files.os.stat(path))[:5] == os.stat(path)[:5]
    assert (await files.os.stat("/dev/null")).st_rdev == os.stat("/dev/null").st_rdev
    with open(tree / "file") as f:
        assert same(await files.os.fstat(f.fileno()), os.fstat(f.fileno()))
        assert same(await files.os.stat(f.fileno()), os.fstat(f.fileno()))
    with pytest.raises(ValueError, match="null"):
        await files.os.stat("a\0b")
    assert not await files.os.exists("a\0b")
    fd = os.open(tree, os.O_RDONLY)
    assert same(await files.os.stat("file", dir_fd=fd), os.stat(tree / "file"))
    os.close(fd)
    assert await files.os.path.getsize(tree / "file") == 7
    assert await files.os.path.samefile(tree / "file", tree / "link")
    assert not await files.os.path.samefile(tree / "file", tree / "folder")


async def test_changes(loop: asyncio.AbstractEventLoop, backend: str, tree: Path) -> None:
    """What makes, renames and removes names."""
    ask = files.os
    await ask.makedirs(tree / "a/b/c", exist_ok=True)
    await ask.makedirs(tree / "a/b/c", exist_ok=True)
    with pytest.raises(FileExistsError):
        await ask.makedirs(tree / "a/b/c")
    await ask.rename(tree / "file", tree / "a/b/c/file")
    await ask.link(tree / "a/b/c/file", tree / "hard")
    await ask.link(tree / "broken", tree / "hard2", follow_symlinks=False)
    await ask.symlink("hard", tree / "soft")
    assert (tree / "soft").read_text() == "content"
    assert await ask.readlink(tree / "soft") == "hard"
    await ask.renames(tree / "a/b/c/file", tree / "d/e/file")
    assert not (tree / "a").exists()
    await ask.replace(tree / "d/e/file", tree / "d/moved")
    await ask.remove(tree / "d/moved")
    await ask.removedirs(tree / "d/e")
    assert not (tree / "d").exists()
    for name in ("hard", "soft", "hard2"):
        await ask.unlink(tree / name)
    await ask.mkdir(tree / "mode", 0o700)
    assert (tree / "mode").stat().st_mode & 0o777 == 0o700
    await ask.rmdir(tree / "mode")
    with pytest.raises(OSError, match="not empty"):
        await ask.rmdir(tree / "folder")
    await ask.copyfile(tree / "folder/inner", tree / "copy")
    assert (tree / "copy").read_bytes() == b"x" * 1000
    assert await ask.access(tree / "copy", os.R_OK)
    assert (await ask.statvfs(tree)).f_bsize == os.statvfs(tree).f_bsize
    await ask.chmod(tree / "copy", 0o600)
    await ask.utime(tree / "copy", (1, 2))
    assert (await ask.stat(tree / "copy")).st_mtime == 2


@pytest.mark.parametrize("topdown", [True, False])
@pytest.mark.parametrize("followlinks", [True, False])
async def test_walk(
    loop: asyncio.AbstractEventLoop, backend: str, tree: Path, topdown: bool, followlinks: bool
) -> None:
    """The same folders in the same order."""
    found = [step async for step in files.os.walk(tree, topdown=topdown, followlinks=followlinks)]
    wanted = list(os.walk(tree, topdown=topdown, followlinks=followlinks))
    assert found == wanted
    assert sorted(await files.os.listdir(tree)) == sorted(os.listdir(tree))
    assert {entry.name for entry in await files.os.scandir(tree)} == set(os.listdir(tree))
    errors: list[OSError] = []
    assert [step async for step in files.os.walk(tree / "missing", onerror=errors.append)] == []
    assert isinstance(errors[0], FileNotFoundError)


async def test_sendfile(loop: asyncio.AbstractEventLoop, backend: str, tree: Path) -> None:
    """Into a socket that is full, and into a file."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right, open(tree / "large", "w+b") as large, open(tree / "out", "wb") as out:
        large.write(b"y" * 1_000_000)
        large.flush()

        async def receive() -> int:
            total = 0
            while total < 1_000_000:
                total += len(await loop.sock_recv(right, 65536))
            return total

        receiving = asyncio.ensure_future(receive())
        offset = 0
        while offset < 1_000_000:
            offset += await files.os.sendfile(
                left.fileno(), large.fileno(), offset, 1_000_000 - offset
            )
        assert await receiving == 1_000_000
        assert await files.os.sendfile(out.fileno(), large.fileno(), 0, 1000) == 1000


async def test_path_reads_and_writes(
    loop: asyncio.AbstractEventLoop, backend: str, tmp_path: Path
) -> None:
    """Contents and names, as pathlib does them."""
    path = AsyncPath(tmp_path) / "a" / "b.txt"
    with pytest.raises(FileNotFoundError):
        await path.write_text("x")
    await path.parent.mkdir(parents=True)
    await path.parent.mkdir(exist_ok=True)
    with pytest.raises(FileExistsError):
        await path.parent.mkdir()
    assert await path.write_text("héllo\n", encoding="utf-8", newline="\r\n") == 6
    assert await path.read_bytes() == "héllo\r\n".encode()
    assert await path.read_text(encoding="utf-8") == "héllo\n"
    assert await path.write_bytes(b"12345") == 5
    async with path.open("rb") as f:
        assert await f.read() == b"12345"
    moved = await path.rename(path.with_suffix(".bin"))
    assert isinstance(moved, AsyncPath)
    assert await moved.exists()
    await (path.parent / "link").symlink_to("b.bin")
    assert await (path.parent / "link").readlink() == AsyncPath("b.bin")
    assert await (path.parent / "link").resolve() == await moved.resolve()
    await (path.parent / "hard").hardlink_to(moved)
    assert await (path.parent / "hard").samefile(moved)
    await path.touch()
    assert (await path.stat()).st_size == 0
    await path.chmod(0o600)
    names = {found.name async for found in path.parent.iterdir()}
    assert names == {"b.bin", "b.txt", "link", "hard"}
    assert {found.name async for found in AsyncPath(tmp_path).rglob("*.b*")} == {"b.bin"}
    assert {found.name async for found in path.parent.glob("b.*")} == {"b.bin", "b.txt"}
    walked = [
        (str(at), sorted(down), sorted(here)) async for at, down, here in AsyncPath(tmp_path).walk()
    ]
    assert walked == [(at, sorted(down), sorted(here)) for at, down, here in os.walk(tmp_path)]
    await path.unlink()
    await path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        await path.unlink()
    assert await AsyncPath.cwd() == AsyncPath(os.getcwd())
    assert await AsyncPath.home() == pathlib.Path.home()


def test_path_computes_as_pathlib() -> None:
    """What asks nobody is as in pathlib, and gives paths of ours."""
    ours, theirs = AsyncPath("/a", "b.tar.gz"), pathlib.Path("/a", "b.tar.gz")
    for name in ("parts", "drive", "root", "anchor", "name", "suffix", "suffixes", "stem"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert str(ours) == str(theirs)
    assert os.fspath(ours) == os.fspath(theirs)
    assert bytes(ours) == bytes(theirs)
    assert repr(ours) == "Path('/a/b.tar.gz')"
    assert ours.as_uri() == theirs.as_uri()
    assert ours < AsyncPath("/b")
    assert sorted([AsyncPath("b"), AsyncPath("a")])[0] == AsyncPath("a")
    for made in (
        ours / "c",
        "/x" / ours,
        ours.parent,
        ours.with_name("n"),
        ours.with_stem("s"),
        ours.with_suffix(".s"),
        ours.joinpath("c", "d"),
        ours.relative_to("/a"),
        ours.parents[0],
    ):
        assert isinstance(made, AsyncPath)
    assert ours.is_relative_to("/a")
    assert not ours.is_relative_to("/b")
    assert ours.match("*.gz")
    assert ours.is_absolute()


def test_path_has_everything() -> None:
    """Whatever pathlib.Path offers is here, or named here with the reason."""
    elsewhere = {
        "copy",
        "copy_into",
        "move",
        "move_into",
        "info",
        "is_reserved",
        "link_to",
        "hardlink_to",
    }
    missing = {
        name
        for name in dir(pathlib.Path)
        if not name.startswith("_") and not hasattr(AsyncPath, name)
    }
    assert missing <= elsewhere
    for name in ("stat", "exists", "read_text", "mkdir", "unlink", "resolve"):
        assert inspect.iscoroutinefunction(getattr(AsyncPath, name))


def test_names_of_aiofiles() -> None:
    """Every name that aiofiles documents is here."""
    for name in (
        "open",
        "tempfile",
        "os",
        "stdin",
        "stdout",
        "stderr",
        "stdin_bytes",
        "stdout_bytes",
        "stderr_bytes",
        "wrap",
    ):
        assert name in files.__all__
        assert hasattr(files, name)
    for name in (
        "path",
        "stat",
        "rename",
        "renames",
        "replace",
        "remove",
        "unlink",
        "mkdir",
        "makedirs",
        "rmdir",
        "removedirs",
        "symlink",
        "readlink",
        "listdir",
        "scandir",
        "access",
        "wrap",
        "getcwd",
        "link",
        "sendfile",
        "statvfs",
    ):
        assert name in files.os.__all__
    for name in (
        "abspath",
        "getatime",
        "getctime",
        "getmtime",
        "getsize",
        "exists",
        "isdir",
        "isfile",
        "islink",
        "ismount",
        "samefile",
        "sameopenfile",
    ):
        assert name in files.os.path.__all__
    for name in (
        "NamedTemporaryFile",
        "TemporaryFile",
        "SpooledTemporaryFile",
        "TemporaryDirectory",
    ):
        assert name in files.tempfile.__all__


async def test_results_are_coroutines(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """People make tasks of them, and gather them."""
    (tmp_path / "a").write_bytes(b"content")
    opening: Any = files.open(tmp_path / "a", "rb")
    f = await asyncio.create_task(opening)
    async with f:
        for call in (f.read(1), f.readline(), f.pread(1, 0), f.tell(), files.os.stat(tmp_path)):
            assert asyncio.iscoroutine(call)
            await asyncio.wait_for(asyncio.create_task(call), 30)
    async with files.open(tmp_path / "a") as text:
        first, second = await asyncio.gather(text.read(3), text.read(2))
        assert first + second == "conte"
    files.open(tmp_path / "a").close()


@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_reads_come_in_the_order_of_their_calls(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, mode: str
) -> None:
    """Also where one of them lets the loop run an iteration, once in about a hundred."""
    content = bytes(32 + number % 90 for number in range(6000))
    (tmp_path / "a").write_bytes(content)
    expected: Any = content if "b" in mode else content.decode()
    async with files.open(tmp_path / "a", mode) as f:
        for start in range(0, len(content), 2):
            first, second = await asyncio.gather(f.read(1), f.read(1))
            assert first + second == expected[start : start + 2], start
