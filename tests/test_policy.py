"""`EventLoopPolicy`: asyncio's default policy with our loop, and the warnings that go with it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest


def output(program: str, *flags: str) -> str:
    """What this program prints, in a process of its own; nothing else may be said."""
    source = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, *flags, "-c", source], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def warned(access: str) -> list[Any]:
    """The warnings of a piece of code: category, and the place that is blamed."""
    program = f"""
        import json, warnings
        import aioxide, asyncio
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            {access}
        print(json.dumps([[each.category.__name__, each.filename, each.lineno]
                          for each in caught]))
    """
    return list(json.loads(output(program)))


@pytest.mark.parametrize(
    "access",
    [
        "{library}.{name}",
        "{library}.{name}; {library}.{name}",
        "{library}.{name}()",
        "from {library} import {name}",
        "hasattr({library}, '{name}')",
    ],
)
def test_warnings_are_those_of_asyncios_own_policy(access: str) -> None:
    ours = warned(access.format(library="aioxide", name="EventLoopPolicy"))
    assert ours == warned(access.format(library="asyncio", name="DefaultEventLoopPolicy"))
    assert bool(ours) == (sys.version_info >= (3, 14))


def test_importing_aioxide_does_not_warn() -> None:
    assert output("import aioxide, aioxide.policy", "-W", "error") == ""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="not deprecated before")
def test_warning_says_what_to_use() -> None:
    program = "import aioxide\ntry: aioxide.EventLoopPolicy\nexcept Warning as w: print(w)"
    text = output(program, "-W", "error")
    assert "'aioxide.EventLoopPolicy' is deprecated" in text
    assert "aioxide.run()" in text


SILENT = ("-W", "ignore::DeprecationWarning")


def test_policy_gives_our_loops_everywhere() -> None:
    program = """
        import asyncio, aioxide

        async def kind():
            return type(asyncio.get_running_loop())

        policy = aioxide.EventLoopPolicy()
        assert isinstance(policy, asyncio.DefaultEventLoopPolicy)
        asyncio.set_event_loop_policy(policy)
        assert asyncio.run(kind()) is aioxide.EventLoop
        loop = asyncio.new_event_loop()
        assert type(loop) is aioxide.EventLoop
        asyncio.set_event_loop(loop)
        assert asyncio.get_event_loop() is loop
        loop.close()
        asyncio.set_event_loop_policy(None)
        assert asyncio.run(kind()) is asyncio.SelectorEventLoop
    """
    assert output(program, *SILENT) == ""


def test_current_loop_belongs_to_a_thread() -> None:
    program = """
        import asyncio, threading, aioxide

        policy = aioxide.EventLoopPolicy()
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)

        def other():
            try:
                policy.get_event_loop()
            except RuntimeError as error:
                print(error)

        thread = threading.Thread(target=other, name="other")
        thread.start()
        thread.join()
        assert policy.get_event_loop() is loop
        loop.close()
    """
    assert output(program, *SILENT) == "There is no current event loop in thread 'other'.\n"


def test_class_is_made_once_and_named_as_it_is_reached() -> None:
    program = """
        import aioxide, pickle
        from aioxide import EventLoopPolicy

        assert EventLoopPolicy is aioxide.EventLoopPolicy
        assert repr(EventLoopPolicy) == "<class 'aioxide.EventLoopPolicy'>"
        assert pickle.loads(pickle.dumps(EventLoopPolicy)) is EventLoopPolicy
    """
    assert output(program, *SILENT) == ""


def test_without_policies_the_name_is_gone_and_says_why() -> None:
    program = """
        import asyncio, asyncio.unix_events

        # What is left of asyncio when policies are gone.
        for module in (asyncio, asyncio.unix_events):
            for name in ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
                vars(module).pop(name, None)

        import aioxide

        assert not hasattr(aioxide, "EventLoopPolicy")
        try:
            aioxide.EventLoopPolicy
        except AttributeError as error:
            print(error)
    """
    text = output(program, "-W", "error")
    assert "has no event loop policies any more" in text
    assert "aioxide.run()" in text


def test_policy_module_has_no_other_names_to_offer() -> None:
    program = """
        import aioxide.policy
        try:
            aioxide.policy.nonsense
        except AttributeError as error:
            print(error)
    """
    assert output(program) == "module 'aioxide.policy' has no attribute 'nonsense'\n"
