"""How many instructions the hot paths take, beside the recorded figures.

    python benchmarks/guard.py                     all paths; status 1 if one grew by more than 3 %
    python benchmarks/guard.py -p 'sock-*'         some of them
    python benchmarks/guard.py --record            write the figures into benchmarks/records instead
    python benchmarks/guard.py --save before.json  write them into a file of your own instead
    python benchmarks/guard.py --against before.json --limit 2
                                                   compare with that file; status 1 above 2 %

Times move by more than a change is worth; instruction counts hardly move at all. valgrind counts
them. What an operation takes is the slope between a short and a long run, so that what happens once
is left out. The figure that is guarded is the share of our extension: the interpreter's own depends
on how that Python was built, and is shown for what a change moves there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import callgrind
import harness
import machine
import options as choices
from child import HERE, Failed, last_line, python_command, running
from guard_child import MARK
from guard_paths import HOT_PATHS, HotPath
from options import Lacking, Wrong
from report import print_table

LIMIT = 0.03
"""By how much of itself a figure may move, unless `--limit` says otherwise."""
STEADY = 0.01
"""By how much the rounds of one run may differ before its figure is doubtful."""
SILENCE = 300.0
"""How many seconds a path may take; a hundred times what it needs on an idle machine."""
EXTENSION = re.compile(r"/_aioxide\.[^/]*\.so$")
_RUSTC = re.compile(rb"rustc version (\d+\.\d+\.\d+[\w.-]*)")


@dataclass(frozen=True)
class Figure:
    """Instructions per operation."""

    extension: float
    """In the extension module."""
    process: float
    """In all of the process: with the interpreter, libc and the rest. The kernel is in neither."""
    spread: float
    """Largest distance of two rounds, as a share of the extension's figure."""


def slope(short: Counter[str], long: Counter[str], operations: int) -> tuple[float, float]:
    """What an operation takes in the extension and in all, when one run has `operations` more."""
    more = Counter(long)
    more.subtract(short)
    own = sum(count for name, count in more.items() if EXTENSION.search(name))
    return own / operations, more.total() / operations


def figure(rounds: Sequence[tuple[float, float]]) -> Figure:
    """The mean of the rounds' slopes."""
    own = [each[0] for each in rounds]
    middle = statistics.fmean(own)
    return Figure(
        round(middle, 1),
        round(statistics.fmean(each[1] for each in rounds), 1),
        round((max(own) - min(own)) / middle, 4) if middle else 0.0,
    )


def _dump(folder: Path, number: int) -> Counter[str]:
    with open(folder / f"dump.{number}") as lines:
        return callgrind.instructions(lines)


def figure_of(path: HotPath, dumps: Sequence[tuple[int, int]], folder: Path) -> Figure:
    """The figure of a path whose short and long runs left these dumps."""
    return figure(
        [
            slope(_dump(folder, short), _dump(folder, long), path.many - path.few)
            for short, long in dumps
        ]
    )


def valgrind() -> str:
    """The version of valgrind."""
    found = shutil.which("valgrind")
    if found is None:
        raise Lacking(
            "valgrind not found, which counts the instructions: install it"
            " (Debian and Ubuntu: apt install valgrind)."
        )
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lacking(f"valgrind does not start: {last_line(done.stderr)}")
    return done.stdout.strip().removeprefix("valgrind-")


def build_clock(folder: Path) -> Path:
    """The clock that counts the loop's readings, to be preloaded; see guard_clock.c."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise Lacking(
            "no C compiler, which builds the clock of the measured process: install one"
            " (Debian and Ubuntu: apt install build-essential)."
        )
    built, source = folder / "clock.so", HERE / "guard_clock.c"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(built), str(source), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lacking(f"{source.name} does not compile: {last_line(done.stderr)}")
    return built


def measure(names: Sequence[str], tell: Callable[[str], None]) -> dict[str, Figure]:
    """Count all of these paths, in one process."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="aioxide-guard-") as made:
        folder = Path(made)
        command = [
            "valgrind",
            "--quiet",
            f"--log-file={folder / 'log'}",
            "--tool=callgrind",
            f"--dump-before={MARK}",
            "--dump-line=no",
            f"--callgrind-out-file={folder / 'dump'}",
            *python_command("guard_child", *names),
        ]
        # Strings that are keys fall into the same places of their dicts each time.
        fixed = {"PYTHONHASHSEED": "0", "LD_PRELOAD": str(build_clock(folder))}
        with running(command, **fixed) as child:
            for name in names:
                tell(name)
                said = json.loads(child.line(SILENCE))
                figures[name] = figure_of(HOT_PATHS[name], said["dumps"], folder)
    return figures


# Comparison


@dataclass(frozen=True)
class Row:
    """A path with what was recorded of it, if it was, and what it takes now."""

    name: str
    recorded: Figure | None
    now: Figure
    limit: float = LIMIT

    @property
    def change(self) -> float | None:
        """Of the extension's figure, as a share of what was recorded."""
        return share(self.recorded.extension, self.now.extension) if self.recorded else None

    @property
    def process_change(self) -> float | None:
        return share(self.recorded.process, self.now.process) if self.recorded else None

    @property
    def verdict(self) -> str:
        """`grew`, `shrank`, `new` or nothing."""
        if self.change is None:
            return "new"
        if abs(self.change) <= self.limit:
            return ""
        return "grew" if self.change > 0 else "shrank"


def share(before: float, now: float) -> float | None:
    """By how much of `before` it moved; None where that was nothing."""
    return (now - before) / before if before else None


