"""What `suites.toml` says, read strictly: an unknown key is a mistake, not a wish."""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("suites.toml")


class TableError(Exception):
    """The table is wrong; the message is for whoever edits it."""


@dataclass(frozen=True)
class Exclusion:
    """Tests that end differently on aioxide on purpose, and why. One that passes is an error."""

    tests: tuple[str, ...]
    reason: str
    #: Not even started: what they do (a hang, a kill) would be in the way of the others.
    skip: bool = False
    pythons: tuple[str, ...] = ()

    def matching(self, test: str) -> list[str]:
        """The patterns that name this test."""
        return [pattern for pattern in self.tests if matches(test, pattern)]


@dataclass(frozen=True)
class Suite:
    """One project's tests at one version."""

    name: str
    version: str
    sha256: str
    environment: str
    #: The name of the archive in Debian, where the package registry has none with tests.
    debian: str = ""
    #: Folders of the unpacked archive that must not hide what is installed: they are renamed.
    remove: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("tests",)
    #: Also replace the selector loop where the library names it.
    by_name: bool = False
    #: A folder beside the table to put before the installed packages.
    standin: str = ""
    #: Whether asyncio is run as well; without it every failure counts.
    control: bool = True
    #: Why loops of others are made as well on aioxide; empty: none may be.
    other_loops: str = ""
    #: The time limits of one run and of one test.
    seconds: int = 420
    test_seconds: int = 60
    #: Suites that use the same thing of the machine (a fixed port) do not run at the same time.
    resource: str = ""
    exclusions: tuple[Exclusion, ...] = ()


@dataclass(frozen=True)
class Table:
    """Suites and the environments that they run in."""

    suites: tuple[Suite, ...]
    environments: dict[str, tuple[str, ...]]


def matches(test: str, pattern: str) -> bool:
    """Whether a pattern with ``*`` names a test: brackets are those of parametrized tests."""
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))


def load(path: Path = FILE, version: tuple[int, int] | None = None) -> Table:
    """Read the table; with a version of Python, only the exclusions that are for it."""
    with path.open("rb") as stream:
        document = tomllib.load(stream)
    environments = {
        name: tuple(entry.pop("requirements"))
        for name, entry in document.pop("environment", {}).items()
    }
    suites = tuple(_suite(entry, version) for entry in document.pop("suite", []))
    if document:
        raise TableError(f"unknown: {', '.join(sorted(document))}")
    for suite in suites:
        if suite.environment not in environments:
            raise TableError(f"{suite.name}: no environment {suite.environment!r}")
    for name, requirements in environments.items():
        for requirement in requirements:
            if "==" not in requirement:
                raise TableError(f"{name}: {requirement!r} is not pinned")
    return Table(suites, environments)


def _suite(entry: dict[str, Any], version: tuple[int, int] | None) -> Suite:
    exclusions = [_fields(Exclusion, each) for each in entry.pop("exclusion", [])]
    suite: Suite = _fields(Suite, entry)
    if len(suite.sha256) != 64:
        raise TableError(f"{suite.name}: sha256 is not 64 digits")
    wanted = tuple(each for each in exclusions if version is None or _holds(each.pythons, version))
    return Suite(**{**vars(suite), "exclusions": wanted})


def _fields(kind: Any, entry: dict[str, Any]) -> Any:
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
    try:
        made = kind(**values)
    except TypeError as error:
        raise TableError(f"{entry.get('name', entry)}: {error}") from None
    if isinstance(made, Exclusion) and not (made.tests and made.reason.strip()):
        raise TableError("an exclusion needs tests and a reason")
    return made


def _holds(conditions: tuple[str, ...], version: tuple[int, int]) -> bool:
    """Whether a version fits all of ``>=3.13``, ``<3.14``."""
    for condition in conditions:
        sign = condition.rstrip("0123456789.")
        major, _, minor = condition[len(sign) :].partition(".")
        other = (int(major), int(minor))
        fits = {">=": version >= other, "<": version < other, "==": version == other}
        if sign not in fits:
            raise TableError(f"{condition!r}: not a condition")
        if not fits[sign]:
            return False
    return True
