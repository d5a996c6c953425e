"""The options of `aioxide demo`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STDOUT = Path("-")


@dataclass(frozen=True)
class Options:
    """What to crawl, how often, and where the results go."""

    pages: int
    images: int
    delay_ms: float
    concurrency: int
    rounds: int
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
        description="Crawl a local site on asyncio, uvloop and aioxide, and compare them.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--pages", type=_at_least(1), default=900, metavar="N", help="HTML pages of the site")
    add("--images", type=_at_least(0), default=1800, metavar="N", help="PNG images of the site")
    add("--delay-ms", type=_delay, default=3.0, metavar="MS", help="mean delay of the server")
    add("--concurrency", type=_at_least(1), default=32, metavar="N", help="requests at a time")
    add("--rounds", type=_at_least(1), default=7, metavar="N", help="crawls per implementation")
    add("--output", type=Path, default=Path("aioxide-demo.png"), metavar="PATH", help="the chart")
    add("--json", type=Path, metavar="PATH", help="also write the figures there (- for stdout)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--scheduling", type=_script, metavar="PATH", help="benchmark to run too")
    choice.add_argument("--no-scheduling", action="store_true", help="only crawl")
    given = parser.parse_args(words)
    scheduling = None if given.no_scheduling else given.scheduling or _of_source_tree()
    return Options(
        pages=given.pages,
        images=given.images,
        delay_ms=given.delay_ms,
        concurrency=given.concurrency,
        rounds=given.rounds,
        output=given.output,
        json=given.json,
        scheduling=scheduling,
    )


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, not {value}")
        return value

    return number


def _delay(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"must be between 0 and 10000, not {text}")
    return value


def _script(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return path


def _of_source_tree() -> Path | None:
    """benchmarks/scheduling.py, where the package is used out of its repository."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "scheduling.py"
    return path if path.is_file() else None


def unwritable(path: Path) -> str | None:
    """Why this file cannot be written, found out without touching it; None if it can."""
    if path == STDOUT:
        return None
    if path.is_dir():
        return "it is a directory"
    if path.exists() and not os.access(path, os.W_OK):
        return "no permission"
    try:
        # Permission bits do not tell of read-only file systems and the like; trying does.
        with tempfile.TemporaryFile(dir=path.parent):
            return None
    except OSError as error:
        return error.strerror or str(error)
