"""Whole runs of `aioxide demo` with a small site, as a user sees them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("rich")

from aioxide.demo.results import METRICS
from aioxide.demo.ways import LOOPS, WAYS
from demo_helpers import RECORD, TINY, Ending, command, demo, family

PNG = b"\x89PNG\r\n\x1a\n"
SOME = ["asyncio-streams", "blocking", "callbacks"]  # quick to start
TITLES = [way.title for way in WAYS if way.name in SOME]
QUICK = ["--only=callbacks", "--no-scheduling"]


def fake_benchmark(folder: Path) -> Path:
    """What scheduling.py would print, with the words that it was given."""
    script = folder / "scheduling.py"
    script.write_text(
        "import json, sys\n"
        f"record = json.loads({json.dumps(RECORD)!r})\n"
        "record['missing'] = {}\n"
        "del record['rows'][0]['implementations']['asyncio']\n"
        "record['words'] = sys.argv[1:]\n"
        "print(json.dumps(record))\n"
    )
    return script


class Whole(NamedTuple):
    """A run of some ways with all that is written: its process, its folder and its record."""

    done: subprocess.CompletedProcess[str]
    folder: Path
    record: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    script = fake_benchmark(folder)
    words = [f"--only={','.join(SOME)}", f"--scheduling={script}", "--json=figures.json"]
    done = demo(*TINY, *words, "--rounds=1", "--output=out", cwd=folder)
    record = folder / "figures.json"
    return Whole(done, folder, json.loads(record.read_text()) if record.exists() else {})


def test_whole_run_is_shown(whole: Whole) -> None:
    assert (whole.done.returncode, whole.done.stderr) == (0, "")
    for title in TITLES:
        assert f"\n{title}  " in whole.done.stdout
    shown = " ".join(whole.done.stdout.split())
    for sentence in whole.record["lessons"]:
        assert " ".join(sentence.split()) in shown
    assert len(whole.record["lessons"]) == 5
    assert "call_soon chain" in whole.done.stdout
    assert f"chart: {Path('out', 'experiment.png')}\n" in whole.done.stdout
    assert f"page:  {Path('out', 'experiment.html')}\n" in whole.done.stdout
    assert (whole.folder / "out" / "experiment.png").read_bytes().startswith(PNG)
    page = (whole.folder / "out" / "experiment.html").read_text()
    assert all(title in page for title in TITLES)
    assert "call_soon chain" in page


def test_whole_run_is_recorded(whole: Whole) -> None:
    assert whole.record["setup"]["pages"] == 3
    assert whole.record["interrupted"] is False
    loops = [loop for loop in LOOPS if loop not in whole.record["missing"]]
    expected = ["blocking", "callbacks", *(f"asyncio-streams@{loop}" for loop in loops)]
    assert [way["name"] for way in whole.record["ways"]] == expected
    for way in whole.record["ways"]:
        assert set(way["figures"]) == {metric.key for metric in METRICS}
        assert len(way["runs"]) == 1
    words = whole.record["scheduling"]["words"]
    assert "--quick" in words
    assert words[words.index("--json") + 1] == "-"
    assert [words[at + 1] for at, word in enumerate(words) if word == "--impl"] == loops


def test_record_on_stdout_is_alone_there(tmp_path: Path) -> None:
    done = demo(*TINY, *QUICK, "--json=-", "--rounds=2", cwd=tmp_path)
    assert done.returncode == 0
    record = json.loads(done.stdout)
    assert record["scheduling"] is None
    assert [(way["name"], len(way["runs"])) for way in record["ways"]] == [("callbacks", 2)]
    assert "chart: aioxide-demo/experiment.png\n" in done.stderr
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["experiment.html", "experiment.png"]


def test_broken_benchmark_leaves_the_rest(tmp_path: Path) -> None:
    script = tmp_path / "scheduling.py"
    script.write_text("raise SystemExit('nothing to measure')")
    words = ["--only=callbacks", f"--scheduling={script}", "--rounds=1"]
    done = demo(*TINY, *words, cwd=tmp_path, hidden=("matplotlib",))
    assert done.returncode == 1
    assert done.stderr == "aioxide demo: scheduling.py gave no record: nothing to measure\n"
    assert (tmp_path / "aioxide-demo" / "experiment.html").exists()


# What is missing


def test_what_is_missing_is_left_out_and_said(tmp_path: Path) -> None:
    done = demo(
        *TINY,
        "--only=blocking,threads,asyncio-streams@uvloop,aiohttp-thread@asyncio",
        "--no-scheduling",
        "--rounds=1",
        cwd=tmp_path,
        hidden=("aiohttp", "jinja2", "matplotlib", "requests", "uvloop"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    for sentence in (
        "Without requests, left out: threads (pip install requests).",
        "Without uvloop, left out: asyncio-streams@uvloop (pip install uvloop).",
        "Without aiohttp, left out: aiohttp-thread@asyncio (pip install aiohttp).",
        "Without matplotlib there is no chart (pip install matplotlib).",
        "Without jinja2 there is no page (pip install jinja2).",
    ):
        assert f"{sentence}\n" in done.stdout
    assert "One after the other" in done.stdout
    assert list(tmp_path.glob("*/*")) == []


def test_nothing_left_to_crawl_with(tmp_path: Path) -> None:
    done = demo("--only=threads", cwd=tmp_path, hidden=("requests",))
    assert done.returncode == 2
    assert done.stderr == "aioxide demo: nothing is left to crawl with\n"


def test_list_names_every_way_and_what_is_missing(tmp_path: Path) -> None:
    done = demo("--list", cwd=tmp_path, hidden=("rich", "requests", "uvloop"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == [way.name for way in WAYS]
    assert lines["threads"] == "Pool of threads          needs requests, not installed"
    assert lines["asyncio-streams"].endswith("  on asyncio, aioxide")


# Misuse


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--output=/proc/chart"], "cannot write to /proc/chart: "),
        (
            ["--output=/dev/null/chart"],
            "to /dev/null/chart: /dev/null is not a folder; --output=FOLDER names another",
        ),
        (["--json=missing/figures.json"], "cannot write missing/figures.json: No such file"),
        (["--json=."], "cannot write .: it is a folder; --json=PATH names another"),
        (["--rounds=0"], "must be 1 to 999, not 0"),
        (["--images=-1"], "must be 0 to 9999, not -1"),
        (["--pages=many"], "invalid"),
        (["--concurrency=501"], "must be 1 to 500, not 501"),
        (["--processes=0"], "must be 1 to 64, not 0"),
        (["--port=65536"], "must be 0 to 65535, not 65536"),
        (["--delay-ms=-1"], "must be 0 to 10000"),
        (["--delay-ms=nan"], "must be 0 to 10000, not nan"),
        (["--delay-ms=long"], "must be 0 to 10000, not long"),
        (["--only=threads,fibres"], "there is no way 'fibres', see --list"),
        (["--only=threads@uvloop"], "there is no way 'threads@uvloop', see --list"),
        (["--only="], "there is no way '', see --list"),
        (["--scheduling=missing.py"], "there is no file 'missing.py'"),
        (["--scheduling=x", "--no-scheduling"], "argument --"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_refused_before_anything_is_crawled(tmp_path: Path, words: list[str], reason: str) -> None:
    done = demo(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("aioxide demo: ")
    assert reason in line
    assert list(tmp_path.iterdir()) == []


def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo(*TINY, *QUICK, f"--port={port}", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"port {port} is in use; --port=0 takes any that is free")


# Ctrl-C


class Running:
    """A run whose output can be waited for."""

    def __init__(self, folder: Path, *words: str, hidden: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            command(*TINY, *words, hidden=hidden),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = ""

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"ended without {text!r}"
            self.output += line

    def interrupt(self) -> None:
        """Ctrl-C; returns when it and all that it had started have ended."""
        relatives = [Ending(pid) for pid in family(self.process.pid)]
        self.process.send_signal(signal.SIGINT)
        rest, errors = self.process.communicate()
        self.output += rest
        assert self.process.returncode == 130
        assert errors == "aioxide demo: interrupted\n"
        for relative in relatives:
            relative.wait()


def test_ctrl_c_while_the_site_is_made(tmp_path: Path) -> None:
    running = Running(tmp_path, *QUICK, "--pages=9999")
    running.wait_for("Crawling")
    running.interrupt()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["asyncio-processes@aioxide", "aiohttp-processes@asyncio"])
def test_ctrl_c_while_crawling_shows_what_there_is(tmp_path: Path, way: str) -> None:
    words = [f"--only=blocking,{way}", "--rounds=999", "--no-scheduling", "--json=figures.json"]
    running = Running(tmp_path, *words)
    running.wait_for("round 2 of")
    running.interrupt()
    assert "One after the other" in running.output
    assert "What to learn from it" in running.output
    record = json.loads((tmp_path / "figures.json").read_text())
    assert record["interrupted"] is True
    assert "blocking" in [each["name"] for each in record["ways"]]
    assert "interrupted" in (tmp_path / "aioxide-demo" / "experiment.html").read_text()
    assert (tmp_path / "aioxide-demo" / "experiment.png").exists()


def test_ctrl_c_while_the_benchmark_runs(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    script = tmp_path / "scheduling.py"
    # Opening a FIFO waits for the other end: first for this test, then for nobody.
    script.write_text(f"open({str(started)!r}, 'w').close()\nopen({str(started)!r})\n")
    words = ["--only=callbacks", "--rounds=1", f"--scheduling={script}"]
    running = Running(tmp_path, *words, hidden=("matplotlib",))
    started.read_text()
    running.interrupt()
    assert "Selector and callbacks" in running.output
    assert (tmp_path / "aioxide-demo" / "experiment.html").exists()
