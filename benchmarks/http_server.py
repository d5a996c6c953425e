"""The HTTP server under test: aiohttp or uvicorn answer `GET /N` with N bytes.

The libraries import asyncio by name, so the column of all of aioxide is with its `install()`, as
programs have it that are not changed. Driven as serving.py says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving import listening_socket, options_parser, place, serve

if TYPE_CHECKING:
    import argparse

    from implementations import Environment

PATIENCE = 3600
"""Seconds for which a silent connection is kept: others may be measured meanwhile."""
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
KEPT: list[Any] = []


def body(size: int) -> bytes:
    """What loadgen/src/http.rs expects."""
    return (LETTERS * (size // len(LETTERS) + 1))[:size]


async def start_aiohttp(_env: Environment, _options: argparse.Namespace) -> dict[str, object]:
    from aiohttp import web

    bodies: dict[str, bytes] = {}

    async def page(request: web.Request) -> web.Response:
        size = request.match_info["size"]
        if size not in bodies:
            bodies[size] = body(int(size))
        return web.Response(body=bodies[size], content_type="text/plain")

    app = web.Application()
    app.router.add_get("/{size:[0-9]+}", page)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=PATIENCE)
    await runner.setup()
    sock = listening_socket()
    await web.SockSite(runner, sock, backlog=2048).start()
    KEPT.extend([runner, sock])
    return place(sock)


async def start_uvicorn(env: Environment, _options: argparse.Namespace) -> dict[str, object]:
    import uvicorn

    pages: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        path = scope["path"]
        if path not in pages:
            data = body(int(path[1:]))
            headers = [
                (b"content-type", b"text/plain"),
                (b"content-length", str(len(data)).encode()),
            ]
            pages[path] = (
                {"type": "http.response.start", "status": 200, "headers": headers},
                {"type": "http.response.body", "body": data},
            )
        for part in pages[path]:
            await send(part)

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=PATIENCE,
    )
    sock = listening_socket()
    KEPT.append(env.loop.create_task(uvicorn.Server(config).serve([sock])))
    return place(sock)


SERVERS = {"aiohttp": start_aiohttp, "uvicorn": start_uvicorn}


def main() -> None:
    parser = options_parser("An HTTP server; started by http_servers.py.")
    parser.add_argument("server", choices=SERVERS)
    options = parser.parse_args()
    if options.implementation == "aioxide":
        import aioxide

        aioxide.install()
    serve(options, SERVERS[options.server])


if __name__ == "__main__":
    main()
