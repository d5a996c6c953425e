"""nest_asyncio and nest_asyncio2 are refused by a RuntimeError, and leave our loops as they are."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.aioxide_only

PRELUDE = """\
import asyncio, importlib, sys
import aioxide

REFUSED = "aioxide's event loop cannot run inside itself"

async def value():
    await asyncio.sleep(0)
    return 42

def refused(call, *arguments):
    try:
        call(*arguments)
    except RuntimeError as error:
        assert REFUSED in str(error), error
    else:
        raise SystemExit("it was not refused")

def runs():
    assert aioxide.run(value()) == 42
    with aioxide.Runner() as runner:
        assert runner.run(value()) == runner.run(value()) == 42
"""

#: The order in which both packages patch: asyncio, the policy, and then the class of the loop.
MINIMAL = """\
import asyncio

def apply(loop=None):
    def run(main):
        loop = asyncio.get_event_loop()
        patch(loop)
        return loop.run_until_complete(main)
    asyncio.run = run
    patch(loop or asyncio.get_event_loop())

def patch(loop):
    if hasattr(loop, "_nest_patched"):
        return
    def run_forever(self):
        while not self._stopping:
            self._selector.select(0)
    type(loop).run_forever = run_forever
    type(loop)._nest_patched = True
"""


@pytest.fixture(params=["nest_asyncio", "nest_asyncio2", "minimal"])
def nester(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Lines that import the package under the name `nest`."""
    name: str = request.param
    if name == "minimal":
        (tmp_path / "nest_asyncio.py").write_text(MINIMAL)
        return f"sys.path.insert(0, {str(tmp_path)!r})\nimport nest_asyncio as nest\n"
    if find_spec(name) is None:
        pytest.skip(f"not installed: {name} (the extra 'programs')")
    return f"import {name} as nest\n"


def check(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_refused_inside_a_running_loop(nester: str) -> None:
    check(f"""{nester}
async def main():
    refused(nest.apply)
    return await value()

assert aioxide.run(main()) == 42
runs()
""")


def test_refused_for_a_loop_that_does_not_run(nester: str) -> None:
    check(f"""{nester}
loop = aioxide.new_event_loop()
refused(nest.apply, loop)
assert loop.run_until_complete(value()) == 42
loop.close()
runs()
""")


@pytest.mark.parametrize("early", [True, False], ids=["imported before", "imported after"])
def test_refused_after_install_before_anything_is_patched(nester: str, early: bool) -> None:
    first, second = nester, "aioxide.install()\n"
    if not early:
        first, second = second, first
    check(f"""{first}{second}
run = asyncio.run
refused(nest.apply)
assert asyncio.run is run
assert asyncio.run(value()) == 42
runs()
aioxide.uninstall()
assert "_refuses" not in vars(nest.apply)
""")


def test_a_patch_of_asyncios_own_loop_leaves_ours_alone(nester: str) -> None:
    check(f"""{nester}
loop = asyncio.new_event_loop()
nest.apply(loop)
runs()
loop.close()
""")
