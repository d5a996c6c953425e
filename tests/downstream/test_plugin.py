"""The plugin in a process of its own, on a suite made for the occasion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.downstream import session
from tests.downstream.environment import HERE
from tests.downstream.verdicts import OURS

SOURCE = """
import asyncio, os
import pytest

def test_runs(): asyncio.run(asyncio.sleep(0))
def test_fails(): assert asyncio.run(asyncio.sleep(0, 1)) == 2
def test_crashes(): os._exit(3)
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
def test_by_name(): asyncio.SelectorEventLoop().close()
@pytest.mark.parametrize("value", [1])
def test_never_started(value): raise AssertionError
"""


def run(folder: Path, implementation: str, **more: str) -> int:
    """One process of the suite; its exit code."""
    (folder / "test_it.py").write_text(SOURCE)
    (folder / "skip").write_text("test_it.py::test_never_started[1]\n")
    command = [sys.executable, "-m", "pytest", "-p", "aioxide_downstream", "-q", "--rootdir", "."]
    environ = {
        **os.environ,
        "PYTHONPATH": str(HERE / "plugin"),
        "AIOXIDE_DOWNSTREAM_RECORD": str(folder / "record"),
        "AIOXIDE_DOWNSTREAM_IMPLEMENTATION": implementation,
        "AIOXIDE_DOWNSTREAM_SKIP": str(folder / "skip"),
        **more,
    }
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env=environ,
        capture_output=True,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("which", ["asyncio", "aioxide"])
def test_record(tmp_path: Path, which: str) -> None:
    """A crash ends one process and not the run; what it had started is not run again."""
    path = tmp_path / "record"
    assert run(tmp_path, which, AIOXIDE_DOWNSTREAM_BY_NAME="1") == 3
    assert session._ended(path) is False
    assert session._blame(path, "ended with exit code 3") is True
    assert run(tmp_path, which, AIOXIDE_DOWNSTREAM_BY_NAME="1") == 0
    assert session._ended(path) is True
    record = session.read(path)
    assert {name.partition("::")[2]: each.outcome for name, each in record.tests.items()} == {
        "test_runs": "passed",
        "test_fails": "failed",
        "test_crashes": "crashed",
        "test_skipped": "skipped",
        "test_by_name": "passed",
    }
    assert "assert 1 == 2" in record.tests["test_it.py::test_fails"].detail
    assert sum(record.loops.values()) == 3
    assert record.loops.get(OURS, 0) == (3 if which == "aioxide" else 0)


def test_only_some(tmp_path: Path) -> None:
    """The second run of what differed."""
    (tmp_path / "only").write_text("test_it.py::test_by_name\n")
    assert run(tmp_path, "aioxide", AIOXIDE_DOWNSTREAM_ONLY=str(tmp_path / "only")) == 0
    record = session.read(tmp_path / "record")
    assert list(record.tests) == ["test_it.py::test_by_name"]
    # install() replaces the loop that is asked for by name, also without `by_name`.
    assert record.loops == {OURS: 1}


def test_nothing_was_run(tmp_path: Path) -> None:
    """A record that is not there is trouble, not success."""
    assert session.read(tmp_path / "nowhere").trouble == ["no test was run"]
