"""The hot paths under callgrind: short and long runs, each in a dump of its own.

`--dump-before=getppid` makes valgrind write what it has counted whenever libc's getppid is called,
and begin again. So `os.getppid()` is the mark between two runs; nothing else here calls it. Says,
in one line for each path, which dumps are its short and long runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys

from guard_paths import HOT_PATHS, HotPath
from implementations import IMPLEMENTATIONS, environment, new_loop
from loop_child import Failures

MARK = "getppid"
ROUNDS = 2


def run(path: HotPath, n: int) -> None:
    """n operations on a loop of their own, not counted further."""
    implementation = IMPLEMENTATIONS["aioxide"]
    loop = new_loop(implementation)
    failures = Failures()
    loop.set_exception_handler(failures)
    try:
        loop.run_until_complete(path.run(environment(implementation, loop), n))
    finally:
        loop.close()
    if failures.seen:
        raise RuntimeError(f"errors in callbacks, first {failures.seen[0]}")


class Marks:
    """Counts the dumps that the marks have caused."""

    def __init__(self) -> None:
        self.dumps = 0

    def __call__(self) -> int:
        """End a dump; its number."""
        os.getppid()
        self.dumps += 1
        return self.dumps


def measure(path: HotPath, mark: Marks) -> list[tuple[int, int]]:
    """The dumps of a short and a long run, for each round."""
    for _ in range(2):  # the interpreter specialises its code, free lists fill up
        run(path, path.few)
    rounds = []
    for _ in range(ROUNDS):
        gc.collect()
        mark()
        run(path, path.few)
        short = mark()
        run(path, path.many)
        rounds.append((short, mark()))
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description="Hot paths to count; started by guard.py.")
    parser.add_argument("paths", nargs="+", choices=HOT_PATHS)
    options = parser.parse_args()
    gc.disable()
    mark = Marks()
    for name in options.paths:
        sys.stdout.write(json.dumps({"path": name, "dumps": measure(HOT_PATHS[name], mark)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
