"""Check that a wheel or a source distribution holds what it should, and nothing else.

A wheel has the package, one extension, the licences and complete metadata; a source distribution
what a build needs. What should be there is what git tracks, so a file that is forgotten, and one
that was only lying around, are both noticed.

Usage: python scripts/check_package.py PACKAGE...
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message

ROOT = Path(__file__).resolve().parents[1]
LICENCES = ("LICENSE", "LICENSE-APACHE", "LICENSE-MIT")
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
ENTRY_POINTS = {
    "console_scripts": {"aioxide": "aioxide.cli:main"},
    "pytest11": {"aioxide": "pytest_aioxide"},
}
_BUILT = (
    "pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", *LICENCES, "python/aioxide/*",
    "python/pytest_aioxide/*",
    "crates/*/Cargo.toml", "crates/*/build.rs", "crates/*/src/*.rs",
)  # fmt: skip
_WHEEL = re.compile(
    r"aioxide-(?P<version>[^-]+)-cp(?P<python>\d+)-cp(?P=python)-(?P<platform>.+)\.whl"
)
_PLATFORM = re.compile(r"(?:manylinux|musllinux)_\d+_\d+_\w+")


def tracked(root: Path) -> list[str]:
    """The files under ``root`` that git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def compare(found: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    """What is missing, what is there without reason, and what is there twice."""
    found, wanted = sorted(found), set(wanted)
    yield from (f"{name}: missing" for name in sorted(wanted - set(found)))
    yield from (f"{name}: does not belong there" for name in found if name not in wanted)
    yield from (f"{name}: twice" for name, next_ in pairwise(found) if name == next_)


def check_metadata(metadata: Message) -> Iterator[str]:
    """What the metadata lack that an index, or a reader there, looks for."""
    single = ("Version", "Summary", "Keywords", "Author", "Description-Content-Type")
    yield from (f"metadata: no {name}" for name in single if not metadata.get(name))
    wanted = {
        "Name": "aioxide",
        "License-Expression": "MIT OR Apache-2.0",
        "Requires-Python": ">=3.11",
    }
    for name, value in wanted.items():
        if metadata.get(name) != value:
            yield f"metadata: {name} is {metadata.get(name)!r}, not {value!r}"
    if tuple(sorted(metadata.get_all("License-File", []))) != LICENCES:
        yield "metadata: not every licence is a License-File"
    urls = {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])}
    yield from (
        f"metadata: no URL {name}" for name in ("Changelog", "Repository") if name not in urls
    )
    classifiers = metadata.get_all("Classifier", [])
    for python in PYTHONS:
        if f"Programming Language :: Python :: {python}" not in classifiers:
            yield f"metadata: no classifier for Python {python}"
    from trove_classifiers import classifiers as known

    yield from (
        f"metadata: no such classifier: {name}" for name in classifiers if name not in known
    )
    for requirement in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in requirement:
            yield f"metadata: {requirement} is required without an extra"


def check_wheel(path: Path, names: list[str]) -> Iterator[str]:
    """Everything that is wrong with a wheel; ``names`` are the tracked files."""
    tags = _WHEEL.fullmatch(path.name)
    if tags is None:
        yield "the name is not that of a wheel of aioxide for one CPython"
        return
    if not _PLATFORM.fullmatch(tags["platform"]):
        yield f"{tags['platform']}: an index takes manylinux or musllinux only"
    with zipfile.ZipFile(path) as wheel:
        found = wheel.namelist()
        info = f"aioxide-{tags['version']}.dist-info"
        extensions = [name for name in found if fnmatch(name, "aioxide/_aioxide.cpython-*.so")]
        if len(extensions) != 1 or f".cpython-{tags['python']}-" not in extensions[0]:
            yield f"not one extension for Python {tags['python']}, but {extensions}"
        packages = ("python/aioxide/", "python/pytest_aioxide/")
        wanted = [name.removeprefix("python/") for name in names if name.startswith(packages)]
        wanted += [f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")]
        wanted += [f"{info}/licenses/{name}" for name in LICENCES]
        wanted += [name for name in found if fnmatch(name, f"{info}/sboms/*.json")]
        yield from compare(found, [*wanted, *extensions])
        if f"{info}/METADATA" in found:
            yield from check_metadata(message_from_bytes(wheel.read(f"{info}/METADATA")))
        if f"{info}/entry_points.txt" in found:
            parsed = ConfigParser()
            parsed.read_string(wheel.read(f"{info}/entry_points.txt").decode())
            entry_points = {name: dict(parsed[name]) for name in parsed.sections()}
            if entry_points != ENTRY_POINTS:
                yield f"entry_points.txt: {entry_points}"


def check_sdist(path: Path, names: list[str]) -> Iterator[str]:
    """Everything that is wrong with a source distribution; ``names`` are the tracked files."""
    top = path.name.removesuffix(".tar.gz") + "/"
    with tarfile.open(path) as sdist:
        members = sdist.getmembers()
        yield from (f"{member.name}: not a plain file" for member in members if not member.isfile())
        found = [member.name for member in members if member.name.startswith(top)]
        yield from (f"{m.name}: outside {top}" for m in members if not m.name.startswith(top))
        wanted = [name for name in names if any(fnmatch(name, pattern) for pattern in _BUILT)]
        yield from compare([name.removeprefix(top) for name in found], [*wanted, "PKG-INFO"])
        if f"{top}PKG-INFO" in found:
            metadata = sdist.extractfile(f"{top}PKG-INFO")
            yield from check_metadata(message_from_bytes(metadata.read() if metadata else b""))


def ask_others(path: Path) -> Iterator[str]:
    """What twine says of the metadata and the README's rendering, and auditwheel of the tag."""
    twine = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", str(path)]
    done = subprocess.run(twine, capture_output=True, text=True, check=False)
    if done.returncode:
        yield " ".join((done.stdout + done.stderr).split())
    tags = _WHEEL.fullmatch(path.name)
    if tags is not None:
        audit = [sys.executable, "-m", "auditwheel", "show", str(path)]
        done = subprocess.run(audit, capture_output=True, text=True, check=False)
        said = " ".join((done.stdout + done.stderr).split())
        if done.returncode or f'following platform tag: "{tags["platform"]}"' not in said:
            yield f"auditwheel does not confirm the tag: {said}"


def problems(path: Path, root: Path) -> Iterator[str]:
    """Everything that is wrong with a package made of ``root``."""
    check = check_wheel if path.suffix == ".whl" else check_sdist
    yield from check(path, tracked(root))
    yield from ask_others(path)


def main() -> int:
    """Print the problems, one to a line."""
    if len(sys.argv) < 2:
        print("check_package.py: no package given", file=sys.stderr)
        return 2
    wrong = False
    for path in map(Path, sys.argv[1:]):
        try:
            found = list(problems(path, ROOT))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"check_package.py: cannot check {path}: {error}", file=sys.stderr)
            return 2
        for problem in found:
            print(f"{path.name}: {problem}", file=sys.stderr)
        if not found:
            print(f"{path}: complete ({path.stat().st_size / 1e6:.1f} MB)")
        wrong |= bool(found)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
