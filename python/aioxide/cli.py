"""The command line: `python -m aioxide app.py`, and the console script `aioxide`.

`python -m aioxide` reads its words as `python` would, `aioxide run` reads the same words, and both
make aioxide's loop asyncio's default before the program's first line. What is wrong with the words
themselves is told in one line on stderr, with exit code 2.
"""

from __future__ import annotations

import argparse
import platform
import sys
from typing import TYPE_CHECKING

from . import __version__, program
from ._terminal import Parser, fail, interruptible
from .install import install

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main", "main_as_python")

_PROGRAM_HELP = """\
program:
  script.py [arg ...]     a file, or a directory or zip file with a __main__.py
  -m module [arg ...]     a module or package
  -c code [arg ...]       a program passed as a string
  - [arg ...]             a program read from standard input

Everything after the program is the program's own.
"""

_COMMANDS_HELP = """\
commands:
  run       run a Python program on aioxide (aioxide run app.py, run -m package, run -c code)
  demo      crawl a local site in every way that Python has, and compare them
  doctor    tell what aioxide finds on this machine, and test that it works here
"""


def main() -> None:
    """The console script: `aioxide run ...`, `demo ...`, `doctor ...`, `aioxide --version`."""
    usage = "aioxide [-h] [-V] {run,demo,doctor} ..."
    description = "Python's asyncio, rebuilt in Rust."
    parser = _parser("aioxide", usage, description, _COMMANDS_HELP)
    own, command = _split(sys.argv[1:])
    parser.parse_args(own)
    match command:
        case ["run", *words]:
            _run("aioxide run", words)
        case ["demo", *words]:
            with interruptible("aioxide demo"):
                from .demo import main as demo

                sys.exit(demo(words))
        case ["doctor", *words]:
            with interruptible("aioxide doctor"):
                from .doctor import main as doctor

                sys.exit(doctor(words))
        case [other, *_]:
            parser.error(f"no such command: {other!r}; there are run, demo and doctor")
        case _:
            parser.error("no command given; there are run, demo and doctor")


def main_as_python() -> None:
    """`python -m aioxide`: the words of `python`."""
    _run("python -m aioxide", sys.argv[1:])


def _run(prog: str, words: Sequence[str]) -> None:
    usage = f"{prog} [-h] [-V] (script | -m module | -c code | -) [arg ...]"
    description = "Run a Python program with aioxide's event loop as asyncio's default."
    parser = _parser(prog, usage, description, _PROGRAM_HELP)
    own, rest = _split(words)
    parser.parse_args(own)
    if not rest:
        parser.error("no program given: a script, -m module, -c code or -")
    first, *args = rest
    option = first[:2] if words[len(own)] != "--" else ""
    if option not in ("-m", "-c"):
        install()
        if first == "-":
            program.run_stdin(args)
        else:
            _run_script(prog, first, args)
        return
    value = first[2:]
    if not value:
        if not args:
            parser.error(f"{option} needs {'a module' if option == '-m' else 'a program'}")
        value, *args = args
    install()
    if option == "-m":
        program.run_module(value, args)
    else:
        program.run_command(value, args)


def _run_script(prog: str, name: str, args: Sequence[str]) -> None:
    # An OSError of the program itself must not be taken for one of finding it.
    try:
        run = program.find_script(name)
    except OSError as error:
        fail(f"{prog}: can't open {name!r}: {error.strerror}")
    run(args)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own options, and the program with its arguments.

    The program begins at the first word that is not an option, or at -m or -c, and from there on
    every word belongs to it. argparse never sees those words: it would take a `--` or anything
    that looks like an option for its own, in ways that differ between Pythons.
    """
    for index, word in enumerate(words):
        if word == "--":
            return list(words[:index]), list(words[index + 1 :])
        if word == "-" or not word.startswith("-") or word[:2] in ("-m", "-c"):
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
