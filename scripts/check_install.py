"""Install a package of aioxide into a new virtual environment, without extras, and try it there.

A source distribution, or a folder, is built by pip as for any user: with the build backend from the
index, and from nothing.

Usage: python scripts/check_install.py PACKAGE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = (
    "import asyncio\n"
    "async def main():\n"
    "    print(type(asyncio.get_running_loop()).__module__, asyncio.sleep.__module__)\n"
    "asyncio.run(main())\n"
)


class Environment:
    """A virtual environment, and a folder that has nothing in it to import."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self.empty = folder / "empty"
        self.empty.mkdir()
        venv.create(folder / "venv", with_pip=True)

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, as a user would who has nothing set."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environ.pop("AIOXIDE_FILES", None)
        command = [str(self.bin / name), *words]
        return subprocess.run(
            command, cwd=self.empty, env=environ, capture_output=True, text=True, check=False
        )

    def install(self, package: Path) -> None:
        """Install it with pip, or end with what pip said."""
        done = self.run("python", "-m", "pip", "install", "--no-cache-dir", str(package.resolve()))
        if done.returncode:
            sys.exit(
                f"check_install.py: pip could not install {package}\n{done.stdout}{done.stderr}"
            )


def problems(environment: Environment) -> Iterator[str]:
    """Everything that does not work in an environment with aioxide, and nothing else, in it."""
    listed = environment.run("python", "-m", "pip", "list", "--format", "json")
    packages = {package["name"]: package["version"] for package in json.loads(listed.stdout)}
    if set(packages) - {"pip", "setuptools"} != {"aioxide"}:
        yield f"more was installed than aioxide: {', '.join(packages)}"
    version = packages.get("aioxide")

    for words in (["aioxide", "--version"], ["python", "-m", "aioxide", "-V"]):
        done = environment.run(*words)
        if done.returncode or not done.stdout.startswith(f"aioxide {version} ("):
            yield f"{' '.join(words)}: {done.stdout}{done.stderr}"

    done = environment.run("python", "-m", "aioxide", "-c", _PROGRAM)
    said = f"aioxide {version} loop, files "  # the line at the first loop, and nothing else
    told = done.stderr.startswith(said) and done.stderr.count("\n") == 1
    if done.stdout != "aioxide.events aioxide.tasks\n" or not told:
        yield f"python -m aioxide -c: {done.stdout}{done.stderr}"

    done = environment.run("aioxide", "demo")
    if done.returncode != 2 or done.stderr.count("\n") != 1 or "pip install" not in done.stderr:
        yield f"aioxide demo, without its extra: {done.stdout}{done.stderr}"

    done = environment.run("aioxide", "doctor", "--json")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        yield f"aioxide doctor: {done.stdout}{done.stderr}"
        return
    for step, error in report["self_test"]["errors"].items():
        if error is not None:
            yield f"aioxide doctor: {step}: {error}"
    ours = report["aioxide"]
    if not Path(ours["package"]).is_relative_to(environment.bin.parent):
        yield f"aioxide was imported from {ours['package']}"
    if not ours["version"] == ours["installed_version"] == version:
        yield f"versions: {version} installed, {ours['version']} built"


def main() -> int:
    """Print what does not work, one to a line."""
    if len(sys.argv) != 2:
        print("check_install.py: give one wheel, source distribution or folder", file=sys.stderr)
        return 2
    package = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="aioxide-install-") as folder:
        environment = Environment(Path(folder))
        environment.install(package)
        found = list(problems(environment))
    for problem in found:
        print(f"check_install.py: {problem.strip()}", file=sys.stderr)
    if not found:
        print(f"{package}: installed without extras, and works")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
