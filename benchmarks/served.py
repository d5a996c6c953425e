"""A server under test and the load on it: two processes, each on a core of its own.

The load generator (loadgen/, Rust) checks every answer and adds up its own CPU time: where it had
more than nine tenths of its core, it may have been the slower of the two, and the tables say so.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import Benchmark, table
from child import PATIENCE, Child, Failed, python_command, running
from options import Lacking
from spread import USER_AND_KERNEL

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    import harness
    from benchmark import Setting

HERE = Path(__file__).resolve().parent
FLOOR = "rust-epoll"
WARMUP = 0.2

SIZES = {64: "64B", 1024: "1KiB", 10240: "10KiB", 102400: "100KiB"}


MODES = {"protocol": "Protocol", "streams": "streams"}
"""The two ways to write a server, as titles have them."""


def size_text(size: int) -> str:
    """A size as titles have it."""
    return SIZES[size].replace("KiB", " KiB").replace("64B", "64 B")


@dataclass(frozen=True)
class Row:
    """One kind of server under one kind of load."""

    name: str
    title: str
    server: tuple[str, ...]
    """Module and arguments of the Python server."""
    load: tuple[str, ...]
    """Arguments of the load generator."""
    floor: tuple[str, ...] | None = None
    """Arguments of the load generator that make it the bare server."""
    unix: bool = False
    usual: bool = True
    short: bool = False


def both_mallocs(
    rows: Sequence[Row], usual: Callable[[Row], bool] = lambda _row: True
) -> list[Row]:
    """These rows, and each again with malloc as it is in a process that has just begun.

    Those that are not usual are only measured by name.
    """

    def as_fresh(settled: Row) -> Row:
        return replace(
            settled,
            name=f"{settled.name}-fresh",
            title=f"{settled.title}, fresh malloc",
            server=(*settled.server, "--malloc", "fresh"),
            # The bare server has no Python that could be in one state or the other.
            floor=None,
            usual=usual(settled),
            short=False,
        )

    return [*rows, *map(as_fresh, rows)]


def has(row: Row, column: str) -> bool:
    """Whether the row is measured there: not every server has a bare one under it."""
    return column != FLOOR or row.floor is not None


@functools.cache
def loadgen() -> str:
    """Build the load generator and return its path."""
    if shutil.which("cargo") is None:
        raise Lacking("the load generator is written in Rust: install cargo to build it")
    target = HERE.parent / "target" / "loadgen"
    manifest = HERE / "loadgen" / "Cargo.toml"
    command = ["cargo", "build", "--release", "--quiet", "--locked"]
    command += ["--manifest-path", str(manifest), "--target-dir", str(target)]
    if subprocess.run(command, check=False).returncode:
        raise Lacking("the load generator does not build")
    return str(target / "release" / "loadgen")


def prepare() -> None:
    """Have the load generator, and as many descriptors as this user may."""
    loadgen()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["--cpu", str(cpu)]


def server_command(row: Row, column: str, setting: Setting, path: str | None) -> list[str]:
    where = ["--path", path] if path else []
    if column == FLOOR:
        assert row.floor is not None
        return [loadgen(), *row.floor, *where, *pinned(setting.cpu)]
    module, *arguments = row.server
    return python_command(module, column, *arguments, *where, *pinned(setting.cpu))


def address(place: dict[str, Any]) -> list[str]:
    """Where a server said that it is, as arguments of a load."""
    return ["--path", place["path"]] if "path" in place else ["--port", str(place["port"])]


def start_server(
    stack: contextlib.ExitStack, row: Row, column: str, setting: Setting
) -> tuple[Child, list[str]]:
    """A server in its process, and where it is."""
    path = None
    if row.unix:
        path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "socket")
    server = stack.enter_context(running(server_command(row, column, setting, path)))
    return server, address(json.loads(server.line(PATIENCE)))


def start_load(stack: contextlib.ExitStack, command: list[str]) -> Child:
    """A load in its process, when it is warm."""
    load = stack.enter_context(running(command))
    if load.line(WARMUP + PATIENCE) != "ready":
        raise Failed("the load generator did not get ready")
    return load


def timing(setting: Setting) -> list[str]:
    return ["--seconds", str(setting.slice_seconds), "--warmup", str(WARMUP)]


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    """Start server and load, let them warm up."""
    server, where = start_server(stack, row, column, setting)
    command = [loadgen(), *row.load, *where, *timing(setting), *pinned(setting.load_cpu)]
    return Session(server, start_load(stack, command), setting.slice_seconds + PATIENCE)


class Session:
    """A server and its load; between slices nothing is in flight.

    So the CPU time taken from the server belongs to exactly the operations counted.
    """

    def __init__(self, server: Child, load: Child, limit: float) -> None:
        self._server, self._load, self._limit = server, load, limit
        self._before = self._usage()
        self._after = self._before
        self.answer: dict[str, Any] = {}
        """The load generator's last one."""

    def slice(self) -> None:
        self._load.say()
        # The load generator adds up by itself.
        self.answer = json.loads(self._load.line(self._limit))
        self._after = self._usage()

    def result(self) -> harness.Values:
        seconds = self.answer["seconds"]
        operations = self.answer["messages"] * self.answer.get("burst_mib", 1)
        used = {name: self._after[name] - self._before[name] for name in self._after}
        user, system = (used[name] / operations for name in ("user_us", "system_us"))
        quantiles = {
            name.replace("_ns", "_us"): self.answer[name] / 1000
            for name in ("p50_ns", "p99_ns", "p999_ns", "late_p99_ns")
            if name in self.answer
        }
        return {
            "cpu_us_per_operation": user + system,
            "user_us_per_operation": user,
            "system_us_per_operation": system,
            "operations": operations,
            "operations_per_cpu_second": 1e6 * operations / sum(used.values()),
            "operations_per_second": operations / seconds,
            "seconds": seconds,
            "server_share": sum(used.values()) / 1e6 / seconds,
            "load_share": self.answer["load_cpu_us"] / 1e6 / seconds,
            **quantiles,
            **{name: self.answer[name] for name in ("rate",) if name in self.answer},
        }

    def _usage(self) -> dict[str, int]:
        self._server.say()
        usage: dict[str, int] = json.loads(self._server.line(PATIENCE))
        return usage


def benchmark(rows: Sequence[Row], **fields: Any) -> Benchmark:
    """A benchmark whose figure is CPU time of a server for each operation of its load."""
    usual: dict[str, Any] = {
        "open_session": open_session,
        "key": "cpu_us_per_operation",
        "unit": "µs",
        "floor": FLOOR if any(row.floor for row in rows) else None,
        "has": has,
        "detail": USER_AND_KERNEL,
        "prepare": prepare,
        "loaded": True,
    }
    return Benchmark(rows=table(rows), **(usual | fields))
