"""Alternation, statistics, record and table of the benchmarks."""

from __future__ import annotations

import io
import json
import sys

import pytest

import harness
import machine
from child import Failed
from implementations import Implementation


class Quiet(harness.Progress):
    def __init__(self) -> None:
        super().__init__(1, 1, io.StringIO())


def report(cells: harness.Cells) -> harness.Report:
    return harness.Report(
        benchmark="scheduling",
        titles={row: row.title() for row in cells},
        cells=cells,
        key="ns",
        unit="ns",
        missing={"rsloop": "not installed"},
        settings={},
        where=machine.describe(),
        neighbours=machine.Neighbours().record(),
        legend="CPU time per operation",
    )


def test_implementations_take_turns_round_by_round() -> None:
    order: list[tuple[str, str]] = []

    def measure(row: str, column: str) -> harness.Values:
        order.append((row, column))
        return {"ns": 1.0}

    harness.alternate(
        ["x", "y"], {"x": ["A", "B"], "y": ["A"]}, 2, harness.one_by_one(measure), Quiet()
    )
    assert order == [("x", "A"), ("x", "B"), ("y", "A")] * 2


def test_failure_is_kept_and_not_tried_again() -> None:
    tries = 0

    def measure(_row: str, column: str) -> harness.Values:
        nonlocal tries
        if column == "B":
            tries += 1
            raise Failed("a callback was lost")
        return {"ns": 1.0}

    cells = harness.alternate(["x"], {"x": ["A", "B"]}, 3, harness.one_by_one(measure), Quiet())
    assert tries == 1
    assert cells["x"]["B"] == harness.Cell([None] * 3, "a callback was lost")
    assert report(cells).errors() == ["x on B: a callback was lost"]
    assert report(cells).text_of("x", "B")[0] == "failed"


def test_interrupt_keeps_the_rounds_that_were_whole() -> None:
    measured = 0

    def measure(_row: str, column: str) -> harness.Values:
        nonlocal measured
        measured += 1
        if measured == 4:
            raise KeyboardInterrupt
        return {"ns": 5.0}

    cells = harness.alternate(["x"], {"x": ["A", "B"]}, 3, harness.one_by_one(measure), Quiet())
    assert cells["x"]["A"].figures("ns") == cells["x"]["B"].figures("ns") == [5.0]


def test_ratio_is_paired_within_the_round() -> None:
    """A round in which all is twice as slow changes the figures, not the ratio."""
    ratio = harness.paired_ratio([100.0, 200.0, 100.0], [50.0, 100.0, 40.0])
    assert ratio == harness.Spread(2.0, 2.0, 2.5)


def test_ratio_needs_both_in_the_round() -> None:
    assert harness.paired_ratio([100.0, None, 300.0], [None, 20.0, 100.0]) == harness.Spread(
        3, 3, 3
    )
    assert harness.paired_ratio([], [1.0]) is None


def test_spread_of_nothing() -> None:
    assert harness.spread([None, None]) is None
    assert harness.spread([3.0, None, 1.0, 2.0]) == harness.Spread(2.0, 1.0, 3.0)


def two_columns() -> harness.Cells:
    return {
        "chain": {
            "uvloop": harness.Cell([{"ns": 600.0}, {"ns": 610.0}]),
            "aioxide": harness.Cell([{"ns": 100.0}, {"ns": 122.0}]),
        }
    }


def test_record_keeps_raw_rounds_and_names_no_host() -> None:
    record = json.loads(json.dumps(report(two_columns()).record()))
    measured = record["rows"][0]["implementations"]["aioxide"]
    assert measured["rounds"] == [{"ns": 100.0}, {"ns": 122.0}]
    assert measured["ratio_over_uvloop"] == {"median": 5.5, "low": 5.0, "high": 6.0}
    assert {"date", "machine", "python", "packages", "neighbours", "settings"} <= set(record)
    assert not [flag for flag in record["python"]["configure"] if "/" in flag]


@pytest.mark.parametrize("with_rich", [True, False])
def test_table_shows_every_figure(monkeypatch: pytest.MonkeyPatch, with_rich: bool) -> None:
    if with_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    out = io.StringIO()
    harness.print_table(*report(two_columns()).table(), out)
    text = out.getvalue()
    for part in ("Chain", "605 ns", "600 to 610", "111 ns", "5.50x (5.00 to 6.00)"):
        assert part in text


def test_select_keeps_the_order_and_refuses_unknown_names() -> None:
    names = ["timer-a", "task", "timer-b"]
    assert harness.select(["timer-b", "t*-a"], names, "row") == ["timer-a", "timer-b"]
    assert harness.select(None, names, "row") == names
    with pytest.raises(SystemExit, match="no row is called 'queue'"):
        harness.select(["queue"], names, "row")


def test_what_does_not_run_here_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_python(_module: str, name: str) -> None:
        if name == "uvloop":
            raise Failed("ImportError: no such symbol")

    monkeypatch.setattr(harness, "run_python", run_python)
    monkeypatch.setattr(
        Implementation, "version", lambda self: None if self.name == "rloop" else "1"
    )
    here, missing = harness.available(["asyncio", "uvloop", "rloop"])
    assert here == ["asyncio"]
    assert missing == {"uvloop": "ImportError: no such symbol", "rloop": "not installed"}
