"""Every workload of pipes.py does what it says, and notices when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from implementations import IMPLEMENTATIONS, environment, new_loop
from pipe_workloads import SMALL, WORKLOADS, Rounds
from workloads import WrongResult


@pytest.mark.parametrize("name", WORKLOADS)
def test_runs_on_asyncio(name: str) -> None:
    implementation = IMPLEMENTATIONS["asyncio"]
    loop = new_loop(implementation)
    failures: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        workload = WORKLOADS[name]
        loop.run_until_complete(workload.run(environment(implementation, loop), workload.unit * 2))
    finally:
        loop.close()
    assert not failures


def test_a_message_that_is_cut_is_noticed() -> None:
    implementation = IMPLEMENTATIONS["asyncio"]
    loop = new_loop(implementation)
    try:
        rounds = Rounds(environment(implementation, loop), 1)
        with pytest.raises(WrongResult):
            rounds.data_received(b"x" * (SMALL - 1))
    finally:
        loop.close()
