"""`install`, `uninstall`, `installed`. Each test has a process of its own, which it changes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """\
import asyncio, logging, sys, threading, warnings
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


def test_loops_by_name_are_ours() -> None:
    check("""
        early = asyncio.SelectorEventLoop
        aioxide.install()
        for factory in (asyncio.SelectorEventLoop, asyncio.unix_events.SelectorEventLoop):
            with asyncio.Runner(loop_factory=factory) as runner:
                assert runner.run(kind()) is aioxide.EventLoop
        aioxide.uninstall()
        assert asyncio.SelectorEventLoop is early is STOCK
    """)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio.EventLoop is new in 3.13")
def test_best_loop_of_the_platform_is_ours() -> None:
    check("""
        stock = asyncio.EventLoop
        aioxide.install()
        assert asyncio.EventLoop is asyncio.SelectorEventLoop
        assert asyncio.run(kind(), loop_factory=asyncio.EventLoop) is aioxide.EventLoop
        aioxide.uninstall()
        assert asyncio.EventLoop is stock
    """)


def test_loop_with_a_selector_is_asyncios() -> None:
    check("""
        import selectors
        aioxide.install()
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        assert type(loop) is STOCK and loop._selector is selector
        loop.close()
    """)


def test_a_loop_name_is_a_class_to_whoever_looks() -> None:
    check("""
        import inspect
        aioxide.install()
        name = asyncio.SelectorEventLoop
        ours, stock = aioxide.EventLoop(), STOCK()
        assert isinstance(ours, name) and isinstance(stock, name)
        assert not isinstance(object(), name)
        assert issubclass(aioxide.EventLoop, name) and issubclass(STOCK, name)
        assert issubclass(name, asyncio.AbstractEventLoop) and issubclass(name, name)
        assert inspect.isclass(name)
        assert name.call_soon is aioxide.EventLoop.call_soon
        ours.close(), stock.close()
    """)


def test_a_subclass_is_one_of_asyncios() -> None:
    check("""
        import abc
        aioxide.install()

        class Abstract(abc.ABC):
            pass

        class Simple(asyncio.SelectorEventLoop):
            def __init__(self, *arguments):
                super().__init__(*arguments)

        class Mixed(Abstract, asyncio.SelectorEventLoop):
            pass

        class Told(Simple):
            def __init_subclass__(cls, *, told):
                cls.told = told

        class Keyword(Told, asyncio.SelectorEventLoop, told=True):
            pass

        assert Keyword.told
        for made_class in (Simple, Mixed, Keyword):
            loop = made_class()
            assert isinstance(loop, STOCK) and type(loop) is made_class
            assert STOCK in made_class.__mro__ and aioxide.EventLoop not in made_class.__mro__
            assert isinstance(loop, asyncio.SelectorEventLoop)
            loop.close()
    """)


def test_a_patch_of_a_loop_name_reaches_the_loops() -> None:
    check("""
        aioxide.install()
        asyncio.SelectorEventLoop.mark = "patched"
        loop = asyncio.new_event_loop()
        assert loop.mark == "patched"
        del asyncio.SelectorEventLoop.mark
        assert not hasattr(loop, "mark")
        loop.close()
    """)


UVLOOP = """\
import asyncio, sys

class Loop(asyncio.SelectorEventLoop):
    pass

def new_event_loop():
    return Loop()

def run(main, *, loop_factory=new_event_loop, debug=None):
    async def checked():
        assert isinstance(asyncio.get_running_loop(), Loop)
        return await main
    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(checked())
"""

OTHER_LOOP = """
    import types
    uvloop_names = ("Loop", "new_event_loop", "run")
    def all_of(uvloop):
        return {made(uvloop.new_event_loop), made(uvloop.Loop), uvloop.run(kind())}
"""


@pytest.fixture
def uvloop_folder(tmp_path: Path) -> Path:
    """A folder with a package that has uvloop's names, as its real one has them."""
    (tmp_path / "uvloop").mkdir()
    (tmp_path / "uvloop/__init__.py").write_text(UVLOOP)
    return tmp_path


@pytest.mark.parametrize("early", [True, False], ids=["imported before", "imported after"])
def test_another_package_loops_are_ours(uvloop_folder: Path, early: bool) -> None:
    first, second = "import uvloop", "aioxide.install()"
    if not early:
        first, second = second, first
    check(
        OTHER_LOOP,
        f"""
        sys.path.insert(0, {str(uvloop_folder)!r})
        {first}
        {second}
        import importlib.util
        assert "exec_module" not in vars(uvloop.__spec__.loader)
        assert all_of(uvloop) == {{aioxide.EventLoop}}
        aioxide.uninstall()
        loop_class = uvloop.Loop
        assert loop_class.__module__ == "uvloop"
        assert all_of(uvloop) == {{loop_class}}
        aioxide.install()
        assert all_of(uvloop) == {{aioxide.EventLoop}}
        """,
    )


def test_another_package_is_not_imported_and_not_touched_after_uninstall(
    uvloop_folder: Path,
) -> None:
    check(
        OTHER_LOOP,
        f"""
        finders = list(sys.meta_path)
        sys.path.insert(0, {str(uvloop_folder)!r})
        aioxide.install()
        assert "uvloop" not in sys.modules
        aioxide.uninstall()
        assert sys.meta_path == finders
        import uvloop
        assert all_of(uvloop) == {{uvloop.Loop}}
        """,
    )


def test_names_only() -> None:
    check("""
        finders = list(sys.meta_path)
        aioxide.install(loop=False)
        assert everything() == {STOCK}
        assert sys.meta_path == finders
    """)


LOG = """
    import logging
    records = []
    class Handler(logging.Handler):
        def emit(self, record):
            records.append((record.levelname, record.getMessage()))
    logging.getLogger("aioxide").addHandler(Handler())
    logging.getLogger("aioxide").setLevel(logging.INFO)
"""


def test_the_first_loop_is_told_once() -> None:
    check(
        LOG,
        """
        aioxide.install()
        asyncio.run(kind())
        asyncio.run(kind())
        (level, text), = records
        assert level == "INFO"
        assert text.startswith(f"aioxide {aioxide.__version__} loop, files "), text
        """,
    )


def test_another_loop_is_told_once_for_each_class() -> None:
    check(
        LOG,
        """
        aioxide.install()
        class Other(asyncio.SelectorEventLoop):
            pass
        for _ in range(3):
            with asyncio.Runner(loop_factory=Other) as runner:
                runner.run(kind())
        warnings_ = [text for level, text in records if level == "WARNING"]
        assert len(warnings_) == 1, warnings_
        assert "__main__.Other runs, started by <string>:" in warnings_[0]
        """,
    )


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
        logging.disable()
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
