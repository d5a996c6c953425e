"""How the commands talk: one line about what is wrong, and output whose reader may have gone."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import SupportsWrite

__all__ = ("Parser", "fail", "interruptible", "write")


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line, and whose help may be cut short by `| head`."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words, and end the process with code 2."""
        fail(f"{self.prog}: {message} (see `{self.prog} --help`)")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # Help and version come through here. argparse would leave a full disk to Python's exit.
        write(message)


def write(text: str) -> None:
    """Write to stdout at once, in whatever encoding it has.

    That nobody reads it is no error. Any other failure ends the process with one line and code 1.
    """
    # None if it was closed before Python started.
    out = sys.stdout
    if out is None:
        return
    encoding = out.encoding or "utf-8"
    try:
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except OSError as error:
        # What is left in the buffer would be tried again at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            fail(f"aioxide: cannot write to standard output: {error.strerror}", code=1)


@contextmanager
def interruptible(prog: str) -> Iterator[None]:
    """End the process with one line and code 130 on Ctrl-C, also while the block imports."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"{prog}: interrupted", code=128 + signal.SIGINT)


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the process with this line on stderr, if there is one, and this exit code."""
    err = sys.stderr
    if err is not None:
        line = " ".join(message.splitlines()) + "\n"
        try:
            err.write(line)
            err.flush()
        except OSError:  # nobody can be told; the exit code is left
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, err.fileno())
            os.close(nowhere)
    raise SystemExit(code)
