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
        command += ["-p", "pytest_aioxide"]
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


NOTHING = "def test(): pass\n"


def test_without_the_option_aioxide_is_not_imported(tmp_path: Path) -> None:
    body = (
        "import sys\ndef test():\n    assert 'pytest_aioxide' in sys.modules\n"
        "    assert not [name for name in sys.modules if name.split('.')[0] == 'aioxide']\n"
    )
    done = run_pytest(tmp_path, body, "-p", "no:asyncio", "-p", "no:anyio")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A folder whose aioxide cannot be imported, as one that was built for another Python."""
    package = tmp_path / "broken" / "aioxide"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the extension is broken')\n")
    return str(package.parent)


def test_an_aioxide_that_cannot_be_imported_breaks_no_other_run(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", broken)
    done = run_pytest(tmp_path, NOTHING)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run_pytest(tmp_path, NOTHING, "--aioxide")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--aioxide: aioxide cannot be imported: the extension is broken" in done.stderr


def test_under_aioxide_run_the_plugin_leaves_what_it_finds(tmp_path: Path) -> None:
    program = (
        "import aioxide, pytest, sys\n"
        "aioxide.install()\n"
        "assert pytest.main(['-q', '-p', 'no:cacheprovider', '--aioxide']) == 0\n"
        "assert aioxide.installed()\n"
    )
    (tmp_path / "test_it.py").write_text(f"{OURS}\n{UNITTEST}")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_processes_of_xdist_run_on_aioxide(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    done = run_pytest(tmp_path, f"{OURS}\n{UNITTEST}\n{PYTEST_ASYNCIO}", "--aioxide", "-n", "2")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
