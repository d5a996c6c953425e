"""Every row can be measured, and gives the figure that its table shows."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

import memory
import process_workloads
import served
import suite
from benchmark import Benchmark, Setting, chosen_rows, table
from child import Failed
from implementations import IMPLEMENTATIONS, environment, new_loop
from pipe_workloads import SMALL, Rounds
from workload import WrongResult

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import harness

CLIENTS = ("connect", "http-client")
SERVED = [each for each in suite.BENCHMARKS.values() if each.loaded and each.name not in CLIENTS]


def measured(
    benchmark: Benchmark, name: str, column: str, options: argparse.Namespace
) -> harness.Values:
    """Two slices of a cell, or as many as it has."""
    setting = Setting(0.04, 2, None, None, options)
    row = benchmark.rows[name]
    with contextlib.ExitStack() as stack:
        session = benchmark.open_session(stack, setting, row, column)
        for _ in range(benchmark.slices(row, 2)):
            session.slice()
        return session.result()


def kinds() -> list[tuple[Benchmark, str]]:
    """One row of each kind of server, the one with the fewest connections."""
    found: dict[Any, tuple[Benchmark, str]] = {}
    for benchmark in SERVED:
        for name, row in benchmark.rows.items():
            assert isinstance(row, served.Row)
            found.setdefault((benchmark.name, *row.server[:2], row.unix), (benchmark, name))
    return list(found.values())


def named(value: Any) -> str:
    return value.name if isinstance(value, Benchmark) else str(value)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, options: argparse.Namespace) -> argparse.Namespace:
    """Options for a short look: a rate that everybody keeps, and some connections that stay."""
    options.rate = 500
    short = {
        name: dataclasses.replace(row, load=("hold", "--connections", "200"))
        for name, row in memory.BENCHMARK.rows.items()
        if isinstance(row, served.Row)
    }
    monkeypatch.setitem(
        suite.BENCHMARKS, "memory", dataclasses.replace(memory.BENCHMARK, rows=short)
    )
    return options


def cells() -> list[tuple[Benchmark, str, str]]:
    """Each kind on asyncio and on aioxide, and on the bare server where there is one."""
    return [
        (benchmark, name, column)
        for benchmark, name in kinds()
        for column in ("asyncio", "aioxide", served.FLOOR)
        if column != served.FLOOR
        or (benchmark.floor and benchmark.has(benchmark.rows[name], column))
    ]


@pytest.mark.parametrize(("benchmark", "name", "column"), cells(), ids=named)
def test_server_is_measured(
    loadgen: str, few: argparse.Namespace, benchmark: Benchmark, name: str, column: str
) -> None:
    benchmark = suite.BENCHMARKS[benchmark.name]
    values = measured(benchmark, name, column, few)
    if benchmark.name == "memory":
        assert values["connections"] == 200
        return
    assert values["operations"] > 0
    parts = values["user_us_per_operation"] + values["system_us_per_operation"]
    assert values["cpu_us_per_operation"] == parts > 0
    assert values[benchmark.key] > 0


def test_large_messages_pass_through_full_socket_buffers(
    loadgen: str, options: argparse.Namespace
) -> None:
    """The floor keeps what the kernel does not take, and loses nothing."""
    echo = suite.BENCHMARKS["echo"]
    assert measured(echo, "protocol-100KiB-10", served.FLOOR, options)["operations"]


def test_latency_has_the_same_rate_in_every_column(
    loadgen: str, options: argparse.Namespace
) -> None:
    latency = suite.BENCHMARKS["latency"]
    rates = [
        measured(latency, "protocol-64B", column, options)["rate"]
        for column in ("asyncio", served.FLOOR)
    ]
    assert rates[0] == rates[1] > 0


def test_server_that_dies_is_a_failure(
    loadgen: str, options: argparse.Namespace, tmp_path: Path
) -> None:
    echo = suite.BENCHMARKS["echo"]
    row = dataclasses.replace(echo.rows["protocol-64B-1"], server=("echo_server", "nothing"))  # type: ignore[type-var]
    broken = dataclasses.replace(echo, rows=table([row]))
    with pytest.raises(Failed, match="invalid choice"):
        measured(broken, "protocol-64B-1", "asyncio", options)


@pytest.mark.parametrize(
    ("group", "row"),
    [("http-client", "64B-1"), ("connect", "protocol-1"), ("connect", "streams-16")],
)
def test_client_is_measured(
    loadgen: str, options: argparse.Namespace, group: str, row: str
) -> None:
    values = measured(suite.BENCHMARKS[group], row, "aioxide", options)
    assert values["cpu_us_per_operation"] > 0


def test_files_are_measured(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the large file cut to a part of what it is."""
    import files_child

    monkeypatch.setattr(files_child, "SIZE", 1 << 20)
    monkeypatch.setattr(files_child, "LINES", 80 * 20)
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    values = files_child.measure("aioxide", "read4k-hot-1", tmp_path, 0.001)
    assert values["operations"] == 200
    assert values["cpu_us_per_operation"] > 0


IN_LOOP = [
    (module, name)
    for module in ("pipe_workloads", "name_workloads", "process_workloads")
    for name in __import__(module).WORKLOADS
]


@pytest.mark.parametrize("implementation", ["asyncio", "aioxide"])
@pytest.mark.parametrize(("module", "name"), IN_LOOP)
def test_workload_runs(module: str, name: str, implementation: str) -> None:
    workload = __import__(module).WORKLOADS[name]
    loop = new_loop(IMPLEMENTATIONS[implementation])
    failures: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        env = environment(IMPLEMENTATIONS[implementation], loop)
        loop.run_until_complete(workload.run(env, workload.unit * 2))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
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


def test_a_process_that_gives_back_something_else_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "cat"
    fake.write_text("#!/bin/sh\nwhile read -r line; do :; done; echo wrong\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    implementation = IMPLEMENTATIONS["aioxide"]
    loop = new_loop(implementation)
    try:
        run = process_workloads.communicate(10)
        with pytest.raises(WrongResult, match="cat gave back something else"):
            loop.run_until_complete(run(environment(implementation, loop), 1))
    finally:
        loop.close()


@pytest.mark.parametrize("benchmark", suite.BENCHMARKS.values(), ids=named)
def test_each_group_has_a_short_form(benchmark: Benchmark, options: argparse.Namespace) -> None:
    usual = chosen_rows(benchmark, options)
    options.quick = True
    short = chosen_rows(benchmark, options)
    assert short
    assert set(short) <= set(usual)
