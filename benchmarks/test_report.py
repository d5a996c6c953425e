"""Statistics, table and record of a run, and what a command line may choose."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

import machine
import options as choices
import report
import scheduling
from child import Failed
from harness import Cell, Cells
from implementations import Implementation
from spread import Spread, paired_ratio, spread

if TYPE_CHECKING:
    from pathlib import Path


def finished(cells: Cells) -> report.Report:
    return report.Report(
        benchmark=dataclasses.replace(scheduling.BENCHMARK, key="ns"),
        titles={row: row.title() for row in cells},
        cells=cells,
        missing={"rsloop": "not installed"},
        settings={"rounds": 2, "quick": False},
        where=machine.describe(),
        neighbours=machine.Neighbours().record(),
    )


def two_columns() -> Cells:
    return {
        "chain": {
            "uvloop": Cell([{"ns": 600.0}, {"ns": 610.0}]),
            "aioxide": Cell([{"ns": 100.0}, {"ns": 122.0}]),
        }
    }


def published(made: report.Report, **given: Any) -> tuple[int, str]:
    out = io.StringIO()
    wanted = argparse.Namespace(**({"json": None, "record": False} | given))
    return report.publish(made, wanted, out), out.getvalue()


def test_ratio_is_paired_within_the_round() -> None:
    """A round in which all is twice as slow changes the figures, not the ratio."""
    assert paired_ratio([100.0, 200.0, 100.0], [50.0, 100.0, 40.0]) == Spread(2.0, 2.0, 2.5)


def test_ratio_needs_both_in_the_round() -> None:
    assert paired_ratio([100.0, None, 300.0], [None, 20.0, 100.0]) == Spread(3, 3, 3)
    assert paired_ratio([], [1.0]) is None


def test_spread_of_nothing() -> None:
    assert spread([None, None]) is None
    assert spread([3.0, None, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_record_keeps_raw_rounds_and_names_no_host() -> None:
    record = json.loads(json.dumps(finished(two_columns()).record()))
    measured = record["rows"][0]["implementations"]["aioxide"]
    assert measured["rounds"] == [{"ns": 100.0}, {"ns": 122.0}]
    assert measured["ratio_over_uvloop"] == {"median": 5.5, "low": 5.0, "high": 6.0}
    assert {"date", "machine", "python", "packages", "neighbours", "settings"} <= set(record)
    assert not [flag for flag in record["python"]["configure"] if "/" in flag]


def test_record_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    status, _ = published(finished(two_columns()), json=str(tmp_path / "record.json"))
    assert status == 0
    assert json.loads((tmp_path / "record.json").read_text())["rows"][0]["name"] == "chain"


@pytest.mark.parametrize("with_rich", [True, False])
def test_table_shows_every_figure(monkeypatch: pytest.MonkeyPatch, with_rich: bool) -> None:
    if with_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    _, text = published(finished(two_columns()))
    for part in ("Chain", "605 ns", "600 to 610", "111 ns", "5.50x (5.00 to 6.00)"):
        assert part in text


def test_a_load_that_was_busier_than_the_server_is_marked() -> None:
    cells: Cells = {"x": {"uvloop": Cell([{"ns": 7.0, "load_share": 0.97}])}}
    _, text = published(finished(cells))
    assert "7.00 ns *" in text
    assert "* The load generator used more than 90% of its core." in text
    cells["x"]["uvloop"].rounds = [{"ns": 7.0, "load_share": 0.6}]
    assert "*" not in published(finished(cells))[1]


def test_a_failure_of_ours_is_the_exit_status_and_that_of_a_peer_is_told() -> None:
    cells = two_columns()
    cells["chain"]["rloop"] = Cell([None, None], "a callback was lost")
    status, text = published(finished(cells))
    assert status == 0
    assert "FAILED chain on rloop: a callback was lost" in text
    cells["chain"]["aioxide"].error = "a task was lost"
    assert published(finished(cells))[0] == 1


def test_what_a_loop_does_not_have_is_no_failure() -> None:
    cells = two_columns()
    cells["chain"]["rloop"] = Cell([None, None], "NotImplementedError: sendfile")
    status, text = published(finished(cells))
    assert status == 0
    assert "not there" in text
    assert "FAILED" not in text


def test_select_keeps_the_order_and_refuses_unknown_names() -> None:
    names = ["timer-a", "task", "timer-b"]
    assert choices.select(["timer-b", "t*-a"], names, "row") == ["timer-a", "timer-b"]
    assert choices.select(None, names, "row") == names
    with pytest.raises(choices.Wrong, match="no row is called 'queue'"):
        choices.select(["queue"], names, "row")


def test_what_does_not_run_here_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_python(_module: str, name: str) -> None:
        if name == "uvloop":
            raise Failed("ImportError: no such symbol")

    monkeypatch.setattr(choices, "run_python", run_python)
    monkeypatch.setattr(
        Implementation, "version", lambda self: None if self.name == "rloop" else "1"
    )
    here, missing = choices.available(["asyncio", "uvloop", "rloop"])
    assert here == ["asyncio"]
    assert missing == {"uvloop": "ImportError: no such symbol", "rloop": "not installed"}
