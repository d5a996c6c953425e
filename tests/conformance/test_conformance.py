"""CPython's asyncio tests on aioxide, a test here for each module there.

The modules about the selector loop's inside are left to the command line: they cannot fail a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from .cli import HOME, make_session
from .report import failure_text
from .session import DEFAULT_JOBS
from .suite import NoSuiteError, installed_suite
from .verdicts import ModuleReport

#: The time limits of pytest are for one test of ours, and a module has hundreds. Its own limits are
#: small enough that pytest's watchdog (`faulthandler_timeout`) never has to end the whole run.
TIMEOUT, MAX_LOSSES = 20.0, 3
#: The modules run in processes of their own, whose files are open while the next test starts.
pytestmark = [
    pytest.mark.conformance,
    pytest.mark.timeout(0),
    pytest.mark.may_leave_residue,
]

Running = dict[str, Future[ModuleReport]]


def _gated_modules() -> list[str]:
    try:
        suite = installed_suite()
    except NoSuiteError:
        return []  # pytest then skips the test, and says that there is no parameter for it.
    return [module for module in suite.modules if suite.is_gated(module)]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """All modules that were asked for, running some at a time while pytest waits for the first."""
    wanted = [
        str(item.callspec.params["module"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.get_closest_marker("conformance")
    ]
    session = replace(make_session(HOME, timeout=TIMEOUT), max_losses=MAX_LOSSES)
    with ThreadPoolExecutor(DEFAULT_JOBS) as pool:
        try:
            yield session.submit(pool, wanted)
        finally:
            session.stop.set()
            pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("module", _gated_modules())
def test_module(module: str, running: Running) -> None:
    """Nothing in the module is otherwise than on asyncio, but for what is explained."""
    failures = running[module].result().failures
    assert not failures, "\n".join(["", *map(failure_text, failures)])
