"""`pytest --aioxide`, with the plugins that run coroutine tests."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.aioxide_only

UNITTEST = """
import asyncio, unittest

class Test(unittest.IsolatedAsyncioTestCase):
    async def test(self):
        assert type(asyncio.get_running_loop()).__module__ == EXPECTED
"""

PYTEST_ASYNCIO = """
import asyncio, pytest

@pytest.mark.asyncio
async def test():
    assert type(asyncio.get_running_loop()).__module__ == EXPECTED
    assert asyncio.sleep.__module__ == NAMES
"""

ANYIO = """
import asyncio, anyio, pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test():
    await anyio.sleep(0)
    assert type(asyncio.get_running_loop()).__module__ == EXPECTED
"""

OURS = 'EXPECTED, NAMES = "aioxide.events", "aioxide.tasks"'
STOCK = 'EXPECTED, NAMES = "asyncio.unix_events", "asyncio.tasks"'


def run_pytest(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if not metadata.entry_points(group="pytest11", name="aioxide"):
        # A copy that was not installed does not announce the plugin.
        command += ["-p", "aioxide.pytest_plugin"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    "body", [UNITTEST, PYTEST_ASYNCIO, ANYIO], ids=["unittest", "pytest-asyncio", "anyio"]
)
def test_coroutine_tests_run_on_aioxide(tmp_path: Path, body: str) -> None:
    done = run_pytest(tmp_path, f"{OURS}\n{body}", "--aioxide")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    "body", [UNITTEST, PYTEST_ASYNCIO, ANYIO], ids=["unittest", "pytest-asyncio", "anyio"]
)
def test_without_the_option_nothing_changes(tmp_path: Path, body: str) -> None:
    done = run_pytest(tmp_path, f"{STOCK}\n{body}")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_option_in_the_ini_file_and_the_header(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naioxide = true\n")
    (tmp_path / "conftest.py").write_text(
        "from asyncio import sleep\nassert sleep.__module__ == 'aioxide.tasks'\n"
    )
    done = run_pytest(tmp_path, f"{OURS}\n{UNITTEST}", "-v")
    assert done.returncode == 0, done.stdout
    assert "aioxide: asyncio is aioxide " in done.stdout
