"""The site: it builds without a warning, loads nothing from elsewhere, misses no public name."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

import aioxide
from scripts import experiment_figure, figures, native_members
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Building is seconds of work, and more on a machine that does much else.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Attributes by which a page makes a browser fetch something.
_FETCHES = {
    "script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "object": "data", "embed": "src", "use": "href",
}  # fmt: skip
_REMOTE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
_REMOTE_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?(?:[a-z]+:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page fetches, and the descriptions of its reference."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.described: dict[str, str] = {}
        self._name = ""
        self._depth = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        target = values.get(_FETCHES.get(tag, ""))
        if target and values.get("rel") not in {"canonical", "next", "prev"}:
            self.fetched.append(target)
        named = values.get("id") or ""
        if named.startswith("aioxide."):
            self._name = named
            if "doc" not in (values.get("class") or "").split():
                self.described[named] = ""  # written by hand: all up to the next heading
        if tag == "div" and "doc-contents" in (values.get("class") or ""):
            self.described.setdefault(self._name, "")
            self._depth = 1
        elif tag == "div" and self._depth:
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._name in self.described or self._depth:
            self.described[self._name] = self.described.get(self._name, "") + data


def build(source: Path, folder: Path) -> str:
    """Build a site, strictly; what is wrong with it, if anything is."""
    # Without --quiet, which hides warnings from --strict as well.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    assert not build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every page by its path."""
    return {
        str(path.relative_to(site)): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    """No page and no style sheet fetches anything that is not in the folder."""
    assert len(pages) > 15
    for name, page in pages.items():
        assert page.fetched, name
        remote = [target for target in page.fetched if _REMOTE.match(target)]
        assert not remote, f"{name}: {remote}"
        for target in page.fetched:
            if not target.startswith(("data:", "#", "/")):
                path = (site / name).parent / target.partition("#")[0].partition("?")[0]
                assert path.exists(), f"{name}: {target}"
    for sheet in site.rglob("*.css"):
        assert not _REMOTE_CSS.search(sheet.read_text(encoding="utf-8")), sheet.name


def test_drawings_are_part_of_their_page(site: Path) -> None:
    """An SVG is in the page itself, without a style that would reach beyond it."""
    text = (site / "how-it-works.html").read_text(encoding="utf-8")
    assert text.count('class="drawing"') == 3
    assert "<style>" not in text[text.index("<article") : text.index("</article")]
    text = (site / "blocking-to-asynchronous.html").read_text(encoding="utf-8")
    assert text.count('class="drawing"') == 3
    assert ".svg" not in text[text.index("<article") : text.index("</article")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[its words](../elsewhere/file.md) and [here](#page)", ""),
        ("[its words](nowhere.md)", "nowhere.md"),
        ("[its words](#nowhere)", "#nowhere"),
    ],
)
def test_links(text: str, wrong: str, tmp_path: Path) -> None:
    """A link out of docs/ keeps its words, one to nowhere fails the build."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Page\n\n{text}\n\n```text\n[a](../b.md)\n```\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: a site\nhooks: [{ROOT}/scripts/site_hooks.py]\n"
        "validation: {links: {anchors: warn}}\nmarkdown_extensions: [fenced_code]\n"
    )
    said = build(tmp_path, tmp_path / "site")
    if wrong:
        assert f"'{wrong}'" in said
        return
    assert not said
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "<p>its words and <a " in page
    assert "[a](../b.md)" in page


def ours() -> list[str]:
    """The public names that are not asyncio's own objects passed through."""
    unset = object()
    return [
        name
        for name in vars(aioxide)["__all__"]
        if getattr(aioxide, name) is not getattr(asyncio, name, unset)
    ]


def test_reference_has_every_public_name(pages: dict[str, Page]) -> None:
    """Each is under a heading of its own, with words under it."""
    described: dict[str, str] = {}
    for name, page in pages.items():
        if name.startswith("reference/"):
            described |= page.described
    assert len(ours()) > 30
    words = {name.rpartition(".")[2]: text.split() for name, text in described.items()}
    assert not [name for name in ours() if len(words.get(name, [])) < 4]


@pytest.mark.parametrize("name", ours())
def test_members_have_descriptions(name: str) -> None:
    """A public member that is ours says what it does."""
    kind = getattr(aioxide, name)
    assert kind.__doc__
    if not isinstance(kind, type):
        return
    for member in native_members.own_members(kind):
        assert vars(native_members.definer(kind, member))[member].__doc__, member


def test_drawings_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/figures has what the script draws."""
    monkeypatch.setattr(sys, "argv", ["figures.py", "--check"])
    assert figures.main() == 0


@pytest.mark.may_leave_residue  # matplotlib keeps its fonts open
def test_experiment_is_of_its_record() -> None:
    """The figure and the words have each way and each figure of the record."""
    record = json.loads(experiment_figure.RECORD.read_text(encoding="utf-8"))
    page = experiment_figure.PAGE.read_text(encoding="utf-8")
    assert experiment_figure.with_words(page, record) == page
    drawn = experiment_figure.FIGURE.read_text(encoding="utf-8")
    labels = re.findall(r"<text [^>]*>([^<]*)</text>", drawn)
    again = re.findall(r"<text [^>]*>([^<]*)</text>", experiment_figure.draw(record))
    assert labels == again
    for title, measured in experiment_figure.rows(record):
        assert title in labels
        assert measured is None or any(
            label.startswith(f"{measured['wall_s']['median']:.3g} s") for label in labels
        )
