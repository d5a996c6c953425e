"""The few figures that stand for many: median with spread, and ratios paired by round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median of some figures with the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread | None:
        if not figures:
            return None
        return cls(statistics.median(figures), min(figures), max(figures))

    def as_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("median", "low", "high")}


def spread(figures: Sequence[float | None]) -> Spread | None:
    return Spread.of([each for each in figures if each is not None])


def paired_ratio(
    baseline: Sequence[float | None], figures: Sequence[float | None]
) -> Spread | None:
    """How many times less than the baseline, formed within each round that has both."""
    return Spread.of(
        [
            base / figure
            for base, figure in zip(baseline, figures, strict=False)
            if base is not None and figure
        ]
    )


def times(ratio: float) -> str:
    """A ratio in as many digits as one reads."""
    digits = 0 if ratio >= 19.95 else 1 if ratio >= 9.995 else 2
    return f"{ratio:.{digits}f}"
