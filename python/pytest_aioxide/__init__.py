"""`pytest --aioxide`: a project's tests run on aioxide, whatever runs their coroutines.

The option installs aioxide before the first conftest is imported, so that pytest-asyncio, anyio,
aiohttp's plugin and `unittest.IsolatedAsyncioTestCase` find it where they look for asyncio's loop,
and what the tests and the code under test import from asyncio is native.

pytest imports this module in every run of an environment that has aioxide. So it is a package of
its own, which imports aioxide, and asyncio, only for runs that ask for it: the others take no
longer, and an aioxide that cannot be imported does not end them.
"""

from __future__ import annotations

import pytest

_installed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--aioxide`, and `aioxide` for the ini file."""
    text = "run asyncio code on aioxide: aioxide.install() before anything else"
    parser.getgroup("aioxide").addoption("--aioxide", action="store_true", help=text)
    parser.addini("aioxide", text, type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Install, before conftests import anything.

    Raises:
        pytest.UsageError: if aioxide cannot be imported.
    """
    if not (early_config.known_args_namespace.aioxide or early_config.getini("aioxide")):
        return
    try:
        import aioxide
    except ImportError as error:
        message = f"--aioxide: aioxide cannot be imported: {error}"
        raise pytest.UsageError(message) from error
    # Already in force under `aioxide run`, which keeps it until the process ends.
    if not aioxide.installed():
        aioxide.install()
        early_config.stash[_installed] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Undo it, for programs that call `pytest.main` and go on."""
    if config.stash.get(_installed, False):
        import aioxide

        aioxide.uninstall()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say so above the report."""
    if not config.stash.get(_installed, False):
        return None
    import aioxide

    return f"aioxide: asyncio is aioxide {aioxide.__version__}"