def compare(
    recorded: Mapping[str, Figure], now: Mapping[str, Figure], limit: float = LIMIT
) -> list[Row]:
    return [Row(name, recorded.get(name), each, limit) for name, each in now.items()]


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Head and body for `print_table`: the extension first, the whole process below it."""
    body = [
        [
            (HOT_PATHS[row.name].title, "the whole process"),
            counts(row.recorded),
            counts(row.now),
            (percent(row.change), percent(row.process_change)),
            (row.verdict, ""),
        ]
        for row in rows
    ]
    return ["instructions per operation", "recorded", "now", "change", ""], body


def counts(figure: Figure | None) -> tuple[str, str]:
    return (f"{figure.extension:,.0f}", f"{figure.process:,.0f}") if figure else ("", "")


def percent(change: float | None) -> str:
    return "" if change is None else f"{change:+.1%}"


def remarks(rows: Sequence[Row], limit: float = LIMIT) -> list[str]:
    """What the table means, in sentences."""
    allowed = f"{100 * limit:g}%"
    grew = [row.name for row in rows if row.verdict == "grew"]
    shrank = [row.name for row in rows if row.verdict == "shrank"]
    doubtful = [row.name for row in rows if row.now.spread > STEADY]
    said = []
    if doubtful:
        said.append(
            f"Not the same in each round, by more than {STEADY:.0%}: {', '.join(doubtful)}."
        )
    if grew:
        said.append(f"More than {allowed} above the record: {', '.join(grew)}.")
    if shrank:
        said.append(
            f"More than {allowed} below the record: {', '.join(shrank)};"
            " record it if that is what the change is for (--record)."
        )
    if not grew and not shrank:
        said.append(f"Nothing moved by more than {allowed}.")
    return said


# The record


def record_path(version: str) -> Path:
    """Where the record of a Python is: one for each minor version."""
    minor = ".".join(version.split(".")[:2])
    return HERE / "records" / f"instructions-{minor}.json"


def rustc_of(extension: Path) -> str | None:
    """The compiler that left its name in the extension."""
    found = _RUSTC.search(extension.read_bytes())
    return found[1].decode() if found else None


def tools(valgrind_version: str) -> dict[str, Any]:
    """What the figures depend on, besides the source."""
    import aioxide._aioxide as extension

    python = machine.python_record()
    return {
        "python": python["version"],
        "python_compiler": python["compiler"],
        "python_configure": python["configure"],
        "valgrind": valgrind_version,
        "rustc": rustc_of(Path(extension.__file__)),
    }


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what the record was made otherwise than the figures it is compared with."""
    return [
        f"The record was made with {name.replace('_', ' ')} {recorded.get(name)},"
        f" this is {value}: figures may differ for that alone."
        for name, value in now.items()
        if recorded.get(name) != value
    ]


def write_record(
    target: Path, with_tools: Mapping[str, Any], figures: Mapping[str, Figure]
) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = {
        "benchmark": "instructions",
        "date": today,
        "tools": with_tools,
        "paths": {name: asdict(each) for name, each in figures.items()},
    }
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(text, indent=1) + "\n")


def read_record(target: Path) -> tuple[dict[str, Any], dict[str, Figure]]:
    """The tools and the figures of a record."""
    try:
        text = json.loads(target.read_text())
        return text["tools"], {name: Figure(**each) for name, each in text["paths"].items()}
    except FileNotFoundError:
        raise Wrong(
            f"no record of this Python ({target.name}): write one from a commit that you trust"
            " (make bench-guard BENCH_ARGS=--record)."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"{target.name} is no record of this program: {error!r}") from None


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Instructions per operation of the hot paths, beside the record."
    )
    parser.add_argument("-p", "--path", action="append", metavar="GLOB", help="only these paths")
    parser.add_argument("--list", action="store_true", help="name the paths and stop")
    parser.add_argument(
        "--limit",
        type=_percent,
        default=LIMIT,
        metavar="PERCENT",
        help=f"how much a path may grow (default {100 * LIMIT:g})",
    )
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="compare with this file of --save"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--record", action="store_true", help="write the figures into benchmarks/records"
    )
    target.add_argument("--save", type=Path, metavar="FILE", help="write the figures into FILE")
    return parser


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is no percentage from 0 to 100")
    return number / 100


def run(options: argparse.Namespace) -> int:
    """Measure what the options ask for; the exit status."""
    if options.record and options.path:
        raise Wrong("a record is of all paths: --record goes without --path")
    names = choices.select(options.path, list(HOT_PATHS), "path")
    with_tools = tools(valgrind())
    target = options.save or record_path(with_tools["python"])
    writes = bool(options.record or options.save)
    if writes and options.against:
        raise Wrong("--against compares, and --record and --save write: use one of them")
    old_tools: dict[str, Any] = {}
    old: dict[str, Figure] = {}
    if not writes:
        old_tools, old = read_record(options.against or target)
    progress = harness.Progress(len(names), 1)
    try:
        figures = measure(names, lambda name: progress.step(0, name))
    finally:
        progress.close()
    rows = compare(old, figures, options.limit)
    print_table(*table(rows), sys.stdout)
    if writes:
        write_record(target, with_tools, figures)
        sys.stdout.write(f"record: {target}\n")
        return 0
    for sentence in [*remarks(rows, options.limit), *differences(old_tools, with_tools)]:
        sys.stdout.write(sentence + "\n")
    return 1 if any(row.verdict == "grew" for row in rows) else 0


def main() -> int:
    options = arguments().parse_args()
    if options.list:
        for each in HOT_PATHS.values():
            sys.stdout.write(f"{each.name:24}{each.title}\n")
        return 0
    try:
        with choices.explained():
            return run(options)
    except Failed as error:
        sys.stderr.write(f"guard.py: failed: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
