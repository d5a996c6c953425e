"""What the examples share: the option `--loop`, a quiet Ctrl-C, a pool of processes.

Nothing here is needed to use aioxide. An example imports this module before anything else: so a
library that is not installed is told in a sentence, and Ctrl-C during the imports is as quiet as
later.
"""

from __future__ import annotations

import sys
from types import TracebackType


def _excepthook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        how = "make build" if missing == "aioxide" else f"pip install {missing}"
        sys.stderr.write(f"This example needs {missing}, which is not installed: {how}\n")
    elif not isinstance(error, KeyboardInterrupt):  # Ctrl-C is quiet
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _excepthook

import argparse
import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from typing import NoReturn

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS = ("aioxide", "asyncio", "uvloop")


def loop_factory(name: str) -> LoopFactory:
    """What makes loops of this kind: a name in LOOPS.

    Raises ModuleNotFoundError if the library is not installed.
    """
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    if name == "uvloop":
        import uvloop

        new_event_loop: LoopFactory = uvloop.new_event_loop
        return new_event_loop
    import aioxide

    return aioxide.new_event_loop


@contextmanager
def command_line(description: str | None) -> Iterator[LoopFactory]:
    """Read `--loop NAME`, give its loop factory to the block, and end quietly on Ctrl-C."""
    parser = _parser(description)
    parser.add_argument(
        "--loop", choices=LOOPS, default="aioxide", help="whose event loop (default: %(default)s)"
    )
    factory = loop_factory(parser.parse_args().loop)
    with quiet_ctrl_c():
        yield factory


@contextmanager
def no_options(description: str | None) -> Iterator[None]:
    """Refuse every argument but `--help`, and end quietly on Ctrl-C."""
    _parser(description).parse_args()
    with quiet_ctrl_c():
        yield


@contextmanager
def quiet_ctrl_c() -> Iterator[None]:
    """End the program with exit code 130 on Ctrl-C, as shells do, and not with a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of started processes, which are not forked from a process with threads.

    A terminal sends Ctrl-C to all processes of a program. The workers leave it to the main one:
    they start, and so live, with the signal blocked.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            started = [pool.submit(int) for _ in range(workers)]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        wait(started)
        yield pool


def _parser(description: str | None) -> _Parser:
    return _Parser(description=(description or "").partition("\n")[0], allow_abbrev=False)


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")
