"""The few classes of rich that the demo uses, for an environment without it: plain text.

`aioxide demo --only callbacks` crawls with the standard library alone; these show its
table.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKUP = re.compile(r"\[/?(?:dim|red|yellow)\]")
box = SimpleNamespace(SIMPLE_HEAD=None)


class Console:
    """Prints lines; nothing is redrawn."""

    is_terminal = False

    def __init__(self, *, stderr: bool = False, highlight: bool = False) -> None:
        self._is_stderr = stderr

    def print(self, thing: object = "", *, soft_wrap: bool = False) -> None:
        """Write the text of a thing, without markup, and end the line."""
        out = sys.stderr if self._is_stderr else sys.stdout
        out.write(_MARKUP.sub("", str(thing)) + "\n")
        out.flush()

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Print what is done while the block runs."""
        self.print(text)
        yield


class Padding:
    """A text that begins some columns further right."""

    def __init__(self, text: str, pad: tuple[int, int, int, int]) -> None:
        self._text = " " * pad[3] + text

    def __str__(self) -> str:
        """Return the text with its margin."""
        return self._text


class Table:
    """Columns as wide as their widest cell, which may have several lines."""

    def __init__(self, *, title: str, **_: Any) -> None:
        self._title = title
        self._rows: list[list[list[str]]] = [[]]
        self._is_right: list[bool] = []

    def add_column(self, head: str, *, justify: str = "left", **_: Any) -> None:
        """Add a column with this head."""
        self._rows[0].append(head.split("\n"))
        self._is_right.append(justify == "right")

    def add_row(self, *cells: str) -> None:
        """Add a row; cells that are left out are empty."""
        missing = [""] * (len(self._is_right) - len(cells))
        lines = [_MARKUP.sub("", cell).split("\n") for cell in (*cells, *missing)]
        self._rows.append(lines)

    def __str__(self) -> str:
        """Return the title, the heads and the rows."""
        columns = zip(*self._rows, strict=True)
        widths = [max(len(line) for cell in column for line in cell) for column in columns]
        shown = [self._title]
        for row in self._rows:
            for index in range(max(map(len, row))):
                parts = [cell[index] if index < len(cell) else "" for cell in row]
                placed = zip(parts, widths, self._is_right, strict=True)
                line = [p.rjust(w) if right else p.ljust(w) for p, w, right in placed]
                shown.append("  ".join(line).rstrip())
        return "\n".join(shown)


class Progress:
    """Shows nothing: the demo prints a line for each round where nothing can be redrawn."""

    def __init__(self, *columns: object, console: Console, transient: bool) -> None:
        self.console = console

    def __enter__(self) -> Progress:  # noqa: PYI034 - as rich has it
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def add_task(self, description: str, *, total: float | None) -> int:
        """Return a number for the task."""
        return 0

    def reset(self, task: int, **_: Any) -> None:
        """Do nothing."""

    update = advance = reset


def _column(*_: Any, **__: Any) -> None:
    """Return nothing: a column of a bar that is not drawn."""


TextColumn = BarColumn = MofNCompleteColumn = TimeElapsedColumn = _column
