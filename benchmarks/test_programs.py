"""What programs.py measures: runs of examples, each checked against the first."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys

import pytest

import child
import programs
from benchmark import Setting, main
from child import running

CHILD = "programs_child"


def test_every_example_with_the_option_is_a_row() -> None:
    rows = programs.BENCHMARK.rows
    assert len(rows) >= 10
    assert rows["timeouts"].title == "Timeouts and cancellation"
    assert "producer_consumer" not in rows  # runs on aioxide only


def test_example_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(programs.BENCHMARK, ["-w", "timeout"])
    assert ended.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "no row is called 'timeout'; there are: async_generators, " in said


@pytest.mark.parametrize("implementation", ["asyncio", "aioxide", "aioxide-loop"])
def test_runs_are_those_of_the_example(implementation: str) -> None:
    """Its `main` runs, again and again, and what it prints is not in the way."""
    with running(child.python_command(CHILD, "dependent_tasks", implementation)) as measured:
        assert json.loads(measured.line(20)) == {"operations": 1, "lines": 12}
        for _ in range(2):
            measured.say()
            times = json.loads(measured.line(20))
            assert times["cpu_ns"] > 0
            assert times["wall_ns"] > 0


def test_main_that_is_no_coroutine_is_given_the_loop_factory() -> None:
    with running(child.python_command(CHILD, "background_loop", "asyncio")) as measured:
        assert json.loads(measured.line(20)) == {"operations": 1, "lines": 6}


def test_figure_is_the_time_of_one_run() -> None:
    setting = Setting(1, 1, None, None, argparse.Namespace())
    row = next(each for each in programs.programs() if each.name == "timeouts")
    with contextlib.ExitStack() as stack:
        session = programs.open_session(stack, setting, row, "asyncio")
        for _ in range(3):
            session.slice()
        values = session.result()
    assert values["slices"] == 3
    assert values["cpu_ms"] == pytest.approx(values["cpu_ns"] / 3e6)
    assert values["wall_ms"] == pytest.approx(values["wall_ns"] / 3e6)
    assert values["cpu_ms"] > 0


UNSTEADY = f"""
import sys
sys.path.insert(0, {str(child.HERE)!r})
import programs_child

turns = iter("ab")
programs_child.load = lambda *_: lambda: print(next(turns))
programs_child.serve("timeouts", None)
"""


def test_another_output_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNSTEADY], input="\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "printed something else than the first time: 'b" in done.stderr
