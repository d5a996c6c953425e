"""`pytest --aioxide`: a project's tests run on aioxide, whatever runs their coroutines.

The option installs aioxide before the first conftest is imported, so that pytest-asyncio, anyio,
aiohttp's plugin and `unittest.IsolatedAsyncioTestCase` find it where they look for asyncio's loop,
and what the tests and the code under test import from asyncio is native.
"""

from __future__ import annotations

import pytest

from . import __version__, install, installed, uninstall


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--aioxide`, and `aioxide` for the ini file."""
    text = "run asyncio code on aioxide: aioxide.install() before anything else"
    parser.getgroup("aioxide").addoption("--aioxide", action="store_true", help=text)
    parser.addini("aioxide", text, type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Install, before conftests import anything."""
    if early_config.known_args_namespace.aioxide or early_config.getini("aioxide"):
        install()


def pytest_unconfigure() -> None:
    """Undo it, for programs that call `pytest.main` and go on."""
    uninstall()


def pytest_report_header() -> str | None:
    """Say so above the report."""
    return f"aioxide: asyncio is aioxide {__version__}" if installed() else None
