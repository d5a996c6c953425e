"""What the command line of the suite chooses, and what a short run of it says."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

import suite
from options import Wrong

if TYPE_CHECKING:
    from pathlib import Path


def chosen(*arguments: str) -> dict[str, list[str] | None]:
    options = suite.parser().parse_args(arguments)
    return {benchmark.name: rows for benchmark, rows in suite.chosen(options)}


def test_everything_without_a_choice() -> None:
    assert list(chosen()) == list(suite.BENCHMARKS)


def test_groups_by_pattern() -> None:
    assert list(chosen("-g", "http-*", "-g", "udp")) == ["http-servers", "http-client", "udp"]


def test_rows_belong_to_the_groups_that_have_them() -> None:
    assert chosen("-w", "spawn-*", "-w", "gather-thousand") == {
        "scheduling": ["gather-thousand"],
        "subprocesses": ["spawn-*"],
    }


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-g", "tpc"), "no group is called 'tpc'"),
        (("-w", "spwan-1"), "no row is called 'spwan-1'"),
        (("-g", "udp", "-w", "spawn-1"), "no row is called 'spawn-1'"),
    ],
)
def test_names_that_nothing_has_are_refused(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Wrong, match=reason):
        chosen(*arguments)


def test_a_run_gives_table_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "record.json"
    arguments = ["--quick", "--rounds", "1", "--seconds", "0.01", "-i", "asyncio", "-i", "aioxide"]
    arguments += ["-w", "call-soon-chain", "--json", str(target)]
    assert suite.main(arguments) == 0
    (record,) = json.loads(target.read_text())["benchmarks"]
    assert record["benchmark"] == "scheduling"
    assert list(record["rows"][0]["implementations"]) == ["asyncio", "aioxide"]
    assert record["settings"]["quick"] is True
    printed = capsys.readouterr().out
    assert "call_soon chain" in printed
    assert "aioxide is behind in" in printed


def test_every_row_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main(["--list"]) == 0
    printed = capsys.readouterr().out
    for benchmark in suite.BENCHMARKS.values():
        assert benchmark.name in printed
        assert all(name in printed for name in benchmark.rows)


def test_an_interrupted_suite_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import harness

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(harness.Progress, "step", interrupt)
    target = tmp_path / "record.json"
    arguments = ["--quick", "-g", "scheduling", "-g", "names", "-i", "asyncio"]
    assert suite.main([*arguments, "--json", str(target)]) == 0
    records = json.loads(target.read_text())["benchmarks"]
    assert [record["benchmark"] for record in records] == ["scheduling"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-g", "tpc"], "no group is called 'tpc'"),
        (["--rounds", "0"], "0 is not above 0"),
        (["--seconds", "-1"], "-1 is not above 0"),
        (["--rate", "nan"], "nan is not above 0"),
        (["--cpu", "4096", "-g", "names"], "core 4096 is not one of the allowed ones"),
        (["--json", "/nowhere/record.json"], "/nowhere/record.json: No such file or directory"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        suite.main(arguments)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]


def test_what_is_not_installed_is_named_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = dataclasses.replace(suite.BENCHMARKS["http-client"], needs=("no_such_package",))
    monkeypatch.setitem(suite.BENCHMARKS, "http-client", lacking)
    target = tmp_path / "record.json"
    arguments = ["--quick", "--rounds", "1", "--seconds", "0.01", "-i", "asyncio"]
    arguments += ["-g", "http-client", "-g", "names", "--json", str(target)]
    assert suite.main(arguments) == 1
    reason = "http-client needs no_such_package: install the extra 'bench'"
    assert reason in capsys.readouterr().err
    records = json.loads(target.read_text())["benchmarks"]
    assert [record["benchmark"] for record in records] == ["names"]
