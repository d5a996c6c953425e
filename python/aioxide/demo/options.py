"""The options of `aioxide demo`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .ways import LOOPS, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STDOUT = Path("-")


@dataclass(frozen=True)
class Options:
    """What to crawl, in which ways, how often, and where the results go."""

    pages: int
    images: int
    delay_ms: float
    port: int
    concurrency: int
    processes: int
    rounds: int
    only: tuple[str, ...]
    list: bool
    output: Path
    json: Path | None
    scheduling: Path | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see `{self.prog} --help`)\n")
        raise SystemExit(2)


def parse(words: Sequence[str]) -> Options:
    """Read the arguments; ends the process with one line and code 2 where they are wrong."""
    parser = _Parser(
        prog="aioxide demo",
        description="The concurrency experiment: crawl a local site in every way that Python has, "
        "and compare them.",
        allow_abbrev=False,
    )
    site = parser.add_argument_group("the site").add_argument
    site(
        "--pages", type=_between(1, 9999), default=60, metavar="N", help="HTML pages (%(default)s)"
    )
    site(
        "--images",
        type=_between(0, 9999),
        default=120,
        metavar="N",
        help="PNG images (%(default)s)",
    )
    site(
        "--delay-ms",
        type=_delay,
        default=10.0,
        metavar="MS",
        help="mean delay of an answer (%(default)s)",
    )
    site(
        "--port",
        type=_between(0, 65535),
        default=0,
        metavar="N",
        help="where it listens (any free port)",
    )
    crawl = parser.add_argument_group("the crawls").add_argument
    crawl("--list", action="store_true", help="list the ways, and crawl nothing")
    crawl(
        "--only",
        type=_names,
        action="extend",
        default=[],
        metavar="WAY[,WAY...]",
        help="only these; WAY@LOOP for one of its event loops",
    )
    crawl(
        "--concurrency",
        type=_between(1, 500),
        default=32,
        metavar="N",
        help="requests at a time: threads, connections, tasks (%(default)s)",
    )
    crawl(
        "--processes",
        type=_between(1, 64),
        default=8,
        metavar="N",
        help="size of a pool of processes (%(default)s); with a loop in each, at most one a core",
    )
    crawl(
        "--rounds",
        type=_between(1, 999),
        default=3,
        metavar="N",
        help="crawls of each way (%(default)s)",
    )
    results = parser.add_argument_group("the results").add_argument
    results(
        "--output",
        type=Path,
        default=Path("aioxide-demo"),
        metavar="FOLDER",
        help="for the chart and the page (%(default)s)",
    )
    results("--json", type=Path, metavar="PATH", help="also write the figures there (- for stdout)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--scheduling", type=_script, metavar="PATH", help="benchmark to run too")
    choice.add_argument("--no-scheduling", action="store_true", help="only crawl")
    given = parser.parse_args(words)
    return Options(
        pages=given.pages,
        images=given.images,
        delay_ms=given.delay_ms,
        port=given.port,
        concurrency=given.concurrency,
        processes=given.processes,
        rounds=given.rounds,
        only=tuple(given.only),
        list=given.list,
        output=given.output,
        json=given.json,
        scheduling=None if given.no_scheduling else given.scheduling or _of_source_tree(),
    )


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}, not {value}")
        return value

    return number


def _delay(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"must be 0 to 10000, not {text}")
    return value


def _names(text: str) -> list[str]:
    names = text.split(",")
    known = {way.name for way in WAYS}
    known |= {f"{way.name}@{loop}" for way in WAYS if way.on_loops for loop in LOOPS}
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no way {name!r}, see --list")
    return names


def _script(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return path


def _of_source_tree() -> Path | None:
    """benchmarks/scheduling.py, where the package is used out of its repository."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "scheduling.py"
    return path if path.is_file() else None


def unwritable_file(path: Path) -> str | None:
    """Why this file cannot be written, found out without touching it; None if it can."""
    if path == STDOUT:
        return None
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not os.access(path, os.W_OK):
        return "no permission"
    return _no_file_in(path.parent)


def unwritable_folder(path: Path) -> str | None:
    """Why no files can be written in this folder, which need not exist yet; None if they can."""
    while not path.exists():
        path = path.parent
    return _no_file_in(path) if path.is_dir() else f"{path} is not a folder"


def _no_file_in(folder: Path) -> str | None:
    try:
        # Permission bits do not tell of read-only file systems and the like; trying does.
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)
