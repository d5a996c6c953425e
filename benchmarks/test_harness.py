"""Alternation, statistics, record and table of the benchmarks."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

import harness
import machine
from child import Failed
from implementations import Implementation

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator, Sequence


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


class Recorded:
    """A session that writes down its slices, and fails in the given one."""

    def __init__(self, log: list[str], name: str, fails_in: int) -> None:
        self.log, self.name, self.left = log, name, fails_in

    def slice(self) -> None:
        self.left -= 1
        if not self.left:
            raise Failed("a callback was lost")
        self.log.append(self.name)

    def result(self) -> harness.Values:
        return {"ns": float(self.log.count(self.name))}


def recorded(log: list[str], slices: int, fails_in: dict[str, int] | None = None) -> harness.Round:
    def open_session(_stack: contextlib.ExitStack, _row: str, column: str) -> Recorded:
        log.append(f"open {column}")
        if column == "absent":
            raise Failed("no such loop")
        return Recorded(log, column, (fails_in or {}).get(column, -1))

    return harness.in_slices(open_session, lambda _row: slices)


def test_implementations_take_turns_by_slices_and_rounds() -> None:
    log: list[str] = []
    harness.alternate(["x"], {"x": ["A", "B"]}, 2, recorded(log, 3), Quiet())
    assert log == ["open A", "open B", *["A", "B"] * 3] * 2


def test_failure_is_kept_and_not_tried_again() -> None:
    log: list[str] = []
    columns = {"x": ["A", "absent", "B"]}
    cells = harness.alternate(["x"], columns, 2, recorded(log, 3, {"B": 2}), Quiet())
    assert log == ["open A", "open absent", "open B", "A", "B", "A", "A", "open A", *["A"] * 3]
    assert cells["x"]["B"] == harness.Cell([None] * 2, "a callback was lost")
    assert report(cells).errors() == ["x on absent: no such loop", "x on B: a callback was lost"]
    assert report(cells).text_of("x", "B")[0] == "failed"
    assert cells["x"]["A"].error is None


def test_interrupt_keeps_the_rounds_that_were_whole() -> None:
    rounds = 0

    def measure_round(
        _row: str, columns: Sequence[str]
    ) -> Iterator[tuple[str, harness.Values | Failed]]:
        nonlocal rounds
        rounds += 1
        yield columns[0], {"ns": 5.0}
        if rounds == 2:
            raise KeyboardInterrupt
        yield columns[1], {"ns": 5.0}

    cells = harness.alternate(["x"], {"x": ["A", "B"]}, 3, measure_round, Quiet())
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
