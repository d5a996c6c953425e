"""Subinterpreters: the package refuses to be imported there, and the main interpreter works on."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.aioxide_only

SENTENCE = "aioxide works in the main interpreter only, and this is a subinterpreter"


# Runs code in a new interpreter. A legacy one shares the GIL, an isolated one has its own.
def _interpreter(kind: str, *, isolated: bool) -> str:
    """Return the definition of `run(code)`, by means of CPython's private modules."""
    return f"""
        try:
            import _interpreters

            def run(code):
                interpreter = _interpreters.create("{kind}")
                failed = _interpreters.exec(interpreter, code)
                _interpreters.destroy(interpreter)
                assert failed is None, failed
        except ImportError:
            import _xxsubinterpreters

            def run(code):
                _xxsubinterpreters.run_string(_xxsubinterpreters.create(isolated={isolated}), code)
    """


RUN = {
    "legacy": _interpreter("legacy", isolated=False),
    "isolated": _interpreter("isolated", isolated=True),
    "concurrent.interpreters": """
        from concurrent import interpreters

        def run(code):
            interpreters.create().exec(code)
    """,
}
IMPORT = f"""
try:
    import aioxide
except ImportError as error:
    assert str(error) == {SENTENCE!r}, error
else:
    raise AssertionError("imported")
"""
USE = """
import asyncio, aioxide

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(aioxide.wait_for(asyncio.sleep(0), 10))
    return 5

assert aioxide.run(main()) == 5
"""


@pytest.mark.parametrize("kind", RUN)
@pytest.mark.parametrize("first", ["main interpreter", "subinterpreter"])
def test_only_the_main_interpreter_imports_it(kind: str, first: str) -> None:
    if kind == "concurrent.interpreters" and sys.version_info < (3, 14):
        pytest.skip("3.14 and later")
    refused = f"run({IMPORT!r})\n"
    steps = (
        [USE, refused, USE]
        if first == "main interpreter"
        else [refused, refused, USE, refused, USE]
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(RUN[kind]) + "".join(steps)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
