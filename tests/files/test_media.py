"""Files in memory are read at once, and what is asked for but forbidden is named."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aioxide import _aioxide, files

if TYPE_CHECKING:
    from helpers import Implementation

CONTENT = os.urandom(300_000)


async def nothing_is_submitted(f: files.BinaryFile) -> None:
    """Read in every way, with a ring that fails whatever it is given."""
    _aioxide.file_ring()
    _aioxide._file_faults([5] * 100)  # EIO
    assert await f.pread(4096, 8192) == CONTENT[8192:12_288]
    assert await f.pread(200_000, 1) == CONTENT[1:200_001]
    assert await f.read(100) == CONTENT[:100]
    assert await f.read() == CONTENT[100:]
    await f.seek(0)
    target = bytearray(100_000)
    assert await f.readinto(target) == 100_000
    assert target == CONTENT[:100_000]
    assert await f.readline() == CONTENT[100_000 : CONTENT.index(b"\n", 100_000) + 1]
    assert await f.read1(50_000)
    assert await f.seek(0, 2) == len(CONTENT)
    assert await f.read(10) == b""


@pytest.mark.parametrize("buffering", [-1])
async def test_memfd(loop: asyncio.AbstractEventLoop, backend: str, buffering: int) -> None:
    """A file of `memfd_create` is memory, and knows no RWF_NOWAIT."""
    fd = os.memfd_create("test")
    os.pwrite(fd, CONTENT, 0)
    async with files.open(fd, "rb", buffering) as f:
        await nothing_is_submitted(f)


async def test_tmpfs(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    """So is a file on a tmpfs."""
    folder = Path("/dev/shm")
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    if not any(mount.split()[1:3] == [str(folder), "tmpfs"] for mount in mounts):
        pytest.skip(f"{folder} is no tmpfs here")
    path = folder / f"aioxide-{os.getpid()}"
    try:
        path.write_bytes(CONTENT)
    except OSError as error:
        pytest.skip(f"{folder} cannot be written: {error}")
    try:
        f = await files.open(path, "rb")
        await nothing_is_submitted(f)
        _aioxide._file_faults([])
        await f.close()
    finally:
        path.unlink()


# Forbid io_uring_setup in this process, as containers do.
FORBIDDEN = """
import ctypes, struct, sys
program = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("HBBI", *step) for step in program)
kept = ctypes.create_string_buffer(code)
filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(kept))
prctl = ctypes.CDLL(None).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, filter, 0, 0):
    sys.exit(99)
import asyncio, aioxide
from aioxide import _aioxide, files
_aioxide._file_at_once(False)

async def main():
    try:
        await files.open("/proc/version")
    except RuntimeError as error:
        print(error)
        print(repr(error.__cause__))

(aioxide.run if sys.argv[1] == "aioxide" else asyncio.run)(main())
"""


def test_io_uring_that_is_forbidden(implementation: Implementation) -> None:
    """The error names the variable that asks for io_uring, and not the file."""
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, implementation.name],
        env=os.environ | {"AIOXIDE_FILES": "uring"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 99:
        pytest.skip("no seccomp filters here")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "AIOXIDE_FILES=uring asks for io_uring, which is forbidden or missing here "
        "(Operation not permitted (os error 1)): unset AIOXIDE_FILES, or set it to 'threads'",
        "PermissionError(1, 'Operation not permitted')",
    ]


OVERLAID = """
import asyncio, os, sys, aioxide
from aioxide import _aioxide, files
folder, name = sys.argv[1:3]
content = open(f"{folder}/lower/a", "rb").read()

async def main():
    for buffering in (int(sys.argv[3]),):
        async with files.open(f"{folder}/merged/a", "rb", buffering) as f:
            _aioxide.file_ring()
            await f.pread(len(content), 0)
            lower = os.open(f"{folder}/lower/a", os.O_RDONLY)
            os.posix_fadvise(lower, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(lower)
            # Nothing is cached: the ring has to be asked.
            _aioxide._file_faults([5])
            try:
                await f.pread(4096, 0)
            except OSError as error:
                assert error.errno == 5
            else:
                raise AssertionError("a page that is not cached was read at once")
            assert await f.pread(300_000, 0) == content
            # Everything is: nothing is given to the ring, whatever it does.
            _aioxide._file_faults([5] * 20)
            assert await f.pread(4096, 8192) == content[8192:12288]
            assert await f.pread(9000, len(content) - 100) == content[-100:]
            assert await f.read(1000) == content[:1000]
            assert await f.read() == content[1000:]
            assert await f.read(10) == b""
    print("read")

(aioxide.run if name == "aioxide" else asyncio.run)(main())
"""
MOUNT = """
set -e
mkdir "$1/lower" "$1/upper" "$1/work" "$1/merged"
head -c 200000 /dev/urandom > "$1/lower/a"
sync "$1/lower/a"
options="lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work"
mount -t overlay overlay -o "$options" "$1/merged" || exit 77
"$2" -c "$3" "$1" "$4" "$5"
"""


@pytest.mark.parametrize("buffering", [-1, 0])
def test_overlay(
    implementation: Implementation, backend: str, tmp_path: Path, buffering: int
) -> None:
    """What the layers of a container have in the page cache is read at once, and nothing else."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    program = [sys.executable, OVERLAID, implementation.name, str(buffering)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", MOUNT, "sh", str(tmp_path), *program],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")
