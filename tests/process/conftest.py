"""After each test no child process, no zombie and no thread may be left."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import collect


def end_children() -> list[str]:
    """End every child of this process. Returns what they were, zombies among them."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            children = Path(f"/proc/self/task/{task}/children").read_text().split()
        except FileNotFoundError:  # a thread that has ended meanwhile
            continue
        for child in children:
            found.append(Path(f"/proc/{child}/stat").read_text()[:40])
            os.kill(int(child), signal.SIGKILL)
            os.waitpid(int(child), 0)
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No child and no thread outlives a test."""
    with warnings.catch_warnings():
        # asyncio changes the filters around each spawn on some versions, from whatever thread.
        yield
    collect()
    # A thread that has made its last call into a loop may still be on its way out.
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    assert threading.enumerate() == [threading.main_thread()]
    assert end_children() == []
