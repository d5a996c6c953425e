"""What guard.py makes of dumps, of figures and of the options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import callgrind
import guard
from guard import Figure, Row
from guard_child import run
from guard_paths import HOT_PATHS, Peer, _pair
from options import Lacking, Wrong
from workload import WrongResult

EXTENSION = "/site/aioxide/_aioxide.cpython-313-x86_64-linux-gnu.so"
LIBC = "/lib/libc.so.6"
DUMP = f"""\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 7
cmd:  python guard_child.py
part: 2

desc: Trigger: --dump-before=getppid

positions: line
events: Ir
summary: 165

ob=(1) ???
fl=(1) ???
fn=(1) 0x0000000004936728
0 6
cob=(26) {EXTENSION}
cfi=(2) run.rs
cfn=(2) turn
calls=3 17
0 159

ob=(26)
fl=(2)
fn=(2)
0 100
+3 20
fe=(3) cell.rs
* 9
cob=(3) {LIBC}
cfi=(4) epoll_wait.c
cfn=(3) epoll_wait
calls=3 25
-3 30

ob=(3)
fl=(4)
fn=(3)
25 30

totals: 165
"""


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


# The parser


def test_costs_go_to_the_object_they_stand_under() -> None:
    assert callgrind.instructions(lines(DUMP)) == {"???": 6, EXTENSION: 129, LIBC: 30}


def test_dump_that_is_cut_off_is_refused() -> None:
    with pytest.raises(callgrind.Malformed, match="no line of totals"):
        callgrind.instructions(lines(DUMP)[:-1])


def test_lines_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(callgrind.Malformed, match="add up to 164, the dump says 165"):
        callgrind.instructions(lines(DUMP.replace("0 6\n", "0 5\n")))


@pytest.mark.parametrize(
    ("header", "other", "reason"),
    [
        ("events: Ir", "events: Ir Dr", "counts of Ir Dr"),
        ("positions: line", "positions: instr line", "positions by instr line"),
    ],
)
def test_dump_of_something_else_is_refused(header: str, other: str, reason: str) -> None:
    with pytest.raises(callgrind.Malformed, match=reason):
        callgrind.instructions(lines(DUMP.replace(header, other)))


# Figures


def test_slope_leaves_out_what_happens_once() -> None:
    short = Counter({EXTENSION: 1000 + 10 * 50, LIBC: 7000 + 10 * 20})
    long = Counter({EXTENSION: 1000 + 30 * 50, LIBC: 7000 + 30 * 20})
    assert guard.slope(short, long, 20) == (50, 70)


def test_figure_is_the_mean_with_its_spread() -> None:
    assert guard.figure([(99, 400), (101, 410)]) == Figure(100, 405, 0.02)


def test_figure_of_a_path_is_read_from_its_dumps(tmp_path: Path) -> None:
    """A run that is empty and one that is the sample, which then is `many - few` operations."""
    empty = "events: Ir\npositions: line\ntotals: 0\n"
    (tmp_path / "dump.2").write_text(empty)
    (tmp_path / "dump.3").write_text(DUMP)
    path = HOT_PATHS["accept-close"]
    now = guard.figure_of(path, [(2, 3)], tmp_path)
    operations = path.many - path.few
    assert now == Figure(round(129 / operations, 1), round(165 / operations, 1), 0)


# Comparison


def row(before: float | None, now: float, spread: float = 0) -> Row:
    recorded = None if before is None else Figure(before, 2 * before, 0)
    return Row("udp-echo", recorded, Figure(now, 2 * now, spread))


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (1000, 1030, ""),
        (1000, 1031, "grew"),
        (1000, 970, ""),
        (1000, 969, "shrank"),
        (None, 5, "new"),
    ],
)
def test_verdict_is_about_more_than_the_limit(
    before: float | None, now: float, verdict: str
) -> None:
    assert row(before, now).verdict == verdict


def test_table_has_the_extension_above_the_process() -> None:
    head, ((title, recorded, now, change, verdict),) = guard.table([row(1000, 1100)])
    assert head[1:4] == ["recorded", "now", "change"]
    assert title == ("UDP echo", "the whole process")
    assert (recorded, now) == (("1,000", "2,000"), ("1,100", "2,200"))
    assert (change, verdict) == (("+10.0%", "+10.0%"), ("grew", ""))


def test_table_of_a_new_path_has_no_comparison() -> None:
    _, ((_, recorded, _, change, verdict),) = guard.table([row(None, 1100)])
    assert (recorded, change, verdict) == (("", ""), ("", ""), ("new", ""))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (row(1000, 1001), "Nothing moved by more than 3%."),
        (row(1000, 1100), "More than 3% above the record: udp-echo."),
        (row(1000, 900), "More than 3% below the record: udp-echo; record it"),
        (row(1000, 1000, spread=0.02), "Not the same in each round, by more than 1%: udp-echo."),
    ],
)
def test_remarks_name_the_paths(now: Row, said: str) -> None:
    assert guard.remarks([now])[0].startswith(said)


# The record


def test_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    target = tmp_path / "records" / "instructions-3.13.json"
    figures = {"udp-echo": Figure(1100.5, 4400, 0.001)}
    guard.write_record(target, {"valgrind": "3.19.0"}, figures)
    assert guard.read_record(target) == ({"valgrind": "3.19.0"}, figures)


def test_record_is_one_for_each_minor_version() -> None:
    assert guard.record_path("3.13.0").name == "instructions-3.13.json"
    assert guard.record_path("3.14.2").name == "instructions-3.14.json"


@pytest.mark.parametrize("text", ["", "{}", '{"tools": {}, "paths": {"a": {"ns": 1}}}'])
def test_other_file_is_no_record(tmp_path: Path, text: str) -> None:
    target = tmp_path / "instructions-3.13.json"
    target.write_text(text)
    with pytest.raises(Wrong, match=r"instructions-3.13.json is no record"):
        guard.read_record(target)


def test_other_tools_are_named() -> None:
    recorded = {"python": "3.13.0", "valgrind": "3.19.0"}
    now = {"python": "3.13.0", "valgrind": "3.24.0"}
    (said,) = guard.differences(recorded, now)
    assert said.startswith("The record was made with valgrind 3.19.0, this is 3.24.0")


def test_compiler_is_the_one_that_built_the_extension(tmp_path: Path) -> None:
    built = tmp_path / "_aioxide.so"
    built.write_bytes(b"\x7fELF\x00GCC: 12.2.0\x00rustc version 1.91.0 (f8297e351)\x00")
    assert guard.rustc_of(built) == "1.91.0"
    built.write_bytes(b"\x7fELF")
    assert guard.rustc_of(built) is None


# The program


def command(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["guard.py", *arguments])
    return guard.main()


def refusal(
    *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line that the program says where it measures nothing, with status 2."""
    with pytest.raises(SystemExit) as ended:
        command(*arguments, monkeypatch=monkeypatch)
    assert ended.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    return said


