"""The Rust source keeps the rules of docs/safety.md. What each rule is, `rules.py` says."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.source import tree
from tests.source.allowed import ALLOWED_LONG_FILES, ALLOWED_UNWRAPS
from tests.source.rules import RULES
from tests.source.text_rules import LONGEST, TEXT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.source.rules import Finding
    from tests.source.rust import RustFile


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rust_source(rule: Callable[[RustFile], Iterator[Finding]]) -> None:
    """Every file of every crate keeps the rule."""
    files = tree.rust_files()
    assert {file.path for file in files} >= {
        "crates/aioxide-core/src/lib.rs",
        "crates/aioxide-driver/src/lib.rs",
        "crates/aioxide/src/lib.rs",
    }, "the crates are not where the rules look for them"
    findings = [str(finding) for file in files for finding in rule(file)]
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda rule: rule.__name__)
def test_every_text(rule: Callable[[str, str], Iterator[Finding]]) -> None:
    """Every text file keeps the rule."""
    names = tree.names()
    assert {"Makefile", "pyproject.toml", "Cargo.lock", "README.md"} <= set(names)
    findings = [
        str(finding)
        for name in names
        if (text := tree.read(name)) is not None
        for finding in rule(name, text)
    ]
    assert not findings, "\n".join(findings)


def test_allowed_unwraps_are_still_there() -> None:
    """An exception whose line is gone is removed with it."""
    stale = [
        f"{path}: {line}"
        for path, line in ALLOWED_UNWRAPS
        if line not in {written.strip() for written in (tree.read(path) or "").splitlines()}
    ]
    assert not stale, "\n".join(stale)
    assert all(reason.strip() for reason in ALLOWED_UNWRAPS.values())


def test_allowed_long_files_are_still_long() -> None:
    """A file that has been cut leaves the list."""
    short = [path for path in ALLOWED_LONG_FILES if (tree.read(path) or "").count("\n") <= LONGEST]
    assert not short, "\n".join(short)
    assert all(reason.strip() for reason in ALLOWED_LONG_FILES.values())


@pytest.mark.parametrize(
    ("crate", "foreign"),
    [
        ("aioxide-core", {"pyo3", "pyo3-ffi", "rustix", "libc", "aioxide-driver", "aioxide"}),
        ("aioxide-driver", {"pyo3", "pyo3-ffi", "aioxide-core", "aioxide"}),
    ],
)
def test_layers(crate: str, foreign: set[str]) -> None:
    """The core knows neither kernel nor Python, the driver neither Python nor scheduling."""
    manifest = tomllib.loads(tree.read(f"crates/{crate}/Cargo.toml") or "")
    assert manifest["package"]["name"] == crate
    tables = [manifest, *manifest.get("target", {}).values()]
    named = {name for table in tables for name in table.get("dependencies", {})}
    assert not named & foreign
