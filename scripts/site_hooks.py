"""What MkDocs does not do by itself: drawings become a part of their page.

A drawing that is loaded as an image follows the colours of the system; as a part of the page it
follows the page's own switch, and its words can be searched and selected.
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
_STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Put each SVG file in the place of the paragraph that shows it."""
    here = posixpath.dirname(page.file.src_uri)

    def drawing(image: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, image["path"]))
        svg = (Path(config.docs_dir) / path).read_text(encoding="utf-8")
        svg = svg[svg.index("<svg") :]
        return f"<figure>{_STYLE.sub('', svg, count=1) if 'drawing' in svg else svg}</figure>"

    return _IMAGE.sub(drawing, html)
