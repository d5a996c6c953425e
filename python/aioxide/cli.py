"""The command line: `python -m aioxide app.py`, and the console script `aioxide`.

`python -m aioxide` reads its words as `python` would, and `aioxide run` reads the same words. Both
replace asyncio's loops by aioxide's before the program's first line, in this process and in the
Python processes that it starts. A mistake in the words is reported in one line on stderr, with exit
code 2.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from typing import TYPE_CHECKING

from . import __version__, _commands, _inherit, _report, _words, program
from ._terminal import Parser, fail, interruptible
from .install import install

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("main", "main_as_python")

_PROGRAM_HELP = """\
program:
  script.py [arg ...]     a file, or a directory or zip file with a __main__.py
  command [arg ...]       a console script by its name, such as uvicorn, or another command
  -m module [arg ...]     a module or package
  -c code [arg ...]       a program passed as a string
  - [arg ...]             a program read from standard input

Everything after the program is the program's own. Options of python that stand before it (-X dev,
-W error, -O, -u ...) are passed to the interpreter.
"""

_COMMANDS_HELP = """\
commands:
  run       run a Python program on aioxide (aioxide run app.py, run -m package, run -c code)
  demo      crawl a local site in every way that Python has, and compare them
  doctor    tell what aioxide finds on this machine, and test that it works here
"""


_COMMANDS = ("run", "demo", "doctor")


def main() -> None:
    """The console script: `aioxide run ...`, `demo ...`, `doctor ...`, `aioxide --version`."""
    usage = "aioxide [-h] [-V] {run,demo,doctor} ..."
    description = "Python's asyncio, rebuilt in Rust."
    parser = _parser("aioxide", usage, description, _COMMANDS_HELP)
    own, command = _split(sys.argv[1:])
    parser.parse_args(own)
    if not command:
        parser.error("no command given; there are run, demo and doctor")
    name, *words = command
    if name not in _COMMANDS:
        parser.error(f"no such command: {name!r}; there are run, demo and doctor")
    _call("aioxide", [sys.argv[0], "run"], name, words)


def main_as_python() -> None:
    """`python -m aioxide`: the words of `python`, or one of the commands.

    A file of that name is a program, as it is to `python`.
    """
    words = sys.argv[1:]
    if words and words[0] in _COMMANDS and not program.is_program(words[0]):
        _call("python -m aioxide", ["-m", "aioxide", "run"], words[0], words[1:])
    else:
        _run("python -m aioxide", ["-m", "aioxide"], words)


def _call(prog: str, entry: Sequence[str], name: str, words: Sequence[str]) -> None:
    prog = f"{prog} {name}"
    if name == "run":
        _run(prog, entry, words)
        return
    with interruptible(prog):
        if name == "demo":
            from .demo import main as command
        else:
            from .doctor import main as command
        sys.exit(command(words))


def _run(prog: str, entry: Sequence[str], words: Sequence[str]) -> None:
    """Run the program that the words name. `entry` is how python gets here again."""
    usage = f"{prog} [option ...] (script | command | -m module | -c code | -) [arg ...]"
    description = "Run a Python program, and the Python processes that it starts, on aioxide."
    parser = _parser(prog, usage, description, _PROGRAM_HELP)
    parser.add_argument(
        "--keep-loop", action="store_true", help="keep the program's loop: replace names only"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="do not tell on stderr which loop runs"
    )
    given = _words.read(words, parser.error)
    options = parser.parse_args(given.own)
    if not given.program:
        parser.error("no program given: a script, a command, -m module, -c code or -")
    if given.python:
        _start_again(prog, entry, given)
    start = _find(prog, given)
    _inherit.announce(keep_loop=options.keep_loop, quiet=options.quiet)
    _report.show(not options.quiet)
    install(loop=not options.keep_loop)
    start()


def _start_again(prog: str, entry: Sequence[str], given: _words.Words) -> None:
    """Have a new interpreter with these options take the place of this one."""
    if not sys.executable:
        fail(f"{prog}: {given.python[0]} needs the interpreter's path, which Python does not know")
    # As they were typed: sys.flags has those of the environment, too, which stays.
    inherited = _words.read(sys.orig_argv[1:], fail).python
    last = [given.option, *given.program] if given.option else ["--", *given.program]
    command = [sys.executable, *inherited, *given.python, *entry, *given.own, *last]
    try:
        os.execv(sys.executable, command)
    except OSError as error:
        fail(f"{prog}: cannot start {sys.executable!r} again: {error.strerror}")


def _find(prog: str, given: _words.Words) -> Callable[[], object]:
    """Return the call that runs the program; ends the process if there is no such program."""
    first, *args = given.program
    if given.option == "-m":
        return lambda: program.run_module(first, args)
    if given.option == "-c":
        return lambda: program.run_command(first, args)
    if first == "-":
        return lambda: program.run_stdin(args)
    name = first
    if not program.is_program(first):
        command = _commands.find(first)
        if command is not None:
            name = command.path
            if command.python is None:
                return lambda: _execute(prog, name, args)
            if not command.is_ours:
                fail(
                    f"{prog}: {name} belongs to another Python, {command.python}; install "
                    f"aioxide there, or {first} beside aioxide"
                )
    # An OSError of the program itself must not be taken for one of finding it.
    try:
        run = program.find_script(name)
    except OSError as error:
        fail(f"{prog}: can't open {name!r}: {error.strerror}")
    return lambda: run(args)


def _execute(prog: str, path: str, args: Sequence[str]) -> None:
    try:
        os.execv(path, [path, *args])
    except OSError as error:
        fail(f"{prog}: can't execute {path!r}: {error.strerror}")


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options before the command, and the command with its words.

    argparse never sees what follows the command: it would take a `--` or anything that looks like
    an option for its own, in ways that differ between Pythons.
    """
    for index, word in enumerate(words):
        if not word.startswith("-"):
            return list(words[:index]), list(words[index:])
    return list(words), []


def _parser(prog: str, usage: str, description: str, epilog: str) -> Parser:
    parser = Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=_version())
    return parser


def _version() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"aioxide {__version__} ({python}, {platform.system()} {platform.machine()})"
