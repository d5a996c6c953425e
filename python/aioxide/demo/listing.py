"""Which ways there are: `aioxide demo --list`."""

from __future__ import annotations

from .results import installed
from .ways import LOOPS, WAYS


def listing() -> str:
    """A line for each way: the name that `--only` takes, what it is, and what is missing for it."""
    width = max(len(way.name) for way in WAYS)
    titles = max(len(way.title) for way in WAYS)
    lines = []
    for way in WAYS:
        lacking = [package for package in way.needs if not installed(package)]
        notes = [f"needs {package}, not installed" for package in lacking]
        if way.on_loops:
            loops = [loop for loop in LOOPS if installed(loop)]
            notes.insert(0, f"on {', '.join(loops)}")
        lines.append(f"{way.name:{width}}  {way.title:{titles}}  {'; '.join(notes)}".rstrip())
    return "\n".join(lines) + "\n"
