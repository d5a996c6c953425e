"""The scheduling benchmark of the source repository, in its short form."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .child import GRACE, ChildFailed
from .interrupts import interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIMIT = 180.0  # seconds; it has a time limit of its own for each measurement
ROUNDS = 1  # each has several slices


@dataclass(frozen=True)
class Row:
    """A workload: CPU nanoseconds per operation and times less than uvloop, by implementation."""

    title: str
    nanoseconds: dict[str, float]
    ratios: dict[str, float]


@dataclass(frozen=True)
class Scheduling:
    """The table, what is not in it and why, and the record that it was read from."""

    rows: list[Row]
    gaps: list[str]
    record: dict[str, Any]


def measure(script: Path, implementations: Sequence[str]) -> Scheduling:
    """Run the benchmark on these implementations; raises ChildFailed where it gives no table."""
    words = [sys.executable, str(script), "--quick", "--rounds", str(ROUNDS), "--json", "-"]
    for name in implementations:
        words += ["--impl", name]
    with interrupts.held():
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        out, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"{script.name} did not end within {LIMIT:g} seconds") from None
    finally:
        with interrupts.held():
            _stop(process)
    try:
        return read(json.loads(out))
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        last = lines[-1] if lines else "no message"
        raise ChildFailed(f"{script.name} gave no record: {last}") from None


def _stop(process: subprocess.Popen[str]) -> None:
    """End it with the measurements that it has started, all in the session made for it."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def read(record: dict[str, Any]) -> Scheduling:
    """The table of a record; what failed is left out of its row."""
    rows, gaps = [], [f"{name}: {reason}" for name, reason in record["missing"].items()]
    for row in record["rows"]:
        columns = row["implementations"]
        nanoseconds = _medians(columns, "ns_per_operation")
        rows.append(Row(row["title"], nanoseconds, _medians(columns, "ratio_over_uvloop")))
        gaps += [
            f"{row['title']} on {name}: {each['error']}"
            for name, each in columns.items()
            if each["error"] is not None
        ]
    return Scheduling(rows, gaps, record)


def _medians(columns: dict[str, Any], key: str) -> dict[str, float]:
    return {name: each[key]["median"] for name, each in columns.items() if each[key] is not None}
