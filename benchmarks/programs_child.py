"""One example under one implementation, in a process of its own.

Runs the example once to warm up, then once for each line on standard input, and prints the times of
each run, until that ends. A run is `main` on a new loop, and the loop's end; Python's start and the
imports are not in it. What the example prints is kept, and has to be the same each time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import inspect
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from implementations import IMPLEMENTATIONS, Implementation, new_loop, pin
from loop_child import say, timed

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def load(example: str, implementation: Implementation) -> Callable[[], None]:
    """What runs the example once."""
    if implementation.namespace == "aioxide":
        # As a program does that wants the native names without changing a line.
        import aioxide

        aioxide.install(loop=False)
    sys.path.insert(0, str(EXAMPLES))
    main: Any = importlib.import_module(example).main
    if not inspect.iscoroutinefunction(main):
        return lambda: main(lambda: new_loop(implementation))

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: new_loop(implementation)) as runner:
            runner.run(main())

    return run


def heard(run: Callable[[], None]) -> tuple[dict[str, int], str]:
    """What one run took, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        took = timed(run)
    return took, printed.getvalue()


def serve(example: str, implementation: Implementation) -> None:
    """Warm up, then a run for each line; raises where one prints something else."""
    run = load(example, implementation)
    _, expected = heard(run)
    gc.collect()
    say({"operations": 1, "lines": expected.count("\n")})
    for _ in sys.stdin:
        took, printed = heard(run)
        if printed != expected:
            raise RuntimeError(f"printed something else than the first time: {printed!r}")
        say(took)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs of an example; started by programs.py.")
    parser.add_argument("example")
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    try:
        serve(options.example, IMPLEMENTATIONS[options.implementation])
    except Exception as error:
        # Said here and not left to the traceback: what a loop leaves behind complains after it.
        say({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
