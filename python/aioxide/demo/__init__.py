"""`aioxide demo`, the concurrency experiment: one crawl of a local site in every way Python has.

Who does what, each in a process of its own:

    site.py       an HTTP server with generated pages and images (content.py)
    measure.py    runs one way of ways/ on one event loop, and says what that took
    this one      starts them (child.py), lets the ways take turns and checks what they fetched
                  (rounds.py, results.py), and shows it: tables.py on the terminal, chart.py as
                  PNG, page.py as HTML, with what the figures teach (lessons.py); the scheduling
                  benchmark of the source repository is run beside it (scheduling.py)

Only this file, options.py, and listing.py with the names of the ways are loaded before it is known
that the packages of the extra are there.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from .. import _inherit
from .interrupts import interrupts
from .listing import listing
from .options import parse, unwritable_file, unwritable_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Options

EXTRA = ("aiohttp", "jinja2", "matplotlib", "requests", "rich", "uvloop")
NEEDED = "rich"  # for the whole experiment; the others only for some ways and files


def main(words: Sequence[str]) -> int:
    """Run `aioxide demo` with these arguments; returns the exit code."""
    try:
        with interrupts.installed():
            return _main(parse(words))
    except KeyboardInterrupt:
        # Whatever was started has been stopped on the way here.
        sys.stderr.write("aioxide demo: interrupted\n")
        return 130


def _main(options: Options) -> int:
    # The loops that it compares have to be what they are called, also below `aioxide run`.
    _inherit.withdraw()
    if options.list:
        sys.stdout.write(listing())
        return 0
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    # Single ways may need nothing of the extra; what is shown of them is plain text then.
    if NEEDED in missing and not options.only:
        return _refuse(f"needs {', '.join(missing)}: pip install 'aioxide[demo]'")
    if reason := unwritable_folder(options.output):
        return _refuse(f"cannot write to {options.output}: {reason}; --output=FOLDER names another")
    if options.json is not None and (reason := unwritable_file(options.json)):
        return _refuse(f"cannot write {options.json}: {reason}; --json=PATH names another")
    from .show import show  # only now: it takes a moment to import

    return show(options)


def _refuse(message: str) -> int:
    sys.stderr.write(f"aioxide demo: {message}\n")
    return 2
