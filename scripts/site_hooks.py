"""What MkDocs does not do by itself.

Drawings become a part of their page: as an image a drawing follows the colours of the system, as a
part of the page the page's own switch, and its words can be searched and selected.

Links to files of the repository outside docs/ become their words: the site has no such files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

_IMAGE = re.compile(r'<p>\s*<img\s[^>]*?src="(?P<path>[^":]+\.svg)"[^>]*>\s*</p>')
# Not those of a reference to an image.
_LINK = re.compile(r"(?<!!)\[(?P<words>[^\]\[]+)\]\((?P<path>\.\./[^)\s]+)\)")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Keep the words of links that lead out of docs/."""
    here = posixpath.dirname(page.file.src_uri)

    def words(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, link["path"]))
        return link["words"] if path.startswith("..") else link[0]

    fenced = False
    lines = []
    for line in markdown.splitlines():
        fenced ^= bool(_FENCE.match(line))
        lines.append(line if fenced else _LINK.sub(words, line))
    return "\n".join(lines)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Put each SVG file in the place of the paragraph that shows it."""
    here = posixpath.dirname(page.file.src_uri)

    def drawing(image: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, image["path"]))
        svg = (Path(config.docs_dir) / path).read_text(encoding="utf-8")
        svg = svg[svg.index("<svg") :]
        return f"<figure>{_STYLE.sub('', svg, count=1) if 'drawing' in svg else svg}</figure>"

    return _IMAGE.sub(drawing, html)
