"""The fenced blocks of the documents, and what is to be done with each.

A block's language and title decide, and both are visible to the reader:

* ``python``: run, in the order of the page, in one namespace to a page;
* ``text title="prints"`` after it: what the block prints;
* any block with a file's name as its title: written to the page's folder under that name;
* ``console``: each line after ``$`` is run in that folder, and has to succeed. If output is shown,
  it has to be that; ``...`` stands for anything;
* ``console title="until Ctrl-C"``: a server. It is started, and has to print what is shown; it
  ends, by Ctrl-C and without a traceback, before the next heading;
* ``console title="not run by the tests: why"`` (and ``python`` alike): only read;
* ``text`` and ``rust`` without a title are pictures and quotations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = "until Ctrl-C"
PRINTS = "prints"
NOT_RUN = "not run by the tests: "

_OPEN = re.compile(r"^(?P<indent> *)(?P<mark>```+|~~~+) *(?P<language>[\w+-]*)(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]*)"')
_HEADING = re.compile(r"^#{1,6} ")


@dataclass
class Block:
    """One fenced block, or a heading (its language is then ``#``)."""

    line: int
    language: str
    title: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What is between the fences."""
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def is_file(self) -> bool:
        """Whether the title names a file."""
        return re.fullmatch(r"[\w./-]+", self.title) is not None and self.title != PRINTS

    @property
    def is_read_only(self) -> bool:
        """Whether the tests cannot run it, and the page says so."""
        return self.title.startswith(NOT_RUN)


def documents() -> list[Path]:
    """README.md and every page of the guide."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """The blocks of a page, and its headings between them."""
    found: list[Block] = []
    current: Block | None = None
    mark = indent = ""
    for number, line in enumerate(text.splitlines(), 1):
        if current is not None:
            if line.strip() == mark:
                current = None
            else:
                current.lines.append(line.removeprefix(indent))
        elif opened := _OPEN.match(line):
            mark, indent = opened["mark"], opened["indent"]
            title = _TITLE.search(opened["rest"])
            current = Block(number, opened["language"], title[1] if title else "")
            found.append(current)
        elif _HEADING.match(line):
            found.append(Block(number, "#"))
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the output that is shown for it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append((line[2:].partition("  # ")[0].strip(), []))
        elif found:
            found[-1][1].append(line)
    return found


def fits(shown: list[str], printed: str) -> bool:
    """Whether that was printed; ``...`` in what is shown stands for anything."""
    return re.fullmatch(_pattern(shown), printed.strip()) is not None


def begins(shown: list[str], printed: str) -> bool:
    """Whether what was printed begins with that."""
    return re.match(_pattern(shown), printed.strip()) is not None


def _pattern(shown: list[str]) -> str:
    parts = "\n".join(shown).strip().split("...")
    return r"[\s\S]*?".join(re.escape(part) for part in parts)
