"""Lets the processes that a program starts run on aioxide. Only `aioxide run` asks for it.

Two environment variables: ``AIOXIDE_RUN`` says what to do, and ``PYTHONPATH`` leads to a folder
with a `sitecustomize` that does it (`_site/sitecustomize.py`). Forked processes need neither.
"""

from __future__ import annotations

import os

__all__ = ("announce", "settings", "withdraw")

VARIABLE = "AIOXIDE_RUN"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_site")


def announce(*, keep_loop: bool = False, quiet: bool = False) -> None:
    """Let processes started from now on run on aioxide.

    Args:
        keep_loop: whether they keep asyncio's loop, as `--keep-loop` says.
        quiet: whether they do not tell which loop runs, as `--quiet` says.
    """
    words = ["1", *(["keep-loop"] if keep_loop else []), *(["quiet"] if quiet else [])]
    os.environ[VARIABLE] = ",".join(words)
    # The program's own entries come behind it, since the sitecustomize must be found first.
    os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *_other_entries()])


def withdraw() -> None:
    """Let processes started from now on run on asyncio. Doing it again changes nothing."""
    if os.environ.pop(VARIABLE, None) is None:
        return
    others = _other_entries()
    if others:
        os.environ["PYTHONPATH"] = os.pathsep.join(others)
    else:
        os.environ.pop("PYTHONPATH", None)


def settings() -> tuple[bool, bool]:
    """Return `keep_loop` and `quiet` as the parent process has announced them."""
    words = os.environ.get(VARIABLE, "").split(",")
    return "keep-loop" in words, "quiet" in words


def _other_entries() -> list[str]:
    # An empty variable counts as unset.
    entries = os.environ.get("PYTHONPATH", "")
    return [entry for entry in entries.split(os.pathsep) if entry != FOLDER] if entries else []
