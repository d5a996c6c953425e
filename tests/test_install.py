"""`install`, `uninstall`, `installed`. Each test has a process of its own, which it changes."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """\
import asyncio, sys, threading, warnings
from asyncio import run as early_run, Runner as EarlyRunner, new_event_loop as early_new
warnings.simplefilter("error")
import aioxide

async def kind():
    return type(asyncio.get_running_loop())

STOCK = asyncio.SelectorEventLoop

def made(factory):
    loop = factory()
    loop.close()
    return type(loop)

def everything():
    with asyncio.Runner() as runner:
        through_runner = runner.run(kind())
    with EarlyRunner() as runner:
        through_early_runner = runner.run(kind())
    return {
        asyncio.run(kind()), early_run(kind()), asyncio.runners.run(kind()),
        through_runner, through_early_runner,
        made(asyncio.new_event_loop), made(early_new), made(asyncio.events.new_event_loop),
    }
"""


def check(*programs: str) -> None:
    source = PRELUDE + "".join(map(textwrap.dedent, programs))
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_changes_nothing() -> None:
    check("""
        assert not aioxide.installed()
        assert everything() == {STOCK}
    """)


def test_every_way_to_the_default_loop_leads_to_ours_and_back() -> None:
    check("""
        aioxide.install()
        assert aioxide.installed()
        assert everything() == {aioxide.EventLoop}
        aioxide.uninstall()
        assert not aioxide.installed()
        assert everything() == {STOCK}
        aioxide.install()
        assert everything() == {aioxide.EventLoop}
    """)


def test_repeating_changes_nothing() -> None:
    check("""
        aioxide.uninstall()
        aioxide.install()
        aioxide.install()
        assert everything() == {aioxide.EventLoop}
        aioxide.uninstall()
        assert everything() == {STOCK}
        aioxide.uninstall()
        assert everything() == {STOCK}
    """)


def test_undone_completely() -> None:
    check("""
        import asyncio.unix_events

        def names():
            modules = (asyncio, asyncio.events, asyncio.runners, asyncio.unix_events)
            classes = [thing for thing in vars(asyncio.unix_events).values()
                       if isinstance(thing, type)]
            return [dict(vars(owner)) for owner in (*modules, *classes)]

        asyncio.run(kind())
        before = names()
        aioxide.install()
        assert names() != before
        aioxide.uninstall()
        assert names() == before
    """)


def test_current_loop_of_a_thread_survives() -> None:
    check("""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        aioxide.install()
        assert asyncio.get_event_loop() is loop
        aioxide.uninstall()
        assert asyncio.get_event_loop() is loop
        loop.close()
    """)


def test_other_loops_by_name_stay_what_they_are() -> None:
    check("""
        aioxide.install()
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            assert runner.run(kind()) is STOCK
    """)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio.EventLoop is new in 3.13")
def test_best_loop_of_the_platform_is_ours() -> None:
    check("""
        stock = asyncio.EventLoop
        aioxide.install()
        assert asyncio.EventLoop is aioxide.EventLoop
        assert asyncio.run(kind(), loop_factory=asyncio.EventLoop) is aioxide.EventLoop
        aioxide.uninstall()
        assert asyncio.EventLoop is stock
    """)


POLICY = """
    warnings.simplefilter("default")
    warnings.simplefilter("ignore", DeprecationWarning)

    class OtherLoop(asyncio.SelectorEventLoop):
        pass

    class OtherPolicy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return OtherLoop()

    class Subclass(asyncio.DefaultEventLoopPolicy):
        pass
"""


def test_policy_set_before_gives_way_until_uninstall() -> None:
    check(
        POLICY,
        """
        asyncio.set_event_loop_policy(OtherPolicy())
        policy = asyncio.get_event_loop_policy()
        aioxide.install()
        assert everything() == {aioxide.EventLoop}
        aioxide.uninstall()
        assert asyncio.get_event_loop_policy() is policy
        assert everything() == {OtherLoop}
        """,
    )


def test_policy_set_afterwards_is_respected_and_left_alone() -> None:
    check(
        POLICY,
        """
        asyncio.set_event_loop_policy(OtherPolicy())
        aioxide.install()
        later = OtherPolicy()
        asyncio.set_event_loop_policy(later)
        assert everything() == {OtherLoop}
        aioxide.uninstall()
        assert asyncio.get_event_loop_policy() is later
        """,
    )


def test_policy_that_only_extends_the_default_keeps_its_place() -> None:
    check(
        POLICY,
        """
        policy = Subclass()
        asyncio.set_event_loop_policy(policy)
        aioxide.install()
        assert asyncio.get_event_loop_policy() is policy
        assert everything() == {aioxide.EventLoop}
        asyncio.set_event_loop_policy(None)
        assert everything() == {aioxide.EventLoop}
        """,
    )


def test_threads_may_race() -> None:
    check("""
        barrier = threading.Barrier(8)
        wrong = []

        def turn(number):
            for _ in range(200):
                barrier.wait()
                (aioxide.install if number % 2 else aioxide.uninstall)()
                if made(asyncio.new_event_loop) not in (aioxide.EventLoop, STOCK):
                    wrong.append(number)

        threads = [threading.Thread(target=turn, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        aioxide.uninstall()
        assert everything() == {STOCK}
    """)


def test_without_policies_as_in_future_pythons() -> None:
    check("""
        import asyncio.unix_events

        # What is left of asyncio when policies are gone.
        for module in (asyncio, asyncio.unix_events):
            for name in ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
                vars(module).pop(name, None)
        stock = lambda: STOCK()
        asyncio.new_event_loop = asyncio.events.new_event_loop = stock
        asyncio.events.set_event_loop = lambda loop: None

        aioxide.install()
        assert asyncio.run(kind()) is aioxide.EventLoop
        assert made(asyncio.new_event_loop) is aioxide.EventLoop
        aioxide.uninstall()
        assert asyncio.new_event_loop is asyncio.events.new_event_loop is stock
    """)
