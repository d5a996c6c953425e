"""The commands of the house: listed, described, and safe to type."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.source import tree

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = {
    "help",
    "demo",
    "test",
    "lint",
    "fmt",
    "bench",
    "conformance",
    "test-all",
    "compatibility",
    "docs",
    "clean",
}
_TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)


def make(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run make as a user would, not as a part of the make that may be running these tests."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "VENV"}
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=cwd or tree.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the Makefile itself needs, for targets that change the disk."""
    for name in ("Makefile", "Cargo.toml", "Cargo.lock", "pyproject.toml"):
        shutil.copy(tree.ROOT / name, tmp_path / name)
    shutil.copytree(tree.ROOT / "scripts", tmp_path / "scripts")
    for folder in ("crates", "python/aioxide", "tests", "benchmarks", "examples"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_help_lists_every_target() -> None:
    """`make` alone prints one line for each target, and each target is declared phony."""
    done = make()
    assert done.returncode == 0, done.stderr
    listed = {line.split()[1]: line for line in done.stdout.splitlines()}
    makefile = tree.read("Makefile") or ""
    assert set(listed) == set(_TARGET.findall(makefile))
    assert set(listed) >= PROMISED
    assert all(len(line.split()) > 3 for line in listed.values()), "a target without description"
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(listed) <= set(phony[1].replace("\\", " ").split())


def test_readme_and_ci_name_the_commands() -> None:
    """The newcomer's two commands are in the README, the gate's two in the CI."""
    readme = tree.read("README.md") or ""
    assert "make demo" in readme
    assert "make test" in readme
    gate = tree.read(".ci/run") or ""
    assert re.search(r"^set -euo pipefail$", gate, re.MULTILINE)
    for command in ("make lint", "make test", "make test-pythons"):
        assert re.search(rf"\b{command}\b", gate), command
    assert os.access(tree.ROOT / ".ci/run", os.X_OK)


def test_missing_python_is_one_sentence(house: Path) -> None:
    """No traceback and no wall of text where a prerequisite is missing."""
    done = make("build", "PYTHON=no-such-python", cwd=house)
    assert done.returncode != 0
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("aioxide: ")]
    assert "no-such-python" in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("missing", ["cargo", "rustc", "cc"])
def test_missing_tool_is_one_sentence(missing: str, house: Path, tmp_path: Path) -> None:
    """Each tool that is not on PATH is named."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sed", "dirname", "sh", "gcc", "clang", "cargo", "rustc", "cc"):
        found = shutil.which(name)
        if found and name != missing and not (missing == "cc" and name in {"gcc", "clang"}):
            (tools / name).symlink_to(found)
    if missing != "rustc" and not (tools / "rustc").exists():
        pytest.skip("no rustc here")
    done = subprocess.run(
        [house / "scripts/prerequisites.sh", sys.executable],
        env={**os.environ, "PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("aioxide: ")
    assert {"cargo": "cargo", "rustc": "rustc", "cc": "C compiler"}[missing] in sentence


def test_other_python_needs_other_venv(house: Path) -> None:
    """An environment is never silently used for another Python than the one named."""
    (house / ".venv").mkdir()
    (house / ".venv/pyvenv.cfg").write_text("version = 3.1.4\n")
    done = make("build", f"PYTHON={sys.executable}", cwd=house)
    assert done.returncode != 0
    assert ".venv is of Python 3.1 and" in done.stderr


def test_copy_of_the_package_is_replaced(house: Path) -> None:
    """After `pip install .` into its environment, make puts the sources back in their place."""
    site_packages = house / ".venv/lib/python3.11/site-packages"
    (house / ".venv/bin").mkdir(parents=True)
    (house / ".venv/bin/python").symlink_to(sys.executable)
    (house / ".venv/.aioxide").mkdir()
    for name in ("venv", "dev.txt", "dev"):
        (house / ".venv/.aioxide" / name).touch()
    (house / ".venv/.aioxide/extension").write_text("Makefile\n")
    assert make("--question", "build", cwd=house).returncode == 0
    (site_packages / "aioxide").mkdir(parents=True)
    (site_packages / "aioxide/__init__.py").touch()
    assert make("--question", "build", cwd=house).returncode == 1


def test_clean_removes_only_what_make_made(house: Path) -> None:
    """An environment, a target folder or a file that somebody else made stays."""
    made = [
        ".venv/.made-by-make",
        ".venv-3.13/.made-by-make",
        ".venv-checked/.made-by-make",
        "target/CACHEDIR.TAG",
        "python/aioxide/_aioxide.cpython-313-x86_64-linux-gnu.so",
        "python/aioxide/__pycache__/x.pyc",
        ".mypy_cache/x",
    ]
    kept = [".venv-3.14/pyvenv.cfg", "targets/x", "python/aioxide/mine.so", "notes.txt"]
    for name in made + kept:
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).touch()
    done = make("clean", cwd=house)
    assert done.returncode == 0, done.stderr
    assert [name for name in made if (house / name).exists()] == []
    assert [name for name in kept if not (house / name).exists()] == []
    assert not (house / ".venv").exists()

    (house / "target").mkdir()
    assert make("clean", cwd=house).returncode == 0
    assert (house / "target").exists(), "a folder that Cargo did not make"
