"""The chart, the page and the scheduling table, from made-up figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")

from aioxide.demo import chart, scheduling
from aioxide.demo.child import ChildFailed
from aioxide.demo.page import page
from aioxide.demo.ways import LOOPS
from demo_helpers import RECORD, results_of, run, variant

if TYPE_CHECKING:
    from aioxide.demo.results import Results

NAMES = ["blocking", *(f"asyncio-streams@{loop}" for loop in LOOPS)]
VOID = {"meta", "link", "br", "img", "hr"}


def made_up(names: list[str]) -> Results:
    return results_of({name: [run(1.0 + at), run(2.0 + at)] for at, name in enumerate(names)})


@pytest.mark.may_leave_residue  # matplotlib keeps the font files open that it has used
@pytest.mark.parametrize("with_scheduling", [True, False])
@pytest.mark.parametrize("names", [NAMES, ["callbacks"]])
def test_chart_is_a_picture_that_uses_every_colour(
    tmp_path: Path, with_scheduling: bool, names: list[str]
) -> None:
    path = tmp_path / "chart.png"
    table = scheduling.read(RECORD) if with_scheduling else None
    chart.draw(made_up(names), table, "A caption", path)
    from matplotlib.image import imread

    picture = (imread(path)[:, :, :3] * 255).round().astype(int)
    assert picture.shape[1] == 1800
    present = {tuple(colour) for row in picture[::4, ::4].tolist() for colour in row}
    for name in names:
        colour = chart.COLOURS.get(name.partition("@")[2], chart.OTHERS)
        assert tuple(bytes.fromhex(colour.removeprefix("#"))) in present


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [
            value or ""
            for name, value in attrs
            if name in ("href", "src", "srcset", "data", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(" ".join(data.split()))


def read_page(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("with_scheduling", [True, False])
def test_page_is_well_formed_and_needs_no_other_file(with_scheduling: bool) -> None:
    table = scheduling.read(RECORD) if with_scheduling else None
    text = page(made_up(NAMES), table, "A caption", ["First.", "Second."])
    reader = read_page(text)
    assert all(address.startswith("data:") for address in reader.addresses)
    assert not re.search(r"https?:|//|@import|url\(", text)
    assert not {"script", "img", "iframe", "object"} & set(reader.seen)
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    for expected in ("A caption", "First.", "Second.", "One after the other", "asyncio streams"):
        assert expected in reader.words
    assert ("call_soon chain" in reader.words) is with_scheduling


def test_page_has_the_figures() -> None:
    words = read_page(
        page(results_of({"threads": [run(2.0, cpu=0.25, mib=64)]}), None, "", [])
    ).words
    for figure in ("2.00 s", "0.250 s", "64.0 MiB", "2.50"):
        assert figure in words


def test_page_says_what_failed_what_is_missing_and_that_it_was_interrupted() -> None:
    results = made_up(["blocking"])
    results.failed[variant("threads")] = "threads is wrong: <pages> & images"
    results.missing["uvloop"] = ["aiohttp-thread@uvloop"]
    results.interrupted = True
    words = read_page(page(results, None, "A caption", [])).words
    assert "failed: threads is wrong: <pages> & images" in words
    assert "Without uvloop, left out: aiohttp-thread@uvloop." in words
    assert any("interrupted" in each for each in words)


def test_scheduling_record_is_read_with_its_gaps() -> None:
    table = scheduling.read(RECORD)
    (row,) = table.rows
    assert row.nanoseconds == {"uvloop": 600.0, "aioxide": 100.0}
    assert row.ratios == {"uvloop": 1.0, "aioxide": 6.0}
    assert table.gaps == [
        "rloop: not installed",
        "call_soon chain on asyncio: no result within 60 s",
    ]


def test_scheduling_benchmark_that_breaks_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "scheduling.py"
    script.write_text("raise SystemExit('nothing to measure')")
    with pytest.raises(ChildFailed, match="gave no record: nothing to measure"):
        scheduling.measure(script, ["asyncio"])
