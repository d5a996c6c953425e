"""Children: what they say, why they failed, and that nothing outlives the `with` block."""

from __future__ import annotations

import signal

import pytest

from aioxide.demo.child import Child, ChildFailed
from aioxide.demo.interrupts import Interrupts
from demo_helpers import Ending


def test_child_that_fails_says_why_in_its_last_words() -> None:
    with Child("the child", ["-c", "print('{}'); raise SystemExit('out of luck')"]) as child:
        assert child.hear() == {}
        with pytest.raises(ChildFailed, match=r"^the child ended with code 1: out of luck$"):
            child.hear()


def test_last_words_of_an_exception_group_are_not_its_frame() -> None:
    program = "raise ExceptionGroup('several', [ValueError('the first'), KeyError('the last')])"
    with (
        Child("the child", ["-c", program]) as child,
        pytest.raises(ChildFailed, match=r"ended with code 1: KeyError: 'the last'$"),
    ):
        child.hear()


def test_child_that_dies_before_its_first_word() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with (
        Child("the child", ["-c", program]) as child,
        pytest.raises(ChildFailed, match=r"^the child was killed by signal 9: no message$"),
    ):
        child.hear()


def test_child_that_falls_silent_is_given_up_and_ended() -> None:
    child = Child("the child", ["-c", "import sys; sys.stdin.read()"], patience=0.05)
    with pytest.raises(ChildFailed, match=r"made no progress for 0\.05 seconds"), child:
        child.hear()
    assert child._process.returncode == -signal.SIGTERM


def test_child_that_talks_nonsense() -> None:
    with (
        Child("the child", ["-c", "print('hello')"]) as child,
        pytest.raises(ChildFailed, match="said 'hello'"),
    ):
        child.hear()


def test_children_of_the_child_end_with_it() -> None:
    program = """
import json, subprocess, sys
idle = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE)
idle.stdout.readline()
print(json.dumps({"pid": idle.pid}), flush=True)
input()
"""
    with Child("the child", ["-c", program]) as child:
        grandchild = Ending(child.hear()["pid"])
    grandchild.wait()


# Ctrl-C


def test_interrupt_is_held_back_until_all_is_in_order() -> None:
    interrupts = Interrupts()
    done = []
    with interrupts.installed(), pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with interrupts.held():
            with interrupts.held():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")
    assert done == ["inner", "outer"]


def test_interrupt_elsewhere_is_raised_at_once() -> None:
    interrupts = Interrupts()
    with interrupts.installed():
        with interrupts.held():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_interrupts_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts().installed():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
