"""Type checkers see aioxide as its users should: right programs pass, wrong ones do not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED = sorted((HERE / "accepted").glob("*.py"))
REJECTED = sorted((HERE / "rejected").glob("*.py"))

_EXPECTED = re.compile(r"#\s*error:\s*(?P<codes>[a-z-]+(?:,\s*[a-z-]+)*)\s*$")
_REPORTED = re.compile(r"^(?P<path>.+?):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run mypy --strict on the package as it is installed here."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context"]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def pyright(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run pyright on the package as it is installed here."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    # What the wrapper says of newer versions is nobody's concern here.
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def expected_errors(path: Path) -> set[tuple[int, str]]:
    """The line numbers and error codes that the program's comments ask for."""
    return {
        (number, code.strip())
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := _EXPECTED.search(line))
        for code in match["codes"].split(",")
    }


def test_there_are_programs() -> None:
    """A moved folder would leave the tests below with nothing to check."""
    assert ACCEPTED
    assert all(expected_errors(path) for path in REJECTED)
    assert REJECTED


@pytest.mark.parametrize("version", ["3.11", "3.13", "3.14"])
def test_accepted(version: str) -> None:
    """Not one error in a right program."""
    done = mypy("--python-version", version, *map(str, ACCEPTED))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(400)
def test_accepted_by_pyright() -> None:
    """The other type checker that people use finds nothing either."""
    done = pyright(*ACCEPTED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout


@pytest.mark.timeout(400)
def test_rejected_by_pyright() -> None:
    """It reports the same lines of the wrong programs, and no others."""
    done = pyright("--outputjson", *REJECTED)
    found = {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in json.loads(done.stdout)["generalDiagnostics"]
        if each["severity"] == "error"
    }
    expected = {(path.name, line) for path in REJECTED for line, _ in expected_errors(path)}
    assert found == expected


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted_runs(path: Path) -> None:
    """What the stubs promise is so when the program runs."""
    command = [sys.executable, "-X", "dev", "-W", "error", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_rejected(path: Path) -> None:
    """Each mistake is reported on its line, and nothing else is."""
    done = mypy(str(path))
    assert done.returncode == 1, done.stdout + done.stderr
    reported = {
        (int(match["line"]), match["code"])
        for line in done.stdout.splitlines()
        if (match := _REPORTED.match(line))
    }
    assert reported == expected_errors(path), done.stdout


def test_stub_of_the_extension() -> None:
    """`_aioxide.pyi` says what the extension has: names, signatures, kinds."""
    allowed = str(HERE / "stubtest_allowlist.txt")
    command = [sys.executable, "-m", "mypy.stubtest", "aioxide._aioxide", "--concise"]
    done = subprocess.run(
        [*command, "--allowlist", allowed, "--mypy-config-file", str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
