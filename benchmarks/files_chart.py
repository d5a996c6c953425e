"""The chart of docs/files.md, from the record that `python benchmarks/files.py --json` writes.

    python benchmarks/files_chart.py record.json docs/files.png

Needs the extra `bench`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = {
    "aioxide": ("aioxide", "#d9480f"),
    "aioxide-threads": ("aioxide, threads", "#f4a261"),
    "aiofiles-uvloop": ("aiofiles on uvloop", "#5c7cfa"),
    "executor-uvloop": ("run_in_executor on uvloop", "#a5b4c4"),
}


def figures_of(record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The median of each row and column that was measured."""
    return {
        row["title"]: {
            name: cell[record["key"]]["median"]
            for name, cell in row["implementations"].items()
            if cell[record["key"]] is not None
        }
        for row in record["rows"]
    }


def draw(figures: dict[str, dict[str, float]], target: Path) -> None:
    """Draw CPU time per operation, shorter is better, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(figures)
    height = 0.8 / len(COLUMNS)
    figure, axes = pyplot.subplots(figsize=(8, 0.55 * len(rows) + 1.4), layout="constrained")
    axes_: Any = axes
    for index, (column, (label, colour)) in enumerate(COLUMNS.items()):
        points = [
            (number + (index - 1.5) * height, figures[row][column])
            for number, row in enumerate(rows)
            if column in figures[row]
        ]
        places, values = zip(*points, strict=True)
        bars = axes_.barh(places, values, height * 0.92, label=label, color=colour)
        axes_.bar_label(bars, [f"{value:.3g}" for value in values], padding=2, fontsize=6)
    axes_.set_yticks(range(len(rows)), rows)
    axes_.invert_yaxis()
    axes_.set_xscale("log")
    axes_.set_xlabel("CPU time per operation, µs (logarithmic; shorter is better)")
    axes_.spines[["top", "right"]].set_visible(False)
    axes_.legend(fontsize=8, loc="lower right")
    figure.savefig(target, dpi=130)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/files_chart.py record.json chart.png")
    draw(figures_of(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