def test_without_valgrind_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    said = refusal(monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("guard.py: valgrind not found")
    assert "apt install valgrind" in said


def test_without_a_compiler_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Lacking, match=r"no C compiler.*build-essential"):
        guard.build_clock(tmp_path)


CLOCK_READER = """
import time, aioxide
loop = aioxide.new_event_loop()
first, second = loop.time(), loop.time()
loop.close()
print(round((second - first) * 1e9), 1000 < first < 1001)
coarse = 6  # CLOCK_MONOTONIC_COARSE: the same clock as of the last tick, and not replaced
before, now, after = time.clock_gettime(coarse), time.monotonic(), time.clock_gettime(coarse)
print(before <= now <= after + 0.1)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_clock_counts_the_readings_of_the_loop_alone(tmp_path: Path) -> None:
    preloaded = {**os.environ, "LD_PRELOAD": str(guard.build_clock(tmp_path))}
    command = [sys.executable, "-c", CLOCK_READER]
    done = subprocess.run(command, env=preloaded, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["100", "True", "True"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Figure]:
    """Figures in place of those that valgrind would count, and a record of 1,000 for each path."""
    target = tmp_path / "instructions.json"
    tools = {"python": "3.13.0", "valgrind": "3.19.0"}
    guard.write_record(target, tools, dict.fromkeys(HOT_PATHS, Figure(1000, 4000, 0)))
    monkeypatch.setattr(guard, "valgrind", lambda: "3.19.0")
    monkeypatch.setattr(guard, "tools", lambda version: tools | {"valgrind": version})
    monkeypatch.setattr(guard, "record_path", lambda _version: target)
    now = dict.fromkeys(HOT_PATHS, Figure(1000, 4000, 0))
    monkeypatch.setattr(guard, "measure", lambda names, _tell: {name: now[name] for name in names})
    return now


def test_status_is_0_if_nothing_grew(
    counted: dict[str, Figure],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted["udp-echo"] = Figure(900, 5000, 0)
    assert command(monkeypatch=monkeypatch) == 0
    assert "below the record: udp-echo" in capsys.readouterr().out


def test_status_is_1_if_one_grew(
    counted: dict[str, Figure],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted["udp-echo"] = Figure(1031, 4000, 0)
    assert command("-p", "udp*", "-p", "sock*", monkeypatch=monkeypatch) == 1
    assert "above the record: udp-echo." in capsys.readouterr().out
    assert command("-p", "sock*", monkeypatch=monkeypatch) == 0


@pytest.mark.usefixtures("counted")
def test_path_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal("-p", "tls", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("guard.py: no path is called 'tls'; there are: call-soon-chain, ")


@pytest.mark.usefixtures("counted")
def test_without_a_record_it_says_how_to_write_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.record_path("3.13.0").unlink()
    said = refusal(monkeypatch=monkeypatch, capsys=capsys)
    assert "no record of this Python (instructions.json)" in said
    assert "--record" in said


def test_recording_replaces_the_figures(
    counted: dict[str, Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted["udp-echo"] = Figure(1500, 4000, 0)
    assert command("--record", monkeypatch=monkeypatch) == 0
    _, recorded = guard.read_record(guard.record_path("3.13.0"))
    assert recorded == counted


def test_record_of_a_part_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal("--record", "-p", "udp*", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("guard.py: a record is of all paths")


# The paths


@pytest.mark.parametrize("name", HOT_PATHS)
def test_path_does_all_of_its_operations(name: str) -> None:
    run(HOT_PATHS[name], HOT_PATHS[name].few)


def test_peer_notices_a_wrong_answer() -> None:
    ours, theirs = _pair()
    with ours, theirs:
        peer = Peer(theirs, 3)
        assert peer.turn()
        assert peer.turn()
        ours.send(b"y" * 64)
        with pytest.raises(WrongResult, match="came back"):
            peer.turn()


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
@pytest.mark.timeout(300)
def test_counts_under_valgrind() -> None:
    told: list[str] = []
    figures = guard.measure(["streams-echo"], told.append)
    assert told == ["streams-echo"]
    now = figures["streams-echo"]
    assert 0 < now.extension < now.process
    assert now.spread < guard.STEADY


def test_saved_figures_are_compared_with_the_limit_asked_for(
    counted: dict[str, Figure],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = tmp_path / "before.json"
    assert command("--save", str(before), "-p", "udp*", monkeypatch=monkeypatch) == 0
    counted["udp-echo"] = Figure(1025, 4000, 0)
    compared = ("--against", str(before), "-p", "udp*")
    assert command(*compared, monkeypatch=monkeypatch) == 0
    capsys.readouterr()
    assert command(*compared, "--limit", "2", monkeypatch=monkeypatch) == 1
    assert "More than 2% above the record: udp-echo." in capsys.readouterr().out


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--limit", "x"), "--limit"),
        (("--limit", "101"), "101 is no percentage"),
        (("--against", "a.json", "--save", "b.json"), "use one of them"),
        (("--record", "--save", "b.json"), "not allowed with"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: tuple[str, ...],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(*arguments, monkeypatch=monkeypatch)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
