"""The packages that people use with asyncio: which are installed, and the use of each."""

from __future__ import annotations

from typing import Any

from .facts import distribution_version

_OTHER_LOOP = "another event loop: a program takes one of them, both may be installed"
_ANYIO = 'anyio.run(main, backend_options={"loop_factory": aioxide.new_event_loop})'

USE = {
    "uvloop": _OTHER_LOOP,
    "rloop": _OTHER_LOOP,
    "zuvloop": _OTHER_LOOP,
    "aiohttp": "web.run_app(app, loop=aioxide.new_event_loop()), or aioxide.run(main())",
    "uvicorn": "uvicorn --loop aioxide:new_event_loop app:app",
    "anyio": _ANYIO,
    "websockets": "aioxide.run(main())",
    "pytest-asyncio": "pytest --aioxide",
}


def found() -> dict[str, Any]:
    """By name: the `version`, None if it is not installed, and the `use` with aioxide."""
    return {name: {"version": distribution_version(name), "use": use} for name, use in USE.items()}
