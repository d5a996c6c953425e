"""Which test modules there are, and which of them are about the selector loop's own inside."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "test.test_asyncio"

#: These test private methods and attributes of asyncio's selector and proactor loops, mostly on
#: mocks. Another loop need not have them: such modules are run and shown, but never fail a run.
INTERNALS = frozenset(
    {"test_base_events", "test_selector_events", "test_proactor_events", "test_unix_events"}
)

#: Long modules start first, so that no process is left alone with one at the end.
SLOW_FIRST = (
    "test_events",
    "test_sendfile",
    "test_ssl",
    "test_subprocess",
    "test_tools",
    "test_tasks",
    "test_taskgroups",
    "test_sock_lowlevel",
)


class NoSuiteError(Exception):
    """The tests are not there; the message is for the user."""


@dataclass(frozen=True)
class Suite:
    """A package of test modules. `search_path` is put on `sys.path` if the package needs it."""

    package: str
    modules: tuple[str, ...]
    search_path: str | None = None

    def is_gated(self, module: str) -> bool:
        """Whether a failure in this module fails the run."""
        return module not in INTERNALS


def installed_suite() -> Suite:
    """The suite of the Python that is running, or `NoSuiteError`."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise NoSuiteError(
            f"this Python has no {PACKAGE}: install its test suite "
            "(Debian and Ubuntu: libpython3-testsuite) or use a Python built from source"
        )
    found = {
        path.stem
        for folder in spec.submodule_search_locations
        for path in Path(folder).glob("test_*.py")
    }
    slow = [name for name in SLOW_FIRST if name in found]
    return Suite(PACKAGE, tuple(slow + sorted(found.difference(slow))))
