"""`aioxide doctor`: what aioxide finds on this machine, and whether it works here.

    facts.py      the Python, aioxide itself, the system
    kernel.py     what the kernel lets a process do: io_uring, epoll_pwait2, pidfds
    ring.py       the probe of io_uring, in a process of its own
    libraries.py  the packages that people use beside it, and how
    self_test.py  a loop that runs a task, a timer, a connection, a file and a process
    show.py       the report as text

`docs/doctor.md` in the source repository lists the keys of `--json`. `aioxide run -m
aioxide.doctor` is the same after `aioxide.install()`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from .. import _terminal
from . import facts, kernel, libraries, self_test, show

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main", "report")

# Changes when a key is renamed or removed, or means something else; not when one is added.
FORMAT = 1


def main(words: Sequence[str]) -> int:
    """Run `aioxide doctor` with these arguments; returns the exit code.

    Returns:
        0 if the self test passed, 1 if it did not, 130 after Ctrl-C. Wrong arguments end the
        process with one line and code 2.
    """
    parser = _terminal.Parser(
        prog="aioxide doctor",
        description="Tell what aioxide finds on this machine, and test that it works here.",
        epilog="The exit code is 0 if the self test passed, 1 if it did not.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="the same for programs")
    given = parser.parse_args(words)
    try:
        found = report()
    except KeyboardInterrupt:
        sys.stderr.write("aioxide doctor: interrupted\n")
        return 130
    _terminal.write(f"{json.dumps(found, indent=2)}\n" if given.json else show.as_text(found))
    return 0 if found["self_test"]["passed"] else 1


def report() -> dict[str, Any]:
    """Look at everything, and run the self test.

    Starts processes, a server on the loopback device and a temporary file, all gone when it
    returns. While an event loop runs in this thread, it blocks that loop, and the self test runs
    its own one in another thread.

    Returns:
        What `--json` prints: strings, numbers, booleans, None, and dictionaries of them.
    """
    return {
        "format": FORMAT,
        "aioxide": facts.aioxide(),
        "python": facts.python(),
        "system": facts.system(),
        "io_uring": kernel.io_uring(),
        "files": kernel.files(),
        "polling": kernel.polling(),
        "descriptors": facts.descriptors(),
        "asyncio": facts.in_force(),
        "libraries": libraries.found(),
        "self_test": self_test.run(),
    }
