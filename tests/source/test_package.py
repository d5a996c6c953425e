"""What `scripts/check_package.py` finds in a wheel or a source distribution that is wrong."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from scripts import check_package
from tests.source import tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

METADATA = "\n".join(
    [
        "Metadata-Version: 2.4",
        "Name: aioxide",
        "Version: 0.1.0",
        "Summary: a loop",
        "Keywords: asyncio",
        "Author: somebody",
        "License-Expression: MIT OR Apache-2.0",
        *(f"License-File: {name}" for name in check_package.LICENCES),
        "Requires-Python: >=3.11",
        "Description-Content-Type: text/markdown",
        "Project-URL: Changelog, https://example.org",
        "Project-URL: Repository, https://example.org",
        *(f"Classifier: Programming Language :: Python :: {v}" for v in check_package.PYTHONS),
        "Requires-Dist: rich>=13; extra == 'demo'",
        "",
        "Words.",
    ]
)
TRACKED = ["python/aioxide/__init__.py", "python/aioxide/py.typed", "README.md", "tests/test_x.py"]
ENTRY_POINTS = """\
[console_scripts]
aioxide=aioxide.cli:main
[pytest11]
aioxide=pytest_aioxide
"""
INFO = "aioxide-0.1.0.dist-info"
WHEEL = "aioxide-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl"


def content() -> dict[str, str]:
    """The files of a wheel that is right."""
    return {
        "aioxide/__init__.py": "",
        "aioxide/py.typed": "",
        "aioxide/_aioxide.cpython-313-x86_64-linux-gnu.so": "",
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/WHEEL": "",
        f"{INFO}/RECORD": "",
        f"{INFO}/entry_points.txt": ENTRY_POINTS,
        f"{INFO}/sboms/aioxide.cyclonedx.json": "{}",
        **{f"{INFO}/licenses/{name}": "" for name in check_package.LICENCES},
    }


def wheel(folder: Path, files: dict[str, str], name: str = WHEEL) -> list[str]:
    """What is found in a wheel of these files."""
    with zipfile.ZipFile(folder / name, "w") as file:
        for path, text in files.items():
            file.writestr(path, text)
    return list(check_package.check_wheel(folder / name, TRACKED))


def sdist(folder: Path, names: Iterable[str], link: str = "") -> list[str]:
    """What is found in a source distribution of files with these names."""
    path = folder / "aioxide-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in names:
            text = METADATA.encode() if name.endswith("PKG-INFO") else b""
            member = tarfile.TarInfo(name)
            member.size = len(text)
            file.addfile(member, io.BytesIO(text))
        if link:
            member = tarfile.TarInfo(link)
            member.type = tarfile.SYMTYPE
            file.addfile(member)
    tracked = [*TRACKED, "crates/aioxide/src/a/b.rs", "crates/aioxide/tests/a.rs"]
    return list(check_package.check_sdist(path, tracked))


def test_wheel_that_is_right(tmp_path: Path) -> None:
    """Nothing is found where nothing is wrong."""
    assert wheel(tmp_path, content()) == []


@pytest.mark.parametrize("name", [name for name in content() if "sboms" not in name])
def test_wheel_without_one_of_its_files(tmp_path: Path, name: str) -> None:
    """Each file is missed."""
    files = content()
    del files[name]
    (problem,) = wheel(tmp_path, files)
    assert name in problem or "not one extension for Python 313" in problem


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_x.py",
        "benchmarks/x.py",
        "aioxide/scratch.py",
        "aioxide/__pycache__/x.pyc",
        "aioxide/_aioxide.cpython-311-x86_64-linux-gnu.so",
        f"{INFO}/more",
    ],
)
def test_wheel_with_a_file_too_much(tmp_path: Path, name: str) -> None:
    """Tests, caches, extensions for another Python, and whatever lay around."""
    (problem,) = wheel(tmp_path, content() | {name: ""})
    assert name in problem


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("aioxide-0.1.0-cp313-cp313-linux_x86_64.whl", "manylinux"),
        ("aioxide-0.1.0-py3-none-any.whl", "not that of a wheel"),
        ("aioxide-0.1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "not one extension"),
    ],
)
def test_wheel_with_a_wrong_tag(tmp_path: Path, name: str, part: str) -> None:
    """A tag that no index takes, or that does not fit what is inside."""
    (problem,) = wheel(tmp_path, content(), name)
    assert part in problem


@pytest.mark.parametrize(
    ("line", "instead", "part"),
    [
        ("Summary: a loop", "", "no Summary"),
        ("Name: aioxide", "Name: other", "Name is 'other'"),
        ("License-Expression: MIT OR Apache-2.0", "", "License-Expression is None"),
        ("License-File: LICENSE-MIT", "", "not every licence"),
        ("Project-URL: Changelog, https://example.org", "", "no URL Changelog"),
        ("Classifier: Programming Language :: Python :: 3.14", "", "for Python 3.14"),
        ("Author: somebody", "Author: x\nClassifier: No :: Such", "no such classifier: No :: Such"),
        ("Requires-Dist: rich>=13; extra == 'demo'", "Requires-Dist: rich", "without an extra"),
    ],
)
def test_metadata_that_are_wrong(tmp_path: Path, line: str, instead: str, part: str) -> None:
    """What an index, or a reader there, would miss."""
    wrong = METADATA.replace(line + "\n", instead + "\n" if instead else "")
    assert wrong != METADATA
    (problem,) = wheel(tmp_path, content() | {f"{INFO}/METADATA": wrong})
    assert part in problem


def test_wheel_without_its_plugin(tmp_path: Path) -> None:
    """The command and the plugin of pytest are announced."""
    files = content() | {f"{INFO}/entry_points.txt": ENTRY_POINTS.partition("[pytest11]")[0]}
    (problem,) = wheel(tmp_path, files)
    assert problem.startswith("entry_points.txt: ")


def test_source_distribution_that_is_right_or_wrong(tmp_path: Path) -> None:
    """What is built is there, tests are not, and nothing is outside of its one folder."""
    top = "aioxide-0.1.0"
    built = ["python/aioxide/__init__.py", "python/aioxide/py.typed", "README.md"]
    built += ["crates/aioxide/src/a/b.rs", "PKG-INFO"]
    right = [f"{top}/{name}" for name in built]
    assert sdist(tmp_path, right) == []
    for name in built:
        assert sdist(tmp_path, set(right) - {f"{top}/{name}"}) == [f"{name}: missing"]
    for name in ("tests/test_x.py", "crates/aioxide/tests/a.rs", "target/x"):
        assert sdist(tmp_path, [*right, f"{top}/{name}"]) == [f"{name}: does not belong there"]
    assert sdist(tmp_path, [*right, right[0]]) == [f"{built[0]}: twice"]
    assert sdist(tmp_path, [*right, "elsewhere"]) == [f"elsewhere: outside {top}/"]
    problems = sdist(tmp_path, right, link=f"{top}/link")
    assert f"{top}/link: not a plain file" in problems


def test_source_distribution_of_the_repository(tmp_path: Path) -> None:
    """Ours is complete. Making it builds nothing."""
    command = [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.tar.gz")
    assert list(check_package.check_sdist(path, tree.names())) == []


@pytest.mark.parametrize("words", [[], ["aioxide-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl"]])
def test_no_package(words: list[str]) -> None:
    """One line and exit code 2."""
    command = [sys.executable, "scripts/check_package.py", *words]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
