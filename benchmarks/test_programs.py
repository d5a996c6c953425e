"""What programs.py measures: runs of examples, each checked against the first."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import child
import programs
from benchmark import Setting
from child import running

if TYPE_CHECKING:
    import argparse

CHILD = "programs_child"


def test_every_example_with_the_option_is_a_row() -> None:
    titles = programs.programs()
    assert len(titles) >= 10
    assert titles["timeouts"].startswith("Timeouts and cancellation")
    assert "producer_consumer" not in titles  # runs on aioxide only


@pytest.mark.parametrize("implementation", ["asyncio", "aioxide", "aioxide-loop"])
def test_runs_are_those_of_the_example(implementation: str) -> None:
    """Its `main` runs, again and again, and what it prints is not in the way."""
    with running(child.python_command(CHILD, "dependent_tasks", implementation)) as measured:
        assert json.loads(measured.line(20)) == {"lines": 12}
        for _ in range(2):
            measured.say()
            times = json.loads(measured.line(20))
            assert times["cpu_ns"] > 0
            assert times["wall_ns"] > 0


def test_main_that_is_no_coroutine_is_given_the_loop_factory() -> None:
    with running(child.python_command(CHILD, "background_loop", "asyncio")) as measured:
        assert json.loads(measured.line(20)) == {"lines": 6}


def test_result_is_the_median_of_the_runs(options: argparse.Namespace) -> None:
    row = programs.BENCHMARK.rows["timeouts"]
    setting = Setting(0.0, 1, None, None, options)
    with contextlib.ExitStack() as stack:
        session = programs.BENCHMARK.open_session(stack, setting, row, "asyncio")
        for _ in range(3):
            session.slice()
        values = session.result()
    assert values["runs"] == 3
    assert values["cpu_ms"] > 0
    assert values["wall_ms"] > 0


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
