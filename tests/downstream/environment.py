"""Where the suites come from and what they run in: archives, virtual environments, folders.

Everything is fetched from the package registry by pip, checked against the hash in the table, and
kept in the cache folder, so that a second run needs no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .table import Suite, Table

HERE = Path(__file__).parent
#: Where apt-get finds the archives that only Debian has.
DEBIAN = "http://deb.debian.org/debian trixie main"
#: What the runs may see of our own environment: no proxies, no settings of Python or of pytest.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
#: Where pytest looks for settings, and the beginning of the section's name.
PYTEST_SECTIONS = {
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}


class FetchError(Exception):
    """Something could not be fetched or installed; the message says what pip said."""


class Cache:
    """The cache folder of one Python."""

    def __init__(self, root: Path) -> None:
        self.root = root / f"{sys.version_info.major}.{sys.version_info.minor}"
        self.root.mkdir(parents=True, exist_ok=True)

    def archive(self, suite: Suite) -> Path:
        """The source archive of a suite, fetched if it is not here or not the right one."""
        folder = self.root / "archives"
        folder.mkdir(exist_ok=True)
        archive = folder / (suite.debian or f"{suite.name}-{suite.version}.tar.gz")
        if _sha256(archive) != suite.sha256:
            if suite.debian:
                self._fetch_from_debian(suite, folder)
            else:
                self._fetch_from_registry(suite, folder)
        if _sha256(archive) != suite.sha256:
            raise FetchError(f"{archive.name} was not what was fetched")
        return archive

    def _fetch_from_registry(self, suite: Suite, folder: Path) -> None:
        wanted = folder / f"{suite.name}.txt"
        wanted.write_text(f"{suite.name}=={suite.version} --hash=sha256:{suite.sha256}\n")
        # pip asks an archive for its metadata, for which some of them want to be built.
        environ = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
        _pip(
            self._builder(),
            [
                *("download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"),
                *("--require-hashes", "-d", str(folder), "-r", str(wanted)),
            ],
            environ,
        )

    def _fetch_from_debian(self, suite: Suite, folder: Path) -> None:
        """Let apt-get fetch a source archive, with lists of its own beside the machine's.

        Not everything that belongs to the package need be there, as long as the archive is.
        """
        lists = self.root / "apt" / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        sources = lists.parent / "sources"  # apt-get clears the folder of lists of what is not one.
        sources.write_text(f"deb-src [signed-by={keys}] {DEBIAN}\n")
        apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o"]
        apt += ["Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={lists}"]
        apt += ["-o", f"Dir::Cache={lists}"]
        package = suite.debian.partition("_")[0]
        for command in (["update"], ["source", "--download-only", package]):
            with contextlib.suppress(OSError):
                subprocess.run([*apt, *command], cwd=folder, capture_output=True, check=False)
        if not (folder / suite.debian).exists():
            raise FetchError(f"{suite.debian} needs apt-get and a mirror of Debian")

    def _builder(self) -> Path:
        """An environment with the build systems of the archives."""
        builders = ("setuptools", "wheel", "hatchling", "hatch-fancy-pypi-readme", "hatch-vcs")
        more = ("flit-core", "setuptools-scm", "pkgconfig", "packaging")
        return self._venv("builder", (*builders, *more))

    def _venv(self, name: str, requirements: tuple[str, ...]) -> Path:
        """An environment with these requirements; made anew if they have changed."""
        folder = self.root / name
        python = folder / "bin" / "python"
        stamp = folder / "requirements.txt"
        wanted = "\n".join(requirements) + "\n"
        # One that was made of a Python that has gone away does not start any more.
        if python.exists() and stamp.is_file() and stamp.read_text() == wanted:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        listed = folder / "wanted.txt"
        listed.write_text(wanted)
        _pip(python, ["install", "-r", str(listed)], dict(os.environ))
        listed.rename(stamp)
        return python

    def python(self, table: Table, suite: Suite) -> Path:
        """The interpreter of a suite: its requirements, our plugin, and the aioxide under test."""
        name = f"environment-{suite.environment}"
        python = self._venv(name, table.environments[suite.environment])
        (packages,) = (self.root / name / "lib").glob("python3.*/site-packages")
        visible = self.root / "aioxide"
        visible.mkdir(exist_ok=True)
        link = visible / "aioxide"
        installed = _installed()
        if not link.is_symlink() or link.resolve() != installed:
            link.unlink(missing_ok=True)
            link.symlink_to(installed)
        (packages / "aioxide-downstream.pth").write_text(f"{visible}\n{HERE / 'plugin'}\n")
        return python

    def sources(self, suite: Suite, implementation: str) -> Path:
        """The unpacked archive, as it was, for one run."""
        folder = self.root / "sources" / implementation
        target = folder / f"{suite.name}-{suite.version}"
        shutil.rmtree(target, ignore_errors=True)
        with tarfile.open(self.archive(suite)) as archive:
            archive.extractall(folder, filter="data")
        for name in suite.remove:
            (target / name).rename(target / f"original-{name}")
        if not any(_configures_pytest(target / name) for name in PYTEST_SECTIONS):
            # Else pytest takes the settings, and the names of tests, of a project around the cache.
            (target / "pytest.ini").write_text("[pytest]\n")
        return target

    def records(self) -> Path:
        """The folder for what the runs write."""
        folder = self.root / "records"
        folder.mkdir(exist_ok=True)
        return folder


def _configures_pytest(path: Path) -> bool:
    return path.is_file() and PYTEST_SECTIONS[path.name] in path.read_text(encoding="utf-8")


def _installed() -> Path:
    import aioxide

    assert aioxide.__file__ is not None
    return Path(aioxide.__file__).resolve().parent


def _pip(python: Path, arguments: list[str], environ: dict[str, str]) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run(
        command + arguments, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FetchError(f"pip {arguments[0]}: {(done.stderr or done.stdout)[-3000:]}")


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environ() -> dict[str, str]:
    """The environment variables of a run."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}
