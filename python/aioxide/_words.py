"""Reads the words of `aioxide run` and `python -m aioxide`: options, and where the program begins.

Everything from the program's name on belongs to the program. Options before it are ours, or
python's own (``-X dev``, ``-W error``, ``-u`` ...), in python's spelling: letters may stand
together, and a value may follow in the same word or in the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Words", "read")

#: Options of python without a value. -S is not one of them: aioxide is found by the site module.
FLAGS = frozenset("bBdEiIOPqRsuv")
#: Options of python whose value is the rest of the word, or the next word.
VALUES = frozenset("XW")
_LONG_VALUE = "--check-hash-based-pycs"


class Words(NamedTuple):
    """The words, taken apart."""

    own: list[str]
    """Our own options, and words that are no options at all: for argparse."""
    python: list[str]
    """Options of the interpreter, as they were given."""
    option: str
    """-m or -c, or nothing if the program is a file, a command or standard input."""
    program: list[str]
    """The program and its arguments."""


def read(words: Sequence[str], error: Callable[[str], object]) -> Words:
    """Take the words apart. `error` is called with a sentence for an option without its value."""
    own: list[str] = []
    python: list[str] = []
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "-" or not word.startswith("-"):
            return Words(own, python, "", rest)
        del rest[0]
        if word == "--":
            return Words(own, python, "", rest)
        if word == _LONG_VALUE:
            python += [word, _value(word, "", rest, error)]
        elif word.startswith("--"):
            own.append(word)
        else:
            option, value = _read_letters(word, rest, own, python, error)
            if option:
                return Words(own, python, option, [value, *rest])
    return Words(own, python, "", [])


def _read_letters(
    word: str,
    rest: list[str],
    own: list[str],
    python: list[str],
    error: Callable[[str], object],
) -> tuple[str, str]:
    """Read `-Xdev`, `-um package`; return -m or -c with its value, or two empty strings."""
    for index, letter in enumerate(word[1:], start=1):
        option = f"-{letter}"
        if letter in "mc":
            what = "a module" if letter == "m" else "a program"
            return option, _value(option, word[index + 1 :], rest, error, what)
        if letter in VALUES:
            python += [option, _value(option, word[index + 1 :], rest, error)]
            break
        if letter not in FLAGS:
            own.append(word)  # -h, -V, or what argparse refuses
            break
        python.append(option)
    return "", ""


def _value(
    option: str,
    attached: str,
    rest: list[str],
    error: Callable[[str], object],
    what: str = "a value",
) -> str:
    if attached:
        return attached
    if not rest:
        error(f"{option} needs {what}")
    return rest.pop(0)
