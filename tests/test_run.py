"""`aioxide run`: options of python, commands by name, and the processes that a program starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import aioxide
from cli_helpers import CONSOLE_SCRIPT, DESCRIBE, Place, filled_place

pytestmark = pytest.mark.aioxide_only

PACKAGE = Path(aioxide.__file__).parent
KIND = (
    "import asyncio\n"
    "async def main():\n"
    "    print(type(asyncio.get_running_loop()).__module__, asyncio.Lock.__module__)\n"
    "def run(): asyncio.run(main())\n"
)
OURS = "aioxide.events aioxide.locks\n"
STOCK = "asyncio.unix_events asyncio.locks\n"
SAYS_SO = f"aioxide {aioxide.__version__} loop, files "


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return filled_place(tmp_path)


# --- options of python ----------------------------------------------------------------------------

FLAGS = "import sys; print(sys.flags, sys.warnoptions, sorted(sys._xoptions))"


@pytest.mark.parametrize(
    "options",
    [
        ["-X", "dev"],
        ["-Xdev", "-Wignore"],
        ["-W", "error", "-W", "ignore::DeprecationWarning"],
        ["-OOBu"],
        ["-b", "-E", "-s"],
        ["-P"],
        ["-BXutf8=0"],
    ],
    ids=" ".join,
)
def test_options_of_python_reach_the_interpreter(place: Place, options: list[str]) -> None:
    place.write("flags.py", FLAGS)
    for words in (["flags.py"], ["-c", FLAGS], ["--", "flags.py"]):
        expected = place.run(*options, *(word for word in words if word != "--"))
        assert place.module(*options, *words) == expected
        assert place.console("run", *options, *words) == expected


def test_options_are_added_to_those_of_this_interpreter(place: Place) -> None:
    program = "import sys; print(sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions)"
    expected = place.run("-c", program, flags=("-O", "-W", "ignore", "-X", "dev"))
    assert place.console("run", "-Xdev", "-c", program, flags=("-O", "-W", "ignore")) == expected


def test_letters_together_with_a_module(place: Place) -> None:
    for words in (["-um", "app", "one"], ["-umapp", "one"], ["-Bm", "package"]):
        place.same_description(*words)


def test_a_program_sees_what_it_sees_without_options(place: Place) -> None:
    for words in (["app.py", "-X", "dev"], ["-m", "package", "-W", "error"], ["-", "one"]):
        stdin = DESCRIBE if words[0] == "-" else ""
        place.same_description("-W", "error", *words, stdin=stdin)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-X"], "-X needs a value"),
        (["-uW"], "-W needs a value"),
        (["-S", "app.py"], "unrecognized arguments: -S"),
        (["-X", "dev"], "no program given"),
        (["-um"], "-m needs a module"),
        (["--check-hash-based-pycs"], "--check-hash-based-pycs needs a value"),
    ],
)
def test_wrong_options(place: Place, words: list[str], part: str) -> None:
    for code, out, errors in (place.module(*words), place.console("run", *words)):
        assert (code, out) == (2, "")
        assert part in errors
        assert len(errors.splitlines()) == 1


# --- commands -------------------------------------------------------------------------------------


def command(place: Place, name: str, text: str, folder: str = "commands") -> dict[str, str]:
    """Write an executable file; return an environment whose PATH has its folder."""
    path = place.write(f"{folder}/{name}", text)
    path.chmod(0o755)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


def test_console_script_by_name(place: Place) -> None:
    text = f"#!{sys.executable}\n{DESCRIBE}"
    path = command(place, "serve", text)
    expected = place.run(str(place.path / "commands/serve"), "app:app", "-m", "--", "x", **path)
    assert json.loads(expected[1])["argv"][1:] == ["app:app", "-m", "--", "x"]
    assert place.console("run", "serve", "app:app", "-m", "--", "x", **path) == expected
    assert place.module("serve", "app:app", "-m", "--", "x", **path) == expected


@pytest.mark.parametrize(
    "start",
    [
        "#!{python}\n",
        "#!/usr/bin/env {name}\n",
        "#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\n",
    ],
    ids=["path", "env", "long path"],
)
def test_first_lines_that_installers_write(place: Place, start: str) -> None:
    python = Path(sys.executable)
    text = start.format(python=python, name=python.name) + KIND + "run()\n"
    path = command(place, "serve", text)
    path["PATH"] = f"{python.parent}{os.pathsep}{path['PATH']}"
    code, out, errors = place.console("run", "serve", **path)
    assert (code, out) == (0, OURS)
    assert errors.startswith(SAYS_SO)


def test_command_of_another_python_is_refused(place: Place) -> None:
    path = command(place, "serve", "#!/nowhere/bin/python3\nprint('run')\n")
    code, out, errors = place.console("run", "serve", **path)
    assert (code, out) == (2, "")
    assert "belongs to another Python, /nowhere/bin/python3" in errors
    assert len(errors.splitlines()) == 1


def test_command_in_another_language_starts_pythons_on_aioxide(place: Place) -> None:
    place.write("kind.py", KIND + "run()\n")
    path = command(place, "start", f'#!/bin/sh\n"{sys.executable}" kind.py; exit "$1"\n')
    for words in (["start", "3"], ["commands/start", "3"]):
        code, out, errors = place.console("run", *words, **path)
        assert (code, out) == (3, OURS)
        assert errors.startswith(SAYS_SO)


def test_a_file_is_taken_before_a_command_and_a_folder_without_main_after_it(place: Place) -> None:
    path = command(place, "serve", f"#!{sys.executable}\nprint('command')\n")
    (place.path / "serve").mkdir()
    assert place.console("run", "serve", **path) == (0, "command\n", "")
    place.write("serve/__main__.py", "print('folder')")
    assert place.console("run", "serve", **path) == (0, "folder\n", "")


def test_commands_of_aioxide_by_python(place: Place) -> None:
    code, out, _ = place.module("doctor", "--json")
    assert code == 0
    assert json.loads(out)["self_test"]["passed"]
    code, out, _ = place.module("demo", "--help")
    assert code == 0
    assert "usage: aioxide demo" in out
    assert place.module("run", "--quiet", "-c", KIND + "run()") == (0, OURS, "")
    place.write("doctor", "print('a program')")
    assert place.module("doctor") == (0, "a program\n", "")


# --- the program's loop ---------------------------------------------------------------------------


def test_keep_loop_replaces_names_only(place: Place) -> None:
    expected = (0, "asyncio.unix_events aioxide.locks\n", "")
    assert place.console("run", "--keep-loop", "-c", KIND + "run()") == expected
    assert place.module("--keep-loop", "-X", "utf8", "-c", KIND + "run()") == expected


def test_the_loop_is_told_on_stderr(place: Place) -> None:
    code, out, errors = place.console("run", "-c", KIND + "run()\nrun()\n")
    assert (code, out) == (0, OURS * 2)
    (line,) = errors.splitlines()
    assert line.startswith(SAYS_SO)


@pytest.mark.parametrize(
    "configured",
    ["logging.basicConfig()", "logging.getLogger('aioxide').setLevel('ERROR')"],
    ids=["a handler for warnings", "a level"],
)
def test_logging_of_the_program_decides(place: Place, configured: str) -> None:
    program = f"import logging\n{configured}\n{KIND}run()\n"
    assert place.console("run", "-c", program) == (0, OURS, "")


def test_a_loop_of_the_programs_own_is_told(place: Place) -> None:
    program = (
        f"{KIND}class Mine(asyncio.SelectorEventLoop): pass\n"
        "with asyncio.Runner(loop_factory=Mine) as runner: runner.run(main())\n"
    )
    place.write("program.py", program)
    code, out, errors = place.console("run", "program.py")
    assert (code, out) == (0, "__main__ aioxide.locks\n")
    (line,) = errors.splitlines()
    assert line.startswith("aioxide's loop is not used: __main__.Mine runs, started by ")
    assert line.endswith("program.py:6")


# --- child processes ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing(place: Place, method: str) -> None:
    place.write(
        "program.py",
        f"{KIND}import multiprocessing\n"
        "if __name__ == '__main__':\n"
        f"    process = multiprocessing.get_context({method!r}).Process(target=run)\n"
        "    process.start()\n    process.join()\n    raise SystemExit(process.exitcode)\n",
    )
    assert place.console("run", "--quiet", "program.py") == (0, OURS, "")
    keeps = "asyncio.unix_events aioxide.locks\n"
    assert place.console("run", "--keep-loop", "program.py") == (0, keeps, "")


def child(code: str, python: str = sys.executable, flags: str = "") -> str:
    """Return a program that starts a Python process with this program."""
    words = [python, *flags.split(), "-c", code]
    return f"import subprocess, sys\nraise SystemExit(subprocess.call({words!r}))"


def test_subprocesses_and_theirs(place: Place) -> None:
    program = KIND + "run()"
    for text in (child(program), child(child(program))):
        assert place.console("run", "--quiet", "-c", text) == (0, OURS, "")
        code, out, errors = place.console("run", "-c", text)
        assert (code, out) == (0, OURS)
        assert errors.startswith(SAYS_SO)


def test_a_child_that_imports_aioxide_first(place: Place) -> None:
    program = "import aioxide\n" + KIND + "run()\nassert aioxide.installed()"
    assert place.console("run", "--quiet", "-c", child(program)) == (0, OURS, "")


def test_a_child_without_asyncio_imports_nothing(place: Place) -> None:
    program = (
        "import sys\n"
        "print([name for name in sys.modules if 'aioxide' in name or 'asyncio' in name])"
    )
    assert place.console("run", "-c", child(program)) == (0, "[]\n", "")


DESCRIBE_START = (
    "import sys\n"
    "print(sys.path, [name for name in sys.modules if 'aioxide' in name or 'custom' in name])\n"
    "print([getattr(each, '__name__', type(each).__name__) for each in sys.meta_path"
    " if type(each).__name__ != '_Watcher'])"
)


def test_a_child_has_the_path_that_it_would_have(place: Place) -> None:
    other = str(place.path / "sub")
    expected = place.run("-c", child(DESCRIBE_START), PYTHONPATH=other)
    assert place.console("run", "-c", child(DESCRIBE_START), PYTHONPATH=other) == expected


def test_the_users_sitecustomize_runs(place: Place) -> None:
    place.write("user/sitecustomize.py", "import sys\nprint('the user', __file__)\nMARK = 1\n")
    program = f"import sitecustomize\nassert sitecustomize.MARK\n{KIND}run()"
    for text in (child(program), child(child(program))):
        count = text.count("subprocess.call") + 1
        code, out, errors = place.console("run", "--quiet", "-c", text, PYTHONPATH="user")
        assert (code, errors) == (0, "")
        lines = out.splitlines(keepends=True)
        assert lines[-1] == OURS
        assert [line.startswith("the user") for line in lines[:-1]] == [True] * count


def test_a_users_sitecustomize_that_fails_is_told_by_python(place: Place) -> None:
    place.write("user/sitecustomize.py", "raise ValueError('from the user')")
    expected = place.run("-c", child("pass"), PYTHONPATH="user")
    assert "from the user" in expected[2]
    assert place.console("run", "-c", child("pass"), PYTHONPATH="user") == expected
    code, out, _ = place.console("run", "-c", child(KIND + "run()"), PYTHONPATH="user")
    assert (code, out) == (0, OURS)


def copy_of_the_package(place: Place, *, extension: bool) -> Path:
    """Return a folder with a copy of the package, with or without its extension."""
    ignored = shutil.ignore_patterns("__pycache__", *([] if extension else ["*.so"]))
    shutil.copytree(PACKAGE, place.path / "copy/aioxide", ignore=ignored)
    return place.path / "copy"


def inherited(folder: Path) -> dict[str, str]:
    """Return the variables that `aioxide run` of this package sets."""
    return {"AIOXIDE_RUN": "1", "PYTHONPATH": str(folder / "aioxide/_site")}


def test_another_python_runs_as_if_nothing_were_set(place: Place) -> None:
    # The copy has no extension for this Python, as a package of another version has none.
    variables = inherited(copy_of_the_package(place, extension=False))
    assert place.run("-c", KIND + "run()", **variables) == (0, STOCK, "")
    expected = place.run("-c", DESCRIBE_START)
    assert place.run("-c", DESCRIBE_START, **variables) == expected


def test_an_environment_without_this_aioxide_runs_as_if_nothing_were_set(place: Place) -> None:
    # Found on sys.path is another copy than the one that has set the variables, or none.
    variables = inherited(copy_of_the_package(place, extension=True))
    assert place.run("-c", KIND + "run()", **variables) == (0, STOCK, "")
    assert place.run("-I", "-S", "-c", KIND + "run()", **variables) == (0, STOCK, "")


def test_without_the_variable_the_folder_does_nothing(place: Place) -> None:
    folder = str(PACKAGE / "_site")
    assert place.run("-c", KIND + "run()", PYTHONPATH=folder) == (0, STOCK, "")


def test_uninstall_ends_the_inheritance(place: Place) -> None:
    program = f"import aioxide, os\naioxide.uninstall()\n{child(KIND + 'run()')}"
    assert place.console("run", "-c", program) == (0, STOCK, "")
    shown = "import aioxide, os\naioxide.uninstall()\nprint(os.environ.get('PYTHONPATH'))"
    assert place.console("run", "-c", shown, PYTHONPATH="one:two") == (0, "one:two\n", "")
    for empty in ({}, {"PYTHONPATH": ""}):
        assert place.console("run", "-c", shown, **empty)[:2] in [(0, "None\n"), (0, "\n")]


def test_install_alone_is_not_inherited(place: Place) -> None:
    program = f"import aioxide\naioxide.install()\n{child(KIND + 'run()')}"
    assert place.run("-c", program) == (0, STOCK, "")


def test_inherited_twice(place: Place) -> None:
    place.write("again", CONSOLE_SCRIPT)
    words: list[Any] = [sys.executable, "again", "run", "-c", KIND + "run()"]
    program = f"import subprocess\nraise SystemExit(subprocess.call({words!r}))"
    code, out, errors = place.console("run", "-c", program)
    assert (code, out) == (0, OURS)
    assert len(errors.splitlines()) == 1
