"""Find the CPythons of this machine that aioxide supports, one of each minor version.

Looked at, in this order:

1. the directories named in AIOXIDE_PYTHONS (separated by ":"), each an installation
   (``DIR/bin/python3``) or a folder of installations (``DIR/*/bin/python3``);
2. the installations in ``~/.cache/aioxide/pythons``, where the CI puts what the machine lacks;
3. the versions of pyenv;
4. ``python3.X`` on PATH.

The first place that has a minor version wins it; within a place, the newest release does. A Python
counts if it starts, is a CPython with the GIL, and can make virtual environments.

Usage: python scripts/pythons.py [--only 3.13,3.14] [--except 3.11] [--json]

Prints ``3.X PATH`` lines, oldest first; fails if one that ``--only`` names is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OLDEST = (3, 11)
NEWEST = (3, 15)

PROBE = """
import ensurepip, json, sys, sysconfig, venv
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "final": sys.version_info.releaselevel == "final",
    "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "path": sys.executable,
}))
"""


class Python(NamedTuple):
    """One interpreter; a greater one is the better choice for its minor version."""

    final: bool
    version: tuple[int, int, int]
    path: str

    @property
    def minor(self) -> str:
        """The version as ``python3.X`` names it."""
        return f"{self.version[0]}.{self.version[1]}"


def probe(path: Path) -> Python | None:
    """The interpreter at ``path``, or None if it is not one that we can use."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    major, minor, micro = found["version"]
    usable = (
        found["implementation"] == "cpython"
        and found["gil"]
        and OLDEST <= (major, minor) <= NEWEST
        and found["path"]
    )
    return Python(found["final"], (major, minor, micro), found["path"]) if usable else None


def installations(folder: Path) -> Iterator[Path]:
    """``bin/python3`` of ``folder`` itself and of each folder in it."""
    for prefix in (folder, *sorted(folder.glob("*"))):
        python = prefix / "bin" / "python3"
        if python.exists():
            yield python


def places(environ: dict[str, str]) -> Iterator[Iterable[Path]]:
    """The candidates of each place, the place that wins first."""
    for folder in environ.get("AIOXIDE_PYTHONS", "").split(os.pathsep):
        if folder:
            yield installations(Path(folder).expanduser())
    home = Path(environ.get("HOME", "~")).expanduser()
    yield installations(home / ".cache" / "aioxide" / "pythons")
    yield installations(Path(environ.get("PYENV_ROOT", home / ".pyenv")) / "versions")
    folders = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    yield (folder / name for folder in folders for name in names if (folder / name).exists())


def find(environ: dict[str, str]) -> dict[str, Python]:
    """The interpreter of each minor version, oldest version first."""
    chosen: dict[str, Python] = {}
    for place in places(environ):
        here: dict[str, Python] = {}
        for path in place:
            python = probe(path)
            if python is not None:
                here[python.minor] = max(python, here.get(python.minor, python))
        chosen = here | chosen
    return dict(sorted(chosen.items(), key=lambda item: item[1].version[:2]))


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description="Find the CPythons that aioxide supports.")
    parser.add_argument("--only", default="", help="only these versions, as 3.13,3.14")
    parser.add_argument("--except", dest="without", default="", help="without these versions")
    parser.add_argument("--json", action="store_true", help="one JSON object, version to path")
    options = parser.parse_args()
    only = set(options.only.replace(",", " ").split())
    without = set(options.without.replace(",", " ").split())
    found = {
        minor: python.path
        for minor, python in find(dict(os.environ)).items()
        if minor not in without and (not only or minor in only)
    }
    missing = sorted(only - without - found.keys())
    if missing:
        print(f"pythons.py: not found on this machine: {', '.join(missing)}", file=sys.stderr)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for minor, path in found.items():
            print(minor, path)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
