"""Put the experiment into the guide: what `aioxide demo --json` has recorded, as figure and words.

Usage: python -m scripts.experiment_figure [RECORD]

RECORD replaces docs/figures/experiment.json first. The figure is docs/figures/experiment.svg, in
the colours of the page, as those of figures.py are; the words stand between two comments of the
page about it.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from scripts.figures import FIGURES, STYLE

RECORD = FIGURES / "experiment.json"
FIGURE = FIGURES / "experiment.svg"
PAGE = FIGURES.parent / "blocking-to-asynchronous.md"
BEGIN, END = "<!-- experiment:begin -->\n", "<!-- experiment:end -->\n"
TITLE = "Time and processor time that each way to crawl the site took"

# Colours that stand for those of the style, which matplotlib does not know.
_INK, _SOFT, _WAIT, _WORK = "#000001", "#000002", "#000003", "#000004"
_VARIABLES = {_INK: "--ink", _SOFT: "--soft", _WAIT: "--wait", _WORK: "--work"}
_POINT = 4 / 3  # pixels
_ROW, _WIDTH = 17, 370  # pixels


def rows(record: dict[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    """The lines of the chart: a way, or the name of a way and then its loops."""
    found: list[tuple[str, dict[str, Any] | None]] = []
    heading = ""
    for way in record["ways"]:
        title = way["title"].removesuffix(f" on {way['loop']}")
        if way["loop"] is None:
            found.append((title, way["figures"]))
            continue
        if title != heading:
            found.append((title, None))
            heading = title
        found.append((way["loop"], way["figures"]))
    return found


def draw(record: dict[str, Any]) -> str:
    """The figure, as SVG."""
    lines = rows(record)
    height = len(lines) * _ROW + 50
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "aioxide", "font.size": 11 / _POINT}
    with mpl.rc_context(settings):
        figure = Figure((_WIDTH / 96, height / 96), layout="constrained")
        axes: Any = figure.subplots()
        longest = max(figures["wall_s"]["high"] for _, figures in lines if figures)
        for at, (name, figures) in enumerate(lines):
            weight = "bold" if figures is None else "normal"
            axes.text(-0.02 * longest, at, name, color=_INK, ha="right", va="center", weight=weight)
            if figures is None:
                continue
            wall, cpu = figures["wall_s"], figures["cpu_s"]
            axes.barh(at, wall["median"], height=0.78, color=_WAIT)
            axes.barh(at, cpu["median"], height=0.34, color=_WORK)
            axes.plot([wall["low"], wall["high"]], [at, at], color=_SOFT, linewidth=0.8)
            end = max(wall["high"], cpu["median"])
            label = f"{wall['median']:.3g} s, {cpu['median']:.2g}"
            axes.text(end + 0.015 * longest, at, label, color=_SOFT, va="center")
        axes.set_xlim(0, longest * 1.36)
        axes.set_ylim(len(lines) - 0.4, -1.6)
        axes.text(0, -1.1, "time on the clock", color=_SOFT, va="center", weight="bold")
        style: Any = {"va": "center", "ha": "right", "weight": "bold"}
        axes.text(longest * 1.36, -1.1, "processor time", color=_WORK, **style)
        axes.axis("off")
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _adapted(file.getvalue())


def words(record: dict[str, Any]) -> str:
    """What was measured, and what the experiment says of its figures."""
    setup = record["setup"]
    site = f"{setup['pages']} pages and {setup['images']} images"
    lines = [
        f"Here the site had {site}, and answered after {setup['delay_ms']:g} ms on average; up to "
        f"{setup['concurrency']} requests at a time, {setup['rounds']} rounds, Python "
        f"{setup['python']}, {setup['cores']} cores. Bars and figures are medians, the lines go "
        "from the lowest to the highest.",
        "",
        *(f"- {lesson}" for lesson in record["lessons"]),
    ]
    return "\n".join(lines) + "\n"


def with_words(page: str, record: dict[str, Any]) -> str:
    """The page, with these words between the comments."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{words(record)}{END}{after}"


def _adapted(svg: str) -> str:
    """The colours of the page in the place of ours, and nothing that reaches beyond the figure."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    start = svg.index(">") + 1
    opening = svg[:start].replace("<svg", '<svg class="drawing" role="img"', 1)
    paper = '<rect class="paper" width="100%" height="100%" rx="8"/>'
    return f"{opening}\n<title>{TITLE}</title>\n<style>\n{STYLE}\n</style>\n{paper}{svg[start:]}"


def main() -> int:
    """Write the figure."""
    match sys.argv[1:]:
        case [] | [_] as given if not any(word.startswith("-") for word in given):
            pass
        case _:
            print("usage: python scripts/experiment_figure.py [RECORD]", file=sys.stderr)
            return 2
    for record in given:
        if not Path(record).is_file():
            print(f"experiment_figure.py: no such file: {record}", file=sys.stderr)
            return 2
        shutil.copyfile(record, RECORD)
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    FIGURE.write_text(draw(record), encoding="utf-8")
    page = with_words(PAGE.read_text(encoding="utf-8"), record)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
