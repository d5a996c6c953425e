"""Rules for every text file: its length, and what must not be in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.source.allowed import ALLOWED_LONG_FILES
from tests.source.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST = 700
_SOURCE = (".rs", ".py", ".pyi", ".sh", ".md")
# One grows with every release, the other is a licence's own text.
_ANY_LENGTH = {"CHANGELOG.md", "LICENSE-APACHE"}


def long_file(path: str, text: str) -> Iterator[Finding]:
    """A file is one idea; one of more than 700 lines is two."""
    if not path.endswith(_SOURCE) or path in _ANY_LENGTH or path in ALLOWED_LONG_FILES:
        return
    lines = text.count("\n") + (not text.endswith("\n"))
    if lines > LONGEST:
        yield Finding(path, LONGEST + 1, f"{lines} lines, more than {LONGEST}: is it two ideas?")


# Put together here, so that this file does not hold what it forbids.
_FOLDERS = "|".join(("work", "root", "home", "Users"))
_MACHINE_PATH = re.compile(rf"(?<![\w.~$}})-])/(?:{_FOLDERS})/")


def machine_path(path: str, text: str) -> Iterator[Finding]:
    """What is published names no folder of the machine that it was written on."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _MACHINE_PATH.search(line):
            yield Finding(path, number, f"names a folder of one machine ({match.group()}...)")


_PRIVATE_HOST = re.compile(
    r"""
    \bhttps?://(?:[^/@\s"']*@)?
    (?: [\w.-]+\.(?:internal|intranet|corp|lan|local)\b
      | 10(?:\.\d+){3} | 192\.168(?:\.\d+){2} | 172\.(?:1[6-9]|2\d|3[01])(?:\.\d+){2}
    )
    """,
    re.VERBOSE,
)
_INDEX_SETTING = re.compile(
    "|".join(
        (
            r"--(?:extra-)?index" + r"-url\b",
            r"\bPIP_(?:EXTRA_)?INDEX" + r"_URL\b",
            r"\bCARGO_REGIS" + r"TRIES_\w+",
            r"^\s*replace" + r"-with\s*=",
        )
    )
)
_LOCKED_SOURCE = re.compile(r'^source = "(?P<source>[^"]*)"')
_CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def registry_host(path: str, text: str) -> Iterator[Finding]:
    """Dependencies come from the public registries, whatever mirror a machine goes through."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _PRIVATE_HOST.search(line) or _INDEX_SETTING.search(line):
            yield Finding(path, number, f"names a registry or host of its own ({match.group()})")
        locked = _LOCKED_SOURCE.match(line)
        if locked and path.endswith("Cargo.lock") and locked["source"] != _CRATES_IO:
            yield Finding(path, number, f"locked to {locked['source']}, not to crates.io")


TEXT_RULES: tuple[Callable[[str, str], Iterator[Finding]], ...] = (
    long_file,
    machine_path,
    registry_host,
)
