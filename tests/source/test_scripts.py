"""The scripts of the house: what they find, and what they must not overlook."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from scripts import check_docs, extras, pythons
from tests.source import tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A repository whose documents are complete."""
    for name in check_docs.REQUIRED:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("# Words\n\n## The GIL's rules\n")
    return tmp_path


def test_documents_of_the_repository() -> None:
    """Ours are complete."""
    assert not list(check_docs.problems(tree.ROOT))


def test_documents_that_are_right(site: Path) -> None:
    """Files, folders, headings, the web, and code that only looks like a link."""
    (site / "README.md").write_text(
        "[a](docs/safety.md) [b](docs/) [c](docs/safety.md#the-gils-rules) [d](#words)\n"
        "# Words\n[e]: https://example.org/nothing\n`[f](nowhere.md)` `docs/safety.md`\n"
        '```\n[g](nowhere.md)\n```\n[h](LICENSE "title")\n'
    )
    assert not list(check_docs.problems(site))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a](docs/nowhere.md)", "no such file"),
        ("[a](docs/safety.md#nowhere)", "no such heading"),
        ("[a](#nowhere)", "no such heading"),
        ("![a](docs/chart.png)", "no such file"),
        ("[a](../elsewhere.md)", "outside the repository"),
        ("[a]: docs/nowhere.md", "no such file"),
        ("see `crates/nowhere/src/lib.rs`", "no such file"),
        ("```\ncode\n```\n[a](nowhere.md)", "no such file"),
    ],
)
def test_documents_that_are_wrong(site: Path, text: str, why: str) -> None:
    """Every kind of dead link is found, once."""
    (site / "README.md").write_text(text)
    (problem,) = check_docs.problems(site)
    assert problem.startswith("README.md:")
    assert problem.endswith(why)


@pytest.mark.parametrize("name", check_docs.REQUIRED)
def test_documents_that_are_missing(site: Path, name: str) -> None:
    """A document that is gone, or has nothing in it."""
    (site / name).write_text("\n")
    assert f"{name}: missing or empty" in list(check_docs.problems(site))
    (site / name).unlink()
    assert f"{name}: missing or empty" in list(check_docs.problems(site))


def test_extras() -> None:
    """Each requirement once; an extra that is not there is an error."""
    both = extras.requirements(["dev", "demo"])
    assert len(both) == len(set(both))
    assert any(line.startswith("pytest") for line in both)
    assert any(line.startswith("aiohttp") for line in both)
    with pytest.raises(SystemExit, match="no extra named nothing"):
        extras.requirements(["nothing"])


def installation(folder: Path, script: str) -> Path:
    """A folder that looks like an installation of Python."""
    python = folder / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return folder


def answer(version: str, *, final: str = "true", gil: str = "true", of: str = "cpython") -> str:
    """A script that answers the probe as that Python would."""
    numbers = version.replace(".", ", ")
    return (
        f'echo \'{{"implementation": "{of}", "version": [{numbers}], "final": {final}, '
        f'"gil": {gil}, "path": "\'"$0"\'"}}\''
    )


def test_pythons_finds_this_one(tmp_path: Path) -> None:
    """The interpreter of these tests, by the name that it has on PATH."""
    name = f"python3.{sys.version_info.minor}"
    (tmp_path / name).symlink_to(
        shutil.which(name, path=f"{sys.base_prefix}/bin") or sys.executable
    )
    found = pythons.find({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert list(found) == [f"3.{sys.version_info.minor}"]


def test_pythons_chooses(tmp_path: Path) -> None:
    """The newest release of a place; a named folder before pyenv; nothing that cannot be used."""
    versions = tmp_path / "pyenv" / "versions"
    installation(versions / "3.12.1", answer("3.12.1"))
    installation(versions / "3.12.7", answer("3.12.7"))
    installation(versions / "3.12.9rc1", answer("3.12.9", final="false"))
    installation(versions / "3.13.2", answer("3.13.2"))
    installation(versions / "3.10.1", answer("3.10.1"))
    installation(versions / "3.14t", answer("3.14.0", gil="false"))
    installation(versions / "pypy", answer("3.11.9", of="pypy"))
    installation(versions / "broken", "exit 127")
    named = tmp_path / "named"
    installation(named / "one", answer("3.13.0"))
    found = pythons.find(
        {
            "AIOXIDE_PYTHONS": f"{named}{os.pathsep}{tmp_path / 'nowhere'}",
            "PYENV_ROOT": str(versions.parent),
            "HOME": str(tmp_path),
        }
    )
    assert {minor: python.version for minor, python in found.items()} == {
        "3.12": (3, 12, 7),
        "3.13": (3, 13, 0),
    }
    assert found["3.13"].path == str(named / "one" / "bin" / "python3")


def test_pythons_fails_on_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks for a version by name is not told that all is well without it."""
    installation(tmp_path / "named" / "one", answer("3.13.0"))
    for name, value in {
        "AIOXIDE_PYTHONS": "named",
        "HOME": ".",
        "PATH": "",
        "PYENV_ROOT": "x",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr(sys, "argv", ["pythons.py", "--only", "3.13 3.14"])
    assert pythons.main() == 1
    output = capsys.readouterr()
    assert output.out == f"3.13 {tmp_path}/named/one/bin/python3\n"
    assert output.err == "pythons.py: not found on this machine: 3.14\n"
    monkeypatch.setattr(sys, "argv", ["pythons.py", "--except", "3.13", "--only", "3.13"])
    assert pythons.main() == 0
    assert not capsys.readouterr().out
