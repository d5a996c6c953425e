"""Crawl a site, and read each page's title and the JSON that is embedded in it.

Many sites put a page's data into a script element, as schema.org's JSON-LD or as the state of their
own scripts. That is easier to read, and changes less often, than the HTML around it.

`aioxide.install()` stands before `asyncio.run`: aiohttp says `import asyncio` as well, and gets
the native futures, timeouts and locks with it.
"""

from __future__ import annotations

from _support import no_options

import asyncio
import json
from html.parser import HTMLParser
from typing import Any

from aiohttp import ClientSession, web

import aioxide
from _web import serving

ARTICLES = 40
AT_ONCE = 10
AUTHORS = ("Ada", "Grace", "Edsger", "Barbara", "Donald")


class Page(HTMLParser):
    """The title, the links and the JSON of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.links: list[str] = []
        self.data: Any = None
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._inside = values.get("type") or tag
        if tag == "a" and (target := values.get("href")):
            self.links.append(target)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data
        elif self._inside == "application/ld+json":
            self.data = json.loads(data)


class Crawler:
    """Follows links from the front page, each once, with a few requests at a time."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.pages: dict[str, Page | None] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.group:
            self.discover("/")

    def discover(self, path: str) -> None:
        if path.startswith("/") and path not in self.pages:
            self.pages[path] = None
            self.group.create_task(self.visit(path))

    async def visit(self, path: str) -> None:
        async with self.slots, asyncio.timeout(5), self.session.get(path) as response:
            page = Page(await response.text())
        self.pages[path] = page
        for link in page.links:
            self.discover(link)


async def article(request: web.Request) -> web.Response:
    number = int(request.match_info.get("number", 0))
    author = AUTHORS[number % len(AUTHORS)]
    data = json.dumps({"@type": "Article", "author": author, "words": 300 + 17 * number})
    links = "".join(f'<a href="/{n % ARTICLES}">more</a>' for n in (2 * number + 1, 2 * number + 2))
    await asyncio.sleep(0.005)
    return web.Response(
        text=f"<title>Article {number:02}</title><p>Words.</p>{links}"
        f'<a href="https://example.org/">elsewhere</a>'
        f'<script type="application/ld+json">{data}</script>',
        content_type="text/html",
    )


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/", article), web.get(r"/{number:\d+}", article)])
    print("crawling a site on loopback")
    async with serving(app) as url, ClientSession(url) as session:
        crawler = Crawler(session)
        await crawler.run()
    pages = {page.title: page.data for page in crawler.pages.values() if page}
    for author in AUTHORS:
        titles = sorted(title for title, data in pages.items() if data["author"] == author)
        words = sum(pages[title]["words"] for title in titles)
        print(f"{author:>8}: {len(titles)} articles, {words:,} words, first {titles[0]!r}")
    print(f"{len(crawler.pages)} paths, {len(pages)} titles")


if __name__ == "__main__":
    with no_options(__doc__):
        aioxide.install()
        asyncio.run(main())
