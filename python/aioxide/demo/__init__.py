"""`aioxide demo`: the same crawler over the same local site, on asyncio, uvloop and aioxide.

Who does what, each in a process of its own:

    site.py     an HTTP server with generated pages and images (content.py)
    crawl.py    the crawler; a fresh process for every run, and only the loop differs
    this one    starts them (child.py), lets the implementations take turns and checks what they
                fetched (rounds.py), and shows it (tables.py, chart.py); the scheduling benchmark
                of the source repository is run in its short form beside it (scheduling.py)

Only this file and options.py are loaded before it is known that the extra's packages are there.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from .options import parse, unwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED = ("aiohttp", "matplotlib", "rich")


def main(words: Sequence[str]) -> int:
    """Run `aioxide demo` with these arguments; returns the exit code."""
    options = parse(words)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return _refuse(f"needs {', '.join(missing)}: pip install 'aioxide[demo]'")
    for path in (options.output, options.json):
        if path is not None and (reason := unwritable(path)):
            return _refuse(f"cannot write {path}: {reason}")
    try:
        from .show import show  # only now: it needs those packages

        return show(options)
    except KeyboardInterrupt:
        # The children were stopped on the way here.
        sys.stderr.write("aioxide demo: interrupted\n")
        return 130


def _refuse(message: str) -> int:
    sys.stderr.write(f"aioxide demo: {message}\n")
    return 2
