"""The files that the rules are about: those that git tracks or would track."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.source.rust import RustFile

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = {"target", "__pycache__", "node_modules", "build", "dist"}


def _from_git() -> list[str] | None:
    """What git tracks, and what it would once added; None outside a checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in listed.stdout.split("\0") if name]


def _from_disk() -> list[str]:
    """The same for an unpacked archive, by leaving out what is made."""
    names = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_OURS and (not name.startswith(".") or name == ".ci")
        ]
        names += [str((Path(folder) / name).relative_to(ROOT)) for name in files]
    return names


@cache
def names() -> list[str]:
    """Paths from the root, sorted."""
    found = _from_git()
    if not found:
        found = _from_disk()
    return sorted(name for name in found if (ROOT / name).is_file())


@cache
def read(name: str) -> str | None:
    """The text of a file, or None for a picture, a library and the like."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def with_test_modules(files: list[RustFile]) -> list[RustFile]:
    """The same files, those marked that another one declares as ``#[cfg(test)] mod name;``."""
    for_tests: set[str] = set()
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if name not in {"lib.rs", "main.rs", "mod.rs"}:
            folder = file.path.removesuffix(".rs")
        for module in file.test_modules:
            for_tests |= {f"{folder}/{module}.rs", f"{folder}/{module}/mod.rs"}
    return [replace(file, declared_for_tests=file.path in for_tests) for file in files]


@cache
def rust_files() -> list[RustFile]:
    """The Rust files of all crates."""
    return with_test_modules(
        [
            RustFile(name, read(name) or "")
            for name in names()
            if name.startswith("crates/") and name.endswith(".rs")
        ]
    )
