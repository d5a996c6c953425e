"""How figures are put into words: rounded, compared, and called equal where they are too close."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Spread

CLOSE = 0.05  # of the smaller; with one run each, twice that


def number(value: float) -> str:
    """With as many decimals as three digits leave room for."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def factor(value: float) -> str:
    return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def seconds(value: float) -> str:
    if value >= 10:
        return f"{value:.0f} s"
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def times(ratio: float) -> str:
    """Such as "2.4 times" or "17 times"."""
    return f"{ratio:.0f} times" if ratio >= 9.95 else f"{ratio:.1f} times"


def more(ratio: float) -> str:
    """Before "more" or "longer": by how much the larger is above the smaller."""
    return f"{(ratio - 1) * 100:.0f} %"


def less(ratio: float) -> str:
    """Before "less": by how much the smaller is below the larger."""
    return f"{(1 - 1 / ratio) * 100:.0f} %"


def percent(share: float) -> str:
    """A share of a whole, never rounded to nothing or to everything."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{share * 100:.0f} %"


def close(one: Spread, other: Spread) -> bool:
    """Whether the difference may be chance: the runs overlap, or the medians are nearly equal."""
    if one.low <= other.high and other.low <= one.high:
        return True
    alone = one.low == one.high or other.low == other.high
    return ratio(one, other) < 1 + (2 * CLOSE if alone else CLOSE)


def ratio(one: Spread, other: Spread) -> float:
    """How many times the smaller the larger is, 1 or more."""
    small, large = sorted((one.median, other.median))
    return large / small if small > 0 else float("inf")


def is_percentage(ratio: float) -> bool:
    """Whether a ratio reads better as a percentage than as a number of times."""
    return round(ratio, 1) < 2


def much(ratio: float, noun: str) -> str:
    """Of the larger: "2.4 times the memory" (of the smaller), "30 % more memory" (than it)."""
    return f"{more(ratio)} more {noun}" if is_percentage(ratio) else f"{times(ratio)} the {noun}"


def longer(ratio: float) -> str:
    """Of the longer: "2.4 times as long as", "30 % longer than"."""
    return f"{more(ratio)} longer than" if is_percentage(ratio) else f"{times(ratio)} as long as"
