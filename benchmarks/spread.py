"""The few figures that stand for many: median with spread, and ratios paired by round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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


def figure(value: float) -> str:
    """Three digits, or all of a whole number."""
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f}"


@dataclass(frozen=True)
class Detail:
    """What stands in brackets behind a figure: medians of other values of the same rounds."""

    template: str
    keys: tuple[str, ...]

    def of(self, rounds: Sequence[Mapping[str, Any] | None]) -> str:
        sound = [each for each in rounds if each is not None]
        medians = [spread([each.get(key) for each in sound]) for key in self.keys]
        known = [figure(each.median) for each in medians if each is not None]
        return f"({self.template.format(*known)})" if len(known) == len(self.keys) else ""


USER_AND_KERNEL = Detail("{} + {}", ("user_us_per_operation", "system_us_per_operation"))
