"""The examples: each runs as a user would run it, on each loop, and ends as it should."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from examples.expected import EXPECTED

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_"))
WITH_LOOP = [name for name in EXAMPLES if "command_line(" in (FOLDER / f"{name}.py").read_text()]
INTERRUPTED = str(Path(__file__).with_name("interrupted.py"))
STRICT = ("-X", "dev", "-W", "error")
# `-X dev` has a loop tell of what kept it busy: on a busy machine, anything.
SLOW_CALLBACK = re.compile(r"^Executing .* took \d+\.\d+ seconds\n", re.MULTILINE)
# Runs argv[1], whose folder is argv[2]; Ctrl-C is pressed when asyncio is first asked for.
PRESSED_AT_ASYNCIO = """\
import runpy, signal, sys

class Pressing:
    def find_spec(name, path=None, target=None):
        if name == "asyncio":
            signal.raise_signal(signal.SIGINT)

assert "asyncio" not in sys.modules
sys.meta_path.insert(0, Pressing)
sys.path.insert(0, sys.argv[2])
runpy.run_path(sys.argv[1], run_name="__main__")
"""
LIMIT = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * LIMIT)]


def need_libraries(name: str) -> None:
    """Skip the test where a library that the example imports is not installed."""
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.append(node.module)
        for module in modules:
            top = module.partition(".")[0]
            if not (FOLDER / f"{top}.py").exists() and importlib.util.find_spec(top) is None:
                pytest.skip(f"{top} is not installed")


class Run:
    """A child process, started at once and waited for later."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        environ = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env={**environ, "TMPDIR": str(folder)},
            cwd=folder,
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> tuple[int, str, str]:
        """Its exit code, output and errors: the pipes end when no child of it is left either."""
        output, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, output, SLOW_CALLBACK.sub("", errors)

    def kill(self) -> None:
        """End it, and what it has started, unless it has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts Python with these arguments; a run leaves no file, and is ended with the test."""
    runs: list[Run] = []

    def start(*words: str) -> Run:
        runs.append(Run(words, tmp_path))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EXAMPLES)
def test_prints_what_it_should_on_each_loop(name: str, start: Callable[..., Run]) -> None:
    """No error, no warning, nothing left behind, and the same lines from all loops."""
    need_libraries(name)
    program = str(FOLDER / f"{name}.py")
    runs = {"aioxide": start(*STRICT, program)}
    if name in WITH_LOOP:
        others = ["asyncio", "uvloop"] if importlib.util.find_spec("uvloop") else ["asyncio"]
        runs |= {loop: start(program, "--loop", loop) for loop in others}
    results = {loop: run.finish() for loop, run in runs.items()}
    for loop, (code, _, errors) in results.items():
        assert (code, errors) == (0, ""), loop
    lines = results["aioxide"][1].splitlines()
    assert set(EXPECTED[name]) <= set(lines)
    for loop, (_, output, _) in results.items():
        assert output.splitlines() == lines, loop


@pytest.mark.parametrize("name", EXAMPLES)
def test_ends_quietly_on_ctrl_c(name: str, start: Callable[..., Run]) -> None:
    """Pressed after the first line: exit code 130 as from a shell, and no traceback."""
    need_libraries(name)
    run = start(INTERRUPTED, str(FOLDER / f"{name}.py"))
    code, output, errors = run.finish()
    assert (code, errors) == (128 + signal.SIGINT, "")
    assert output


@pytest.mark.parametrize("name", EXAMPLES)
def test_ends_on_ctrl_c_wherever_it_is(name: str, start: Callable[..., Run]) -> None:
    """Pressed after any of these lines: no traceback, and nothing that waits for ever."""
    need_libraries(name)
    runs = [start(INTERRUPTED, str(FOLDER / f"{name}.py"), line) for line in EXPECTED[name]]
    for line, run in zip(EXPECTED[name], runs, strict=True):
        code, output, errors = run.finish()
        assert errors == "", line
        # After its last wait, or where it listens to the signal itself, it ends as it would have.
        assert code in (0, 128 + signal.SIGINT), line
        assert line in output.splitlines()


@pytest.mark.parametrize("name", EXAMPLES)
def test_ctrl_c_during_the_imports_is_quiet(name: str, start: Callable[..., Run]) -> None:
    """asyncio is what takes most of them: pressed when it is asked for."""
    program = str(FOLDER / f"{name}.py")
    code, output, errors = start("-c", PRESSED_AT_ASYNCIO, program, str(FOLDER)).finish()
    assert (code, output, errors) == (-signal.SIGINT, "", "")


def test_wrong_option_is_one_line(start: Callable[..., Run]) -> None:
    code, output, errors = start(str(FOLDER / "timeouts.py"), "--loop=fast").finish()
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert "--loop" in line
    assert "aioxide" in line


def test_missing_library_is_one_sentence(start: Callable[..., Run]) -> None:
    program = FOLDER / "service_aiohttp.py"
    hidden = "import runpy, sys; sys.modules['aiohttp'] = None; sys.path.insert(0, sys.argv[2])"
    words = f"{hidden}; runpy.run_path(sys.argv[1])", str(program), str(FOLDER)
    code, output, errors = start("-c", *words).finish()
    assert (code, output) == (1, "")
    assert errors == "This example needs aiohttp, which is not installed: pip install aiohttp\n"


def test_expected_lines_are_of_examples() -> None:
    assert sorted(EXPECTED) == EXAMPLES


def test_at_least_ten_run_on_all_loops() -> None:
    assert len(WITH_LOOP) >= 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_small_and_says_what_it_teaches(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text()
    words = ast.get_docstring(ast.parse(source)) or ""
    title, _, rest = words.partition("\n\n")
    assert title.endswith(".")
    assert "aioxide" in rest, "says by which way in it runs"
    assert sum(1 for line in source.splitlines() if line.strip()) <= 100


def test_readme_lists_each_example_once() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\.py\]\((\w+)\.py\) \|", (FOLDER / "README.md").read_text(), re.M
    )
    assert all(shown == target for shown, target in rows)
    assert sorted(shown for shown, _ in rows) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_unknown_arguments_are_refused(name: str) -> None:
    need_libraries(name)
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), "--unknown"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{name}.py: unrecognized arguments: --unknown\n"
