"""The options that all benchmarks have, and what they choose from."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from child import Failed, run_python
from implementations import IMPLEMENTATIONS


class Wrong(Exception):
    """Something that was asked for does not exist; its text says what does."""


class Lacking(Exception):
    """Something that has to be installed first; its text says how."""


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """One line and exit status 2 for wrong input, and for what is not installed."""
    try:
        yield
    except (Wrong, Lacking) as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: {error}\n")
        sys.exit(2)


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def target(text: str) -> str:
    """A file that can be written, looked at before anything is measured; or - for stdout."""
    if text != "-":
        try:
            with open(text, "a"):
                pass
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    return text


def parser(description: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=description)
    found.add_argument(
        "-w", "--workload", action="append", metavar="GLOB", help="only rows of this name"
    )
    found.add_argument(
        "-i", "--impl", action="append", metavar="NAME", help="only these implementations"
    )
    found.add_argument("--rounds", type=count, help="rounds of alternation")
    found.add_argument("--seconds", type=positive, help="length of one measurement")
    found.add_argument("--quick", action="store_true", help="few rows, short measurements")
    found.add_argument(
        "--cpu", type=int, help="core to pin the measured process to (default: the last allowed)"
    )
    found.add_argument("--list", action="store_true", help="name the rows and stop")
    found.add_argument(
        "--json", type=target, metavar="PATH", help="write the record there, - for stdout"
    )
    found.add_argument(
        "--record", action="store_true", help="write the record into benchmarks/records"
    )
    return found


def select(patterns: Sequence[str] | None, names: Sequence[str], what: str) -> list[str]:
    """The names that match one of the patterns, in their own order; all without patterns."""
    for pattern in patterns or ():
        if not fnmatch.filter(names, pattern):
            raise Wrong(f"no {what} is called {pattern!r}; there are: {', '.join(names)}")
    return [
        name for name in names if not patterns or any(fnmatch.fnmatch(name, p) for p in patterns)
    ]


def available(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Which implementations run here, and why the others do not."""
    here: list[str] = []
    missing: dict[str, str] = {}
    for name in wanted:
        if IMPLEMENTATIONS[name].version() is None:
            missing[name] = "not installed"
            continue
        try:
            run_python("implementations", name)
        except Failed as error:
            missing[name] = str(error)
        else:
            here.append(name)
    return here, missing


def measured_cpu(asked: int | None) -> int | None:
    """The core for the measured process; None where pinning is not allowed."""
    allowed = os.sched_getaffinity(0)
    if asked is not None and asked not in allowed:
        raise Wrong(f"core {asked} is not one of the allowed ones: {sorted(allowed)}")
    cpu = max(allowed) if asked is None else asked
    try:
        os.sched_setaffinity(0, {cpu})
        os.sched_setaffinity(0, allowed)
    except OSError:
        return None
    return cpu


def cores(asked: int | None, loaded: bool) -> tuple[int | None, int | None]:
    """The cores for the measured process and for its load; None where nothing can be pinned."""
    cpu = measured_cpu(asked)
    if not loaded:
        return cpu, None
    others = sorted(os.sched_getaffinity(0) - {cpu})
    if cpu is None or not others:
        sys.stderr.write("server and load share what cores there are: nothing pinned\n")
        return None, None
    return cpu, others[0]
