"""What files cost: CPU time per operation, beside aiofiles and run_in_executor.

    python benchmarks/files.py                     in the folder for temporary files
    python benchmarks/files.py -w 'read4k-*' --folder /mnt/disk

Each figure is one run in a fresh process. The columns are ways to read and write, not event loops;
the ratio is over aiofiles on uvloop.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import Benchmark, main, table
from child import python_command, running
from files_child import ROWS, prepare
from spread import Detail

if TYPE_CHECKING:
    import argparse
    import contextlib

    import harness
    from benchmark import Setting

LIMIT = 120.0
WAYS = (
    "aioxide-threads",
    "aioxide-on-asyncio",
    "aiofiles-uvloop",
    "aiofiles-asyncio",
    "executor-uvloop",
    "builtin",
)
SHORT = {"read4k-hot-1", "read4k-hot-32", "write4k"}


@dataclass(frozen=True)
class Row:
    """One kind of work on files."""

    name: str
    title: str
    usual: bool = True

    @property
    def short(self) -> bool:
        return self.name in SHORT


TITLES = {
    "read4k-hot-1": "4 KiB, cached, 1 task",
    "read4k-hot-32": "4 KiB, cached, 32 tasks",
    "read4k-hot-256": "4 KiB, cached, 256 tasks",
    "seek+read4k-hot-1": "seek and read of 4 KiB, cached",
    "read1m-hot-1": "1 MiB, cached, 1 task",
    "read1m-hot-32": "1 MiB, cached, 32 tasks",
    "read4k-cold-1": "4 KiB from the disk, 1 task",
    "read4k-cold-32": "4 KiB from the disk, 32 tasks",
    "read4k-cold-256": "4 KiB from the disk, 256 tasks",
    "write100b": "write 100 bytes",
    "write4k": "write 4 KiB",
    "write1m": "write 1 MiB",
    "lines": "async for, a line of 80 characters",
    "stat": "stat",
}


@functools.cache
def folder(parent: str | None) -> tempfile.TemporaryDirectory[str]:
    """The files, made once; they go when this process ends."""
    made = tempfile.TemporaryDirectory(dir=parent)
    prepare(Path(made.name))
    return made


@dataclass
class Session:
    """One run in a process of its own."""

    command: list[str]
    values: harness.Values | None = None

    def slice(self) -> None:
        with running(self.command) as child:
            self.values = json.loads(child.line(LIMIT))

    def result(self) -> harness.Values:
        assert self.values is not None
        return self.values


def open_session(
    _stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    where = folder(setting.options.folder).name
    return Session(python_command("files_child", column, row.name, where, str(setting.seconds)))


def has(row: Row, name: str) -> bool:
    """Whether an implementation has this workload."""
    if name == "builtin":
        return row.name == "lines"
    return not (name.startswith("executor") and row.name in ("lines", "seek+read4k-hot-1"))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", help="a folder on the disk to measure files on")


BENCHMARK = Benchmark(
    name="files",
    title="Files",
    about=(
        "aioxide's files beside aiofiles and run_in_executor; aioxide-threads is without io_uring, "
        "aioxide-on-asyncio with asyncio's loop."
    ),
    rows=table([Row(name, TITLES[name]) for name in ROWS]),
    open_session=open_session,
    key="cpu_us_per_operation",
    unit="µs",
    needs=("aiofiles",),
    legend="CPU time per operation, threads and kernel workers included (wall time)",
    quick_seconds=0.1,
    columns=("aioxide",),
    others=WAYS,
    baseline="aiofiles-uvloop",
    has=has,
    slices=lambda _row, _usual: 1,
    detail=Detail("{}", ("wall_us_per_operation",)),
    arguments=arguments,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
