"""The ways to fetch a site: each file is one idea, with what it costs, and short enough to read.

All do the same: fetch `/`, find its links, fetch those that were not seen before, until there are
no more. What is the same in all of them is in crawl.py, HTTP by hand in wire.py, and the tasks that
most asyncio ways share in tasks.py.

A way has one function, `run(crawl)`. Where that is a coroutine function, it is run on each of the
LOOPS, and nothing in it knows which. WAYS is the order of the tables, roughly that of history.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

LOOPS = ("asyncio", "uvloop", "aioxide")
FOLDER = Path(__file__).parent
SHARED_BY_ALL = "crawl"


@dataclass(frozen=True)
class Way:
    """One way: its name and file, what is said of it, and what has to be installed for it."""

    name: str
    title: str
    needs: tuple[str, ...] = ()
    on_loops: bool = False
    module: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", self.name.replace("-", "_"))

    def idea(self) -> str:
        """The first paragraph of the file's docstring."""
        text = ast.get_docstring(_parsed(self.module)) or ""
        return " ".join(text.partition("\n\n")[0].split())

    def lines(self) -> int:
        """Lines of code, with the helper files that it uses, without crawl.py, which all use.

        Blank lines, comments and docstrings are not counted.
        """
        todo, counted = [self.module], {SHARED_BY_ALL}
        lines = 0
        while todo:
            module = todo.pop()
            if module not in counted:
                counted.add(module)
                tree = _parsed(module)
                lines += _code_lines(tree)
                todo += [
                    node.module
                    for node in ast.walk(tree)
                    if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
                ]
        return lines


def _parsed(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


def _code_lines(tree: ast.Module) -> int:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not _is_docstring(node):
            body = getattr(node, "body", None)
            # Of a compound statement only its head: what is in it counts for itself.
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            lines.update(range(node.lineno, max(node.lineno, end) + 1))
    text_lines = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and _is_docstring(node)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return len(lines - text_lines)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


WAYS = (
    Way("blocking", "One after the other"),
    Way("processes", "Pool of processes", needs=("requests",)),
    Way("threads", "Pool of threads", needs=("requests",)),
    Way("spinning", "Sockets that never wait"),
    Way("callbacks", "Selector and callbacks"),
    Way("generators", "Selector and generators"),
    Way("asyncio-threads", "asyncio over threads", needs=("requests",), on_loops=True),
    Way("asyncio-processes", "asyncio over processes", needs=("requests",), on_loops=True),
    Way("asyncio-streams", "asyncio streams", on_loops=True),
    Way("aiohttp-thread", "aiohttp in one thread", needs=("aiohttp",), on_loops=True),
    Way("aiohttp-processes", "aiohttp in processes", needs=("aiohttp",), on_loops=True),
)
