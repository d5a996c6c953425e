"""The code of the documents does what they say: each page's blocks are run, in their order."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.docs import pages
from tests.docs.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = {str(path.relative_to(pages.ROOT)): path for path in pages.documents()}
RUN = {"python", "console"}


@pytest.fixture
def web() -> Iterator[tuple[str, int]]:
    """What stands for the web: a server that answers HEAD and GET."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(300)  # a page starts up to twenty processes
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, path in PAGES.items()
        if any(block.language in RUN for block in pages.blocks(path.read_text(encoding="utf-8")))
    ],
)
def test_blocks(name: str, tmp_path: Path, web: tuple[str, int]) -> None:
    """Every block of a page, from its first to its last."""
    found = pages.blocks(PAGES[name].read_text(encoding="utf-8"))
    with Session(name, tmp_path, web) as session:
        for block in found:
            session.run(block)
        session.run(pages.Block(0, "#"))


def test_what_is_not_run_says_why() -> None:
    """A title is a file's name or one of the words of pages.py, and a reason is a reason."""
    for name, path in PAGES.items():
        for block in pages.blocks(path.read_text(encoding="utf-8")):
            where = f"{name}:{block.line}: {block.title!r}"
            if block.is_read_only:
                assert len(block.title.split()) > 6, where
            elif block.language != "#" and block.title not in {"", pages.PRINTS, pages.SERVER}:
                assert block.is_file, where
                assert "." in block.title or block.title == "Dockerfile", where


def session_of(tmp_path: Path, web: tuple[str, int], text: str) -> None:
    with Session("page", tmp_path, web) as session:
        for block in pages.blocks(text):
            session.run(block)
        session.run(pages.Block(0, "#"))


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```\n```python\nassert x == 2\n```",
        '```python\nprint("a")\n```\n```text title="prints"\nb\n```',
        "```python\nimport warnings\nwarnings.warn('old')\n```",
        "```console\n$ false\n```",
        "```console\n$ echo a\nb\n```",
        '```console title="until Ctrl-C"\n$ echo a\nb\n```',
        '```python title="not run by the tests: it needs more than is here"\nx =\n```',
        "```yaml\na: b\n```",
    ],
)
def test_what_is_wrong_is_found(text: str, tmp_path: Path, web: tuple[str, int]) -> None:
    """Blocks that do not do what the page says fail the test."""
    with pytest.raises((AssertionError, SyntaxError)):
        session_of(tmp_path, web, text)


def test_blocks_see_each_other(tmp_path: Path, web: tuple[str, int]) -> None:
    """Names, files and servers of earlier blocks are there for later ones."""
    session_of(
        tmp_path,
        web,
        '```python title="half.py"\nhalf = 21\n```\n'
        "```python\nfrom half import half\nprint(half * 2, 'of', 100)\n```\n"
        '```text title="prints"\n42 of ...\n```\n'
        "```console\n$ python -c 'import half; print(half.half)'  # the half\n21\n```\n"
        '```console title="until Ctrl-C"\n$ python -m http.server --bind 127.0.0.1 8000\n'
        "Serving HTTP on 127.0.0.1 port 8000 ...\n```\n"
        "```python\nfrom urllib.request import urlopen\n"
        "with urlopen('http://127.0.0.1:8000/half.py') as got:\n    print(got.status)\n```\n"
        '```text title="prints"\n200\n```\n',
    )


def test_page_that_fails_is_ended_with_its_threads(tmp_path: Path, web: tuple[str, int]) -> None:
    """The block that would have ended them is not reached."""
    text = (
        "```python\nimport threading\nended = threading.Event()\n"
        "threading.Thread(target=ended.wait).start()\n```\n"
        "```python\nassert not ended\n```\n"
        "```python\nended.set()\n```\n"
    )
    with pytest.raises(AssertionError, match=r"(?s)page.*AssertionError"):
        session_of(tmp_path, web, text)
