"""`python -m aioxide` and `aioxide run` do what `python` does for the same words.

Every comparison runs the same words three times: by plain python, which is right by definition, and
by both of our entrances.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import aioxide
from cli_helpers import DESCRIBE, Place, filled_place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return filled_place(tmp_path)


ARGUMENTS = ["one", "--", "-m", "--help", "-V", "-c", "", "-"]


@pytest.mark.parametrize("name", ["app.py", "./app.py", "sub/other.py", "sub/../app.py"])
def test_script(place: Place, name: str) -> None:
    description = place.same_description(name, *ARGUMENTS)
    assert description["argv"] == [name, *ARGUMENTS]


def test_script_from_elsewhere(place: Place) -> None:
    place.same_description("../app.py", cwd="sub")
    place.same_description(str(place.path / "app.py"), cwd="sub")


def test_script_behind_a_link(place: Place) -> None:
    (place.path / "link.py").symlink_to("sub/other.py")
    description = place.same_description("link.py")
    assert description["path"][0] == str(place.path / "sub")


def test_compiled_script(place: Place) -> None:
    py_compile.compile(str(place.path / "app.py"), cfile=str(place.path / "compiled.pyc"))
    place.same_description("compiled.pyc", "one")


def test_folder(place: Place) -> None:
    place.same_description("folder", *ARGUMENTS)
    place.same_description("./folder")


def test_zip_file(place: Place) -> None:
    with zipfile.ZipFile(place.path / "app.zip", "w") as file:
        file.writestr("__main__.py", "import inside\n" + DESCRIBE)
        file.writestr("inside.py", "")
    place.same_description("app.zip", *ARGUMENTS)


@pytest.mark.parametrize(
    "words", [["-m", "app"], ["-mapp"], ["-m", "package"], ["-m", "package.tool"]]
)
def test_module(place: Place, words: list[str]) -> None:
    description = place.same_description(*words, *ARGUMENTS)
    assert description["argv"][1:] == ARGUMENTS


@pytest.mark.parametrize("words", [["-c", DESCRIBE], ["-c" + DESCRIBE]])
def test_command(place: Place, words: list[str]) -> None:
    description = place.same_description(*words, *ARGUMENTS)
    assert description["argv"] == ["-c", *ARGUMENTS]


def test_standard_input(place: Place) -> None:
    place.same_description("-", *ARGUMENTS, stdin=DESCRIBE)


def test_standard_input_that_is_closed(place: Place) -> None:
    # The standard input of these is closed once the descriptor 0 is.
    close = "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    for words in (["-"], ["-m", "aioxide", "-"], [str(place.console_script), "run", "-"]):
        assert place.run("-c", close, *words) == (0, "", "")


def test_ctrl_c_while_the_program_is_read(place: Place) -> None:
    program = (
        "import signal, sys, types\n"
        "def read():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "sys.stdin = types.SimpleNamespace(buffer=types.SimpleNamespace(read=read))\n"
        "from aioxide.cli import main\n"
        "main()\n"
    )
    code, out, errors = place.run("-c", program, "run", "-")
    assert (code, out) == (-signal.SIGINT, "")
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert "aioxide" not in errors, "frames that are not the program's"


@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_ctrl_c_while_a_command_is_imported(place: Place, command: str) -> None:
    program = (
        "import signal, sys\n"
        "from aioxide.cli import main\n"
        "class Pressing:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == sys.argv[2]:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Pressing)\n"
        "main()\n"
    )
    module = {"demo": "aioxide.demo.options", "doctor": "aioxide.doctor.facts"}[command]
    result = place.run("-c", program, command, module)
    assert result == (130, "", f"aioxide {command}: interrupted\n")


def test_command_is_indented_as_python_lets_it(place: Place) -> None:
    code, _, _ = place.same("-c", "\n    x = 1\n    print(x)\n")
    assert (code == 0) == (sys.version_info >= (3, 14))


@pytest.mark.parametrize("words", [["app.py"], ["sub/other.py"], ["folder"], ["-c", DESCRIBE]])
def test_safe_path(place: Place, words: list[str]) -> None:
    place.same_description(*words, flags=("-P",))


def test_double_dash_ends_our_options(place: Place) -> None:
    place.write("-m", DESCRIBE)
    for run in (place.module, lambda *words: place.console("run", *words)):
        code, out, errors = run("--", "-m", "one")
        assert (code, errors) == (0, "")
        assert json.loads(out)["argv"] == ["-m", "one"]


PROGRAMS = {
    "result": "print('done')",
    "exit code": "import sys; sys.exit(3)",
    "exit message": "import sys; sys.exit('said at the end')",
    "hard exit": "import os; os._exit(7)",
    "exception": "def inner():\n    1 / 0\n\ninner()\n",
    "chained exception": (
        "def inner():\n    raise KeyError('inner')\n\n"
        "try:\n    inner()\nexcept KeyError:\n    raise ValueError('outer')\n"
    ),
    "exception group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "syntax error": "x = (",
    "ctrl-c": "import signal; signal.raise_signal(signal.SIGINT)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "encoding": "# -*- coding: latin-1 -*-\nprint(ascii('\\xe9'), ascii('ü'))\n",
    "excepthook": (
        "import sys, traceback\n"
        "def hook(kind, error, tb):\n"
        "    print('hook', kind, [frame.name for frame in traceback.extract_tb(tb)])\n"
        "    print([frame.name for frame in traceback.extract_tb(error.__traceback__)])\n"
        "sys.excepthook = hook\n"
        "1 / 0\n"
    ),
    "main after its end": (
        "import atexit, sys, threading\n"
        "def still_there(who):\n"
        "    print(who, sys.modules['__main__'].here, here)\n"
        "here = 'here'\n"
        "atexit.register(still_there, 'atexit')\n"
        "ended = threading.Event()\n"
        "def wait_for_end():\n"
        "    threading.main_thread().join()\n"
        "    still_there('thread')\n"
        "threading.Thread(target=wait_for_end).start()\n"
    ),
    "pickle": (
        "import pickle\nclass Mine: pass\nprint(type(pickle.loads(pickle.dumps(Mine()))) is Mine)\n"
    ),
    "flags": "import sys; print(sys.flags)",
    "no future features of ours": "def f(x: undefined): pass\nprint(f.__annotations__)\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_end_of_a_script(place: Place, name: str) -> None:
    place.write("program.py", PROGRAMS[name])
    place.same("program.py")


@pytest.mark.parametrize("name", PROGRAMS)
def test_end_of_a_module(place: Place, name: str) -> None:
    place.write("program.py", PROGRAMS[name])
    place.same("-m", "program")


@pytest.mark.parametrize("name", PROGRAMS)
def test_end_of_a_command(place: Place, name: str) -> None:
    place.same("-c", PROGRAMS[name])


def test_worker_processes_find_the_program(place: Place) -> None:
    place.write(
        "program.py",
        "import multiprocessing\n\n"
        "def work(number):\n"
        "    return number * 2\n\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [1, 2]))\n",
    )
    assert place.same("program.py") == (0, "[2, 4]\n", "")


@pytest.mark.parametrize(
    "words",
    [["-m", "missing"], ["-m", "package.missing"], ["-m", "package.py"], ["sub"], ["-m", ".app"]],
)
def test_program_that_is_not_there_as_python_says_it(place: Place, words: list[str]) -> None:
    code, out, errors = place.same(*words)
    assert (code, out) == (1, "")
    assert len(errors.splitlines()) == 1


KIND = "import asyncio\nasync def main(): print(type(asyncio.get_running_loop()).__module__)\n"


@pytest.mark.parametrize(
    "runs",
    [
        "asyncio.run(main())",
        "with asyncio.Runner() as runner: runner.run(main())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()",
    ],
)
def test_program_runs_on_aioxide(place: Place, runs: str) -> None:
    expected = (0, f"{aioxide.EventLoop.__module__}\n", "")
    place.write("program.py", KIND + runs)
    for words in (["program.py"], ["-m", "program"], ["-c", KIND + runs]):
        how: dict[str, Any] = {"flags": ("-W", "error")}
        assert place.module("--quiet", *words, **how) == expected
        assert place.console("run", "--quiet", *words, **how) == expected


def test_installed_before_the_first_line(place: Place) -> None:
    program = "import aioxide; print(aioxide.installed())"
    assert place.module("-c", program) == (0, "True\n", "")
    assert place.run("-c", program) == (0, "False\n", "")


def refused(result: tuple[int, str, str], *parts: str) -> None:
    code, out, errors = result
    assert (code, out) == (2, "")
    (line,) = errors.splitlines()
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["missing.py"], "can't open 'missing.py': No such file or directory"),
        (["app.py/inside.py"], "Not a directory"),
        (["circle.py"], "can't open 'circle.py': Too many levels of symbolic links"),
        (["x" * 300], "File name too long"),
        (["\udcff.py"], r"can't open '\udcff.py': No such file or directory"),
        (["two\nlines.py"], r"can't open 'two\nlines.py'"),
        (["-\udcff"], r"unrecognized arguments: -\udcff"),
        (["--two\nlines"], "unrecognized arguments: --two lines"),
        (["-x", "app.py"], "unrecognized arguments: -x"),
        (["--verbose", "app.py"], "unrecognized arguments: --verbose"),
        ([], "no program given"),
        (["--"], "no program given"),
        (["-m"], "-m needs a module"),
        (["-c"], "-c needs a program"),
    ],
)
def test_wrong_words_to_run(place: Place, words: list[str], part: str) -> None:
    (place.path / "circle.py").symlink_to("circle.py")
    refused(place.module(*words), "python -m aioxide: ", part)
    refused(place.console("run", *words), "aioxide run: ", part)


@pytest.mark.parametrize(
    ("words", "part"),
    [([], "no command given"), (["jump"], "no such command: 'jump'"), (["-x"], "unrecognized")],
)
def test_wrong_words_to_the_console_script(place: Place, words: list[str], part: str) -> None:
    refused(place.console(*words), "aioxide: ", part)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_script_that_must_not_be_read(place: Place) -> None:
    place.write("secret.py", "").chmod(0)
    refused(place.module("secret.py"), "can't open 'secret.py': Permission denied")


def test_arguments_in_no_encoding(place: Place) -> None:
    description = place.same_description("app.py", "\udcff", "ü")
    assert description["argv"] == ["app.py", "\udcff", "ü"]
    place.same("-m", "\udcff")
    place.same("app.py", stdin="")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["doctor"]])
def test_output_that_nobody_reads(place: Place, words: list[str]) -> None:
    # The other end is closed before the first byte is written.
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(place.console_script), *words]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["doctor"]])
def test_output_that_cannot_be_written(place: Place, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, str(place.console_script), *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    message = "aioxide: cannot write to standard output: No space left on device\n"
    assert done.stderr == message


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["doctor"], 0), (["-x"], 2), (["run", "missing.py"], 2)]
)
def test_closed_standard_streams(place: Place, words: list[str], code: int) -> None:
    close = (
        "import os, sys\n"
        "for fd in (0, 1, 2):\n"
        "    os.close(fd)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    assert place.run("-c", close, str(place.console_script), *words) == (code, "", "")


def test_error_that_cannot_be_told(place: Place) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, str(place.console_script), "-x"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 2


def test_unreadable_script_is_not_taken_for_an_error_of_the_program(place: Place) -> None:
    place.write("program.py", "open('missing.txt')")
    code, _, errors = place.same("program.py")
    assert code == 1
    assert "Traceback" in errors


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(place: Place, option: str) -> None:
    for result in (place.module(option), place.console("run", option), place.console(option)):
        code, out, errors = result
        assert (code, errors) == (0, "")
        assert out.startswith("usage: ")
        assert "-m module" in out or "demo" in out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(place: Place, option: str) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    for result in (place.module(option), place.console("run", option), place.console(option)):
        code, out, errors = result
        assert (code, errors) == (0, "")
        assert out.startswith("aioxide ")
        assert version in out


def test_too_old_python(place: Place) -> None:
    program = (
        "import runpy, sys\n"
        "sys.version_info = (3, 10, 14, 'final', 0)\n"
        "sys.argv = ['-m', 'app.py']\n"  # argv[0] while python looks for the module of its -m
        "runpy.run_module('aioxide', run_name='__main__', alter_sys=True)\n"
    )
    refused(place.run("-c", program), "aioxide needs Python 3.11 or newer", "3.10")


def test_free_threaded_python(place: Place) -> None:
    program = (
        "import runpy, sys\n"
        "sys.abiflags = 't'\n"
        "try:\n"
        "    import aioxide\n"
        "except ImportError as error:\n"
        "    assert 'free-threaded' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('it was imported')\n"
        "sys.argv = ['-m', 'app.py']\n"
        "runpy.run_module('aioxide', run_name='__main__', alter_sys=True)\n"
    )
    refused(place.run("-c", program), "aioxide does not support free-threaded builds", "this is")


def test_python_that_the_extension_was_not_built_for(place: Place) -> None:
    package = Path(aioxide.__file__).parent
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(package, place.path / "copy" / "aioxide", ignore=ignored)
    program = "import sys; sys.path.insert(0, 'copy'); import runpy; sys.argv = ['-m', 'app.py']\n"
    run = "runpy.run_module('aioxide', run_name='__main__', alter_sys=True)\n"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    refused(place.run("-c", program + run), f"was not built for this Python, {version}", "install")
    _, _, errors = place.run("-c", "import sys; sys.path.insert(0, 'copy'); import aioxide")
    assert errors.splitlines()[-1].startswith("ImportError: aioxide's extension was not built")


def test_demo_without_its_extra(place: Place) -> None:
    program = (
        "import sys\n"
        "for name in ('aiohttp', 'jinja2', 'matplotlib', 'requests', 'rich'):\n"
        "    sys.modules[name] = None\n"  # not to be found
        "sys.argv = ['aioxide', 'demo']\n"
        "from aioxide.cli import main\n"
        "main()\n"
    )
    missing = "aiohttp, jinja2, matplotlib, requests, rich"
    refused(place.run("-c", program), missing, "pip install 'aioxide[demo]'")


def test_a_way_of_the_demo_that_needs_no_extra(place: Place) -> None:
    program = (
        "import sys\n"
        "for name in ('aiohttp', 'jinja2', 'matplotlib', 'requests', 'rich', 'uvloop'):\n"
        "    sys.modules[name] = None\n"
        "words = '--only callbacks --pages 2 --images 3 --rounds 1 --no-scheduling --delay-ms 0'\n"
        "sys.argv = ['aioxide', 'demo', *words.split()]\n"
        "from aioxide.cli import main\n"
        "main()\n"
    )
    code, out, errors = place.run("-c", program)
    assert (code, errors) == (0, "")
    (row,) = (line for line in out.splitlines() if line.startswith("Selector and callbacks"))
    assert len(row.split()) == 10
    assert "What to learn from it" in out
