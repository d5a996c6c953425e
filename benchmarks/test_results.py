"""The page of the benchmarks is what the records say, and hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import charts
import results
import suite
from verdict import losses

ROOT = Path(__file__).resolve().parent.parent


def record(benchmark: str = "echo", **changes: Any) -> dict[str, Any]:
    """A record of two rows: one won, one lost to uvloop and rloop."""

    def cell(*figures: float, share: float = 0.5, error: str | None = None) -> dict[str, Any]:
        rounds = [{"us": each, "load_share": share} for each in figures]
        return {"us": None, "error": error, "rounds": rounds or [None]}

    made: dict[str, Any] = {
        "benchmark": benchmark,
        "title": "Echo servers",
        "about": "Messages go round.",
        "key": "us",
        "unit": "µs",
        "legend": "CPU time per message",
        "baseline": "uvloop",
        "floor": "rust-epoll",
        "detail": {"template": "{} busy", "keys": ["load_share"]},
        "date": "2026-11-20T10:00:00+00:00",
        "machine": {"cpu": "AMD EPYC", "cpus": 2, "kernel": "Linux 6.18.44-cloud"},
        "python": {"version": "3.13.0"},
        "packages": {"uvloop": "0.23.0", "aioxide": "0.1.0"},
        "neighbours": {"used_by_others": 0.04, "stolen": 0.0},
        "settings": {"rounds": 3, "quick": False},
        "missing": {},
        "rows": [
            {
                "name": "protocol-64B-100",
                "title": "Protocol, 100 x 64 B",
                "implementations": {
                    "asyncio": cell(9, 9, 9),
                    "uvloop": cell(6, 6, 6),
                    "rloop": cell(error="NotImplementedError"),
                    "aioxide": cell(4, 4, 4, share=0.95),
                    "rust-epoll": cell(3, 3, 3),
                },
            },
            {
                "name": "streams-64B-100",
                "title": "streams, 100 x 64 B",
                "implementations": {
                    "asyncio": cell(9, 9, 9),
                    "uvloop": cell(6, 6, 10),
                    "rloop": cell(4, 4, 4),
                    "aioxide": cell(8, 8, 8),
                    "aioxide-loop": cell(5, 5, 5),
                },
            },
        ],
    }
    return made | changes


def test_the_page_in_the_repository_is_of_the_records_in_it() -> None:
    assert results.stale(ROOT) == []


def test_lost_rows_are_those_in_which_any_peer_needed_less() -> None:
    """Neither the floor nor another way to use aioxide is a peer."""
    found = list(losses(record()))
    assert [(loss.row, loss.peer) for loss in found] == [
        ("streams-64B-100", "rloop"),
        ("streams-64B-100", "uvloop"),
    ]
    assert [loss.certain for loss in found] == [True, False]
    assert [loss.ratio.median for loss in found] == [0.5, 0.75]


def test_lost_rows_stand_at_the_top_and_are_marked() -> None:
    page = results.page([record()])
    top = page[: page.index("## Echo servers")]
    assert "| streams, 100 x 64 B | Echo servers, Python 3.13 | rloop | 2.00 times as much" in top
    assert "| 1.33 times as much | within the spread |" in top
    assert top.index("rloop | 2.00") < top.index("uvloop | 1.33")
    assert "| ▼ streams, 100 x 64 B |" in page
    assert "| Protocol, 100 x 64 B |" in page


def test_a_page_without_a_loss_says_so() -> None:
    won = record()
    won["rows"] = won["rows"][:1]
    assert "## Where aioxide is behind\n\nIn no row.\n" in results.page([won])


def test_every_row_and_column_is_shown() -> None:
    page = results.page([record()])
    columns = "asyncio | uvloop | rloop | aioxide | rust-epoll | aioxide-loop | aioxide over uvloop"
    assert columns in page
    cells = ["9.00 (0.50 busy)", "6.00 (0.50 busy)", "not there", "4.00* (0.95 busy)"]
    assert " | ".join([*cells, "3.00 (0.50 busy)", "", "1.50x (1.50 to 1.50) |"]) in page


def test_failures_are_told() -> None:
    failed = record()
    failed["rows"][0]["implementations"]["rloop"]["error"] = "a callback was lost"
    page = results.page([failed])
    assert "| failed |" in page
    assert "- Protocol, 100 x 64 B, rloop: a callback was lost" in page


def test_the_newest_record_counts_for_each_python(tmp_path: Path) -> None:
    older = record(date="2026-11-19T10:00:00+00:00")
    newer = record(date="2026-11-21T10:00:00+00:00")
    other = record(date="2026-11-18T10:00:00+00:00", python={"version": "3.14.1"})
    tasks = record("scheduling")
    (tmp_path / "counts.json").write_text('{"benchmark": "of another kind"}')
    for name, each in (("c", older), ("b", newer), ("a", other), ("d", tasks)):
        (tmp_path / f"{name}.json").write_text(json.dumps(each))
    assert results.newest(tmp_path) == [tasks, newer, other]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    marks = f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n"
    (tmp_path / "README.md").write_text(marks)
    results.write(tmp_path, [record()], into_readme=True)
    return tmp_path


def test_what_was_written_is_not_stale(written: Path) -> None:
    assert results.stale(written, [record()]) == []
    text = (written / "README.md").read_text()
    assert text.startswith(f"before\n{results.BEGIN}\n{results.GENERATED}\nCPython 3.13.0, 20 Nov")
    assert text.endswith(f"{results.END}\nafter\n")
    assert "| ▼ streams, 100 x 64 B | 9.00 µs | 6.00 µs | 8.00 µs | 0.75x" in text
    assert "In 1 of its 2 rows a peer needs less" in " ".join(text.split())


def test_a_figure_edited_by_hand_is_found(written: Path) -> None:
    page = written / results.PAGE
    page.write_text(page.read_text().replace("8.00", "5.00"))
    assert results.stale(written, [record()]) == ["docs/benchmarks.md"]


def test_other_records_make_everything_stale(written: Path) -> None:
    other = record()
    other["rows"][1]["implementations"]["aioxide"]["rounds"][0]["us"] = 7.0
    other["rows"][1]["implementations"]["aioxide"]["rounds"][1]["us"] = 7.0
    assert results.stale(written, [other]) == [
        "docs/benchmarks.md",
        "docs/benchmarks-echo.png",
        "README.md",
    ]


def test_marks_that_are_gone_are_an_error() -> None:
    with pytest.raises(SystemExit, match=r"README\.md has no"):
        results.with_table("no marks", "table")


def test_rows_of_the_readme_exist() -> None:
    for name, rows in results.README_ROWS.items():
        assert set(rows) <= set(suite.BENCHMARKS[name].rows)


def test_rows_of_a_chart_say_of_which_python_they_are() -> None:
    other = record(python={"version": "3.14.1"})
    assert charts.rows_of([record()])[0][0] == "Protocol, 100 x 64 B"
    titles = [title for title, _ in charts.rows_of([record(), other])]
    assert titles[0] == "Protocol, 100 x 64 B, 3.13"
    assert titles[len(titles) // 2] == "Protocol, 100 x 64 B, 3.14"


def test_charts_are_of_benchmarks_that_exist() -> None:
    assert {name for chart in charts.CHARTS for name in chart.benchmarks} <= set(suite.BENCHMARKS)
