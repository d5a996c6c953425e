"""Child processes of the benchmarks: what they say, and what becomes of those that do not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import child
import looped
from child import Failed, running
from workloads import WORKLOADS

CHILD = "loop_child"


def test_slices_are_whole_operations_of_the_workload() -> None:
    command = child.python_command(
        CHILD, "workloads", "call-soon-arg", "asyncio", "--seconds", "0.002"
    )
    with running(command) as measured:
        operations = json.loads(measured.line(20))["operations"]
        assert operations > 0
        assert operations % WORKLOADS["call-soon-arg"].unit == 0
        for _ in range(2):
            measured.say()
            assert json.loads(measured.line(20))["cpu_ns"] > 0


def test_session_adds_up_its_slices() -> None:
    command = child.python_command(CHILD, "workloads", "task-one", "asyncio", "--seconds", "0.005")
    with running(command) as measured:
        session = looped.Session(measured)
        for _ in range(4):
            session.slice()
        values = session.result()
    operations = values["operations_per_slice"] * values["slices"]
    assert values["slices"] == 4
    assert values["ns_per_operation"] == values["cpu_ns"] / operations


LOSSY = f"""
import asyncio, sys
sys.path.insert(0, {str(child.HERE)!r})
import loop_child

class Lossy(asyncio.SelectorEventLoop):
    given = 0
    def call_soon(self, callback, *args, context=None):
        handle = super().call_soon(callback, *args, context=context)
        if getattr(callback, "__name__", "") == "callback":
            Lossy.given += 1
            if Lossy.given % 100 == 0:
                handle.cancel()
        return handle

asyncio.new_event_loop = Lossy
loop_child.main()
"""


def test_wrong_result_of_a_workload_is_the_reason(tmp_path: Path) -> None:
    """A loop that loses callbacks, measured through the real child."""
    program = tmp_path / "lossy.py"
    program.write_text(LOSSY)
    arguments = ["workloads", "call-soon-burst", "asyncio", "--seconds", "0.001"]
    with (
        running([sys.executable, str(program), *arguments]) as measured,
        pytest.raises(Failed, match="WrongResult: 99000 callbacks ran, 100000 were scheduled"),
    ):
        looped.answer(measured)


def test_debug_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "environment", lambda: {"PYTHONASYNCIODEBUG": "1"})
    command = child.python_command(CHILD, "workloads", "task-one", "asyncio")
    with running(command) as measured, pytest.raises(Failed, match="debug mode"):
        looped.answer(measured)


def test_environment_that_slows_python_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("PYTHONMALLOC", "debug")
    assert not [name for name in child.environment() if name.startswith("PYTHON")]


def test_probe_passes_where_the_loop_opens() -> None:
    child.run_python("implementations", "asyncio")


def test_probe_that_takes_too_long_is_a_failure() -> None:
    with pytest.raises(Failed, match="no result within"):
        child.run_python("implementations", "asyncio", limit=0.001)


def test_probe_says_why_a_loop_does_not_open() -> None:
    with pytest.raises(Failed, match="KeyError: 'nothing'"):
        child.run_python("implementations", "nothing")


def test_silent_child_is_a_failure() -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with running(command) as child, pytest.raises(Failed, match=r"silent for 0.05 s"):
        child.line(0.05)


def test_reason_of_a_dead_child_is_its_last_word() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such loop')"]
    with running(command) as child, pytest.raises(Failed, match="no such loop"):
        child.line(10)
