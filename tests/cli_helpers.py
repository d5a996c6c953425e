"""A folder with programs, run by python, by `python -m aioxide` and by `aioxide run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# What the script made by an installer for `aioxide` says.
CONSOLE_SCRIPT = "import sys\nfrom aioxide.cli import main\nsys.exit(main())\n"

DESCRIBE = """\
import json, sys
main = sys.modules["__main__"]
spec = __spec__
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path,
    "names": sorted(globals()),
    "is_main": vars(main) is globals(),
    "name": __name__,
    "file": globals().get("__file__"),
    "cached": globals().get("__cached__"),
    "package": __package__,
    "doc": __doc__,
    "spec": spec and [spec.name, spec.origin, spec.parent],
    "loader": getattr(__loader__, "__name__", type(__loader__).__name__),
    "loaded": getattr(__loader__, "path", None),
    "builtins": type(__builtins__).__name__,
}))
"""

PACKAGE_MAIN = f"from .sibling import NAME\nassert NAME == __package__ + '.sibling'\n{DESCRIBE}"


class Place:
    """A folder with programs, and the ways to run them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.console_script = path / "bin" / "aioxide"
        self.write("bin/aioxide", CONSOLE_SCRIPT)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(
        self, *words: str, flags: tuple[str, ...] = (), cwd: str = ".", stdin: str = "", **env: str
    ) -> tuple[int, str, str]:
        # Compiled files would make the first run differ from the second.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | env
        done = subprocess.run(
            [sys.executable, *flags, *words],
            cwd=self.path / cwd,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def module(self, *words: str, **how: Any) -> tuple[int, str, str]:
        return self.run("-m", "aioxide", *words, **how)

    def console(self, *words: str, **how: Any) -> tuple[int, str, str]:
        return self.run(str(self.console_script), *words, **how)

    def same(self, *words: str, **how: Any) -> tuple[int, str, str]:
        """Run by python and by us, compare, and return what came out of it."""
        expected = self.run(*words, **how)
        assert self.module(*words, **how) == expected
        assert self.console("run", *words, **how) == expected
        return expected

    def same_description(self, *words: str, **how: Any) -> dict[str, Any]:
        """The same with a program that describes what it sees."""
        code, out, errors = self.same(*words, **how)
        assert (code, errors) == (0, "")
        description: dict[str, Any] = json.loads(out)
        assert description["is_main"]
        assert description["name"] == "__main__"
        return description


def filled_place(path: Path) -> Place:
    """Return a folder with programs of each kind that describe what they see."""
    place = Place(path)
    place.write("app.py", DESCRIBE)
    place.write("sub/other.py", DESCRIBE)
    place.write("folder/__main__.py", DESCRIBE)
    place.write("package/__init__.py", "")
    place.write("package/__main__.py", PACKAGE_MAIN)
    place.write("package/tool.py", PACKAGE_MAIN)
    place.write("package/sibling.py", "NAME = __name__\n")
    return place
