"""What the tests of `aioxide demo` share: made-up results, whole runs, and ends of processes."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from aioxide.demo.results import Results, Run, Variant
from aioxide.demo.ways import WAYS

# Ctrl-C works even where the tests themselves run in the background of a shell, which ignores it.
MAIN = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in {hidden!r}:
    sys.modules[name] = None  # not to be found
from aioxide.cli import main
sys.exit(main())
"""
TINY = ["--pages=3", "--images=4", "--delay-ms=0", "--concurrency=2", "--processes=2"]
OFFER = {"pages": 2, "images": 3, "bytes": 100, "signature": 77}
RECORD: dict[str, Any] = {
    "missing": {"rloop": "not installed"},
    "rows": [
        {
            "title": "call_soon chain",
            "implementations": {
                "uvloop": {
                    "ns_per_operation": {"median": 600.0},
                    "ratio_over_uvloop": {"median": 1.0},
                    "error": None,
                },
                "aioxide": {
                    "ns_per_operation": {"median": 100.0},
                    "ratio_over_uvloop": {"median": 6.0},
                    "error": None,
                },
                "asyncio": {
                    "ns_per_operation": None,
                    "ratio_over_uvloop": None,
                    "error": "no result within 60 s",
                },
            },
        }
    ],
}


def command(*words: str, hidden: tuple[str, ...] = ()) -> list[str]:
    """`aioxide demo` with these words, where the hidden packages seem not to be installed."""
    return [sys.executable, "-c", MAIN.format(hidden=hidden), "demo", *words]


def demo(*words: str, cwd: Path, hidden: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A whole run."""
    return subprocess.run(
        command(*words, hidden=hidden), cwd=cwd, capture_output=True, text=True, check=False
    )


def variant(name: str) -> Variant:
    """The variant of that name, as `--only` takes it."""
    way, _, loop = name.partition("@")
    (found,) = [each for each in WAYS if each.name == way]
    return Variant(found, loop or None)


def run(wall: float, cpu: float = 1.0, mib: float = 2.0) -> Run:
    """A made-up crawl of the two pages and three images of OFFER."""
    return Run(
        **OFFER,
        wall=wall,
        cpu=cpu,
        peak_kib=int(mib * 1024),
        connections=4,
        in_flight=3,
        site_cpu=wall / 4,
    )


def results_of(runs: dict[str, list[Run]]) -> Results:
    return Results(site=dict(OFFER), runs={variant(name): each for name, each in runs.items()})


class Told:
    """What the progress was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, str]] = []
        self.ended = 0

    def begin(self, variant: Variant, turn: int) -> None:
        self.begun.append((turn, variant.name))

    def fetched(self, documents: int) -> None: ...

    def end(self) -> None:
        self.ended += 1


class Ending:
    """The end of a process that need not be a child of this one."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def wait(self) -> None:
        """Return when it has ended; the time limit of the test says that it must."""
        try:
            select.select([self._fd], [], [])
        finally:
            os.close(self._fd)


def family(pid: int) -> list[int]:
    """The descendants of a process, itself not counted."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = [int(child) for child in (thread / "children").read_text().split()]
                found += children
                todo += children
    return found
