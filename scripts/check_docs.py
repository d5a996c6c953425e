"""Check the documents: all there, and every link inside the repository leads somewhere.

A link may name a file, a folder, or a heading (``docs/safety.md#the-gil``). Links to the web are
left alone: a gate must not depend on somebody else's server. A path in backticks that looks like
one of ours (``crates/…``, ``docs/…``) has to exist as well, so that a moved file is noticed.

Usage: python scripts/check_docs.py [ROOT]
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/architecture.md",
    "docs/compatibility.md",
    "docs/index.md",
    "docs/safety.md",
)
OUR_FOLDERS = ("benchmarks", "crates", "docs", "python", "scripts", "tests")

_FENCE = re.compile(r"^\s*(```|~~~)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:")
_PATH = re.compile(rf"^(?:{'|'.join(OUR_FOLDERS)})/[\w./-]*$")


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines outside fenced code."""
    fence = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = _FENCE.match(line)
        if mark and fence in {"", mark[1]}:
            fence = "" if fence else mark[1]
        elif not fence:
            yield number, line


@cache
def anchors(path: Path) -> frozenset[str]:
    """The names by which a link can point into the document, as GitHub makes them."""
    names: set[str] = set()
    for _, line in prose(path):
        names.update(_ANCHOR.findall(line))
        if heading := _HEADING.match(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            again = 1
            unique = name
            while unique in names:
                unique = f"{name}-{again}"
                again += 1
            names.add(unique)
    return frozenset(names)


def targets(line: str) -> Iterator[str]:
    """Where the links of one line lead."""
    if reference := _REFERENCE.match(line):
        yield reference[1]
    yield from _LINK.findall(_CODE.sub("", line))


def broken(document: Path, target: str, root: Path) -> str | None:
    """Why a link is broken; None if it is not."""
    if _SCHEME.match(target):
        return None
    name, _, anchor = unquote(target).partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.is_relative_to(root):
        return f"{target}: outside the repository"
    if not path.exists():
        return f"{target}: no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"{target}: no such heading"
    return None


def problems(root: Path) -> Iterator[str]:
    """Everything that is wrong with the documents under ``root``."""
    for name in REQUIRED:
        path = root / name
        if not path.is_file() or not path.read_text(encoding="utf-8").strip():
            yield f"{name}: missing or empty"
    documents = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    for document in sorted(documents):
        shown = document.relative_to(root)
        for number, line in prose(document):
            for target in targets(line):
                if why := broken(document, target, root):
                    yield f"{shown}:{number}: {why}"
            for code in _CODE.findall(line):
                if _PATH.match(code) and not (root / code).exists():
                    yield f"{shown}:{number}: {code}: no such file"


def main() -> int:
    """Print the problems, one to a line."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    found = list(problems(root))
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print("documents: complete, every link resolves")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
