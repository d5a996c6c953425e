"""Print the requirements of extras of pyproject.toml, one to a line, for ``pip install -r``.

``pip install .[dev]`` would build the package in order to learn them.

Usage: python scripts/extras.py EXTRA...
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """What the extras ask for, each requirement once, in the order of the file."""
    declared: dict[str, list[str]] = tomllib.loads(PYPROJECT.read_text())["project"][
        "optional-dependencies"
    ]
    unknown = [extra for extra in extras if extra not in declared]
    if unknown:
        raise SystemExit(f"extras.py: pyproject.toml has no extra named {', '.join(unknown)}")
    return list(dict.fromkeys(line for extra in extras for line in declared[extra]))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
