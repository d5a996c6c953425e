"""Child processes of the benchmarks: what they say, and what becomes of those that do not."""

from __future__ import annotations

import json
import sys

import pytest

import child
import scheduling
from child import Failed, running
from workloads import WORKLOADS

CHILD = "scheduling_child"


def test_slices_are_whole_operations_of_the_workload() -> None:
    command = child.python_command(CHILD, "call-soon-arg", "asyncio", "--seconds", "0.002")
    with running(command) as measured:
        operations = json.loads(measured.line(20))["operations"]
        assert operations > 0
        assert operations % WORKLOADS["call-soon-arg"].unit == 0
        for _ in range(2):
            measured.say()
            assert json.loads(measured.line(20))["cpu_ns"] > 0


def test_round_adds_up_the_slices() -> None:
    ((column, values),) = scheduling.Slices(0.02, None)("task-one", ["asyncio"])
    assert column == "asyncio"
    assert not isinstance(values, Failed)
    operations = values["operations_per_slice"] * values["slices"]
    assert values["slices"] == scheduling.SLICES
    assert values["ns_per_operation"] == values["cpu_ns"] / operations


def test_one_failing_implementation_does_not_spoil_the_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(scheduling.Slices):
        def command(self, row: str, column: str) -> list[str]:
            if column == "broken":
                return [sys.executable, "-c", "raise SystemExit('lost a callback')"]
            return super().command(row, column)

    outcomes = dict(Broken(0.02, None)("task-one", ["broken", "asyncio"]))
    assert str(outcomes["broken"]) == "lost a callback"
    assert not isinstance(outcomes["asyncio"], Failed)


def test_debug_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "environment", lambda: {"PYTHONASYNCIODEBUG": "1"})
    command = child.python_command(CHILD, "task-one", "asyncio")
    with running(command) as measured, pytest.raises(Failed, match="debug mode"):
        measured.line(20)


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
