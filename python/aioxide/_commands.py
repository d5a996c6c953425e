"""Finds a command by name, as a shell would, for `aioxide run uvicorn app:app`.

A console script of this Python's environment is run in this process. Anything else that can be
executed (a shell script, a program in C) takes the place of this process, and the Python processes
that it starts run on aioxide.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from typing import NamedTuple

__all__ = ("Command", "find")


class Command(NamedTuple):
    """A command that was found."""

    path: str
    python: str | None
    """The interpreter that runs it if it is a Python script, as its first line names it."""
    is_ours: bool
    """Whether that interpreter is the running one."""


def find(name: str) -> Command | None:
    """Return the command of this name: of this environment if it has one, else of ``PATH``."""
    if os.sep in name:
        path = name if _is_command(name) else None
    else:
        places = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
        own = (os.path.join(place, name) for place in places if place)
        path = next(filter(_is_command, own), None) or shutil.which(name)
    if path is None:
        return None
    python = _interpreter_of(path)
    return Command(path, python, python is not None and _is_this_python(python))


def _is_command(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _interpreter_of(path: str) -> str | None:
    """Return the Python that a script's first lines name; None if it is no Python script."""
    try:
        with open(path, "rb") as file:
            first, second = (os.fsdecode(file.readline(4096)) for _ in range(2))
    except OSError:
        return None
    if not first.startswith("#!"):
        return None
    try:
        words = shlex.split(first[2:])
        if second.startswith("'''exec'"):
            # What installers write if the path is too long for a first line, or relative.
            words = [part for part in shlex.split(second.replace("'''exec'", "", 1)) if part]
            if words[0].startswith("$("):
                words = [os.path.join(os.path.dirname(os.path.realpath(path)), "python")]
    except ValueError:  # quotes that do not match: no line that an installer writes
        return None
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        words = [shutil.which(words[0]) or words[0]] if words else []
    if words and os.path.basename(words[0]).startswith(("python", "pypy")):
        return words[0]
    return None


def _is_this_python(python: str) -> bool:
    # Not the files: an environment's python is a link to the one that it was made of. The names
    # differ within an environment (python, python3, python3.13), the folder does not.
    try:
        return os.path.samefile(os.path.dirname(python), os.path.dirname(sys.executable))
    except OSError:
        return False
