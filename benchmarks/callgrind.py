"""What callgrind writes: how many instructions ran in which shared object.

Only what that takes is read. In the body of a dump, `ob=` names the object that the costs below it
belong to, and a line of costs is a position and a count. Below `calls=` stands one line with what
the called function has cost, which its own lines say again: that one is left out. `cob=` names the
object of a called function; a name is only written out where it comes first, be it there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

UNKNOWN = "???"
"""Callgrind's name for code that is in no file it knows."""

_OBJECT = re.compile(r"(?P<called>c?)ob=\((?P<number>\d+)\)(?: (?P<name>.+))?")
_COST = re.compile(r"[+\-*0-9]\S* (?P<count>\d+)")


class Malformed(ValueError):
    """This is no dump of callgrind, or not one of instruction counts by line."""


def instructions(lines: Iterable[str]) -> Counter[str]:
    """How many instructions each object ran, by its path.

    `lines` is a dump as `valgrind --tool=callgrind` writes it with one event, `Ir`, and one
    position, the line. Raises `Malformed` where it is another one, or where the counts do not add
    up to the total it states.
    """
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    name = UNKNOWN
    total: int | None = None
    called = False
    for line in lines:
        if line.startswith("events:") and line.split()[1:] != ["Ir"]:
            raise Malformed(f"counts of {line.split(maxsplit=1)[1].strip()}, not of Ir alone")
        if line.startswith("positions:") and line.split()[1:] != ["line"]:
            raise Malformed(f"positions by {line.split(maxsplit=1)[1].strip()}, not by line")
        if line.startswith("totals:"):
            total = int(line.split()[1])
        elif line.startswith("calls="):
            called = True
        elif match := _OBJECT.match(line):
            if match["name"]:
                names[match["number"]] = match["name"]
            if not match["called"]:
                name = names.get(match["number"], UNKNOWN)
        elif match := _COST.match(line):
            if not called:
                counts[name] += int(match["count"])
            called = False
    if total is None:
        raise Malformed("no line of totals: the dump is not complete")
    if counts.total() != total:
        raise Malformed(f"the lines add up to {counts.total()}, the dump says {total}")
    return counts
