"""Who is behind whom in a record, by ratios paired within the rounds.

A row is lost where aioxide needed more than a peer in the median of the rounds, by however little;
whether the spread allows another verdict is told beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spread import Spread, paired_ratio

OURS = "aioxide"
WAYS = ("aioxide-",)
"""Other ways to use aioxide are no peers."""


@dataclass(frozen=True)
class Loss:
    """One row in which a peer needed less."""

    benchmark: str
    row: str
    title: str
    peer: str
    ratio: Spread
    """How many times less aioxide needed: below 1."""

    @property
    def certain(self) -> bool:
        """Every round says so."""
        return self.ratio.high < 1

    def __str__(self) -> str:
        often = "every round" if self.certain else "not every round"
        times = 1 / self.ratio.median
        return f"{self.title}: {times:.2f} times {self.peer}'s ({often})"


def figures(record: Mapping[str, Any], cell: Mapping[str, Any]) -> list[float | None]:
    """What each round gave of the record's figure."""
    return [None if each is None else float(each[record["key"]]) for each in cell["rounds"]]


def ratios(record: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Spread]:
    """How many times less aioxide needed than each peer that was measured beside it."""
    cells = row["implementations"]
    if OURS not in cells:
        return {}
    ours = figures(record, cells[OURS])
    found = {
        name: paired_ratio(figures(record, cell), ours)
        for name, cell in cells.items()
        if name != OURS and name != record["floor"] and not name.startswith(WAYS)
    }
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def losses(record: Mapping[str, Any]) -> Iterator[Loss]:
    """What aioxide lost, against each peer, the worst first within its row."""
    for row in record["rows"]:
        behind = [(name, r) for name, r in ratios(record, row).items() if r.median < 1]
        for peer, ratio in sorted(behind, key=lambda each: each[1].median):
            yield Loss(record["benchmark"], row["name"], row["title"], peer, ratio)
