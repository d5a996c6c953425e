"""`aioxide demo`, from the pieces to a whole run with a small site."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")

from aioxide.demo import chart, content, options, rounds, scheduling, tables
from aioxide.demo.child import Child, ChildFailed
from aioxide.demo.crawl import LINK

# The content


def links(body: bytes) -> set[str]:
    return {link.decode() for link in LINK.findall(body) if link.startswith(b"/")}


@pytest.mark.parametrize(("pages", "images"), [(1, 0), (2, 7), (40, 3), (60, 120)])
def test_crawling_from_the_root_finds_everything(pages: int, images: int) -> None:
    site = content.build(pages, images)
    assert (len(site.pages), len(site.images)) == (pages, images)
    found, todo = {"/"}, ["/"]
    while todo:
        new = links(site.documents[todo.pop()]) - found
        found |= new
        todo += [path for path in new if path in site.pages]
    assert found == set(site.documents)


def test_no_page_gives_everything_away() -> None:
    site = content.build(60, 120)
    assert all(len(links(body)) < 60 for body in site.pages.values())


def test_links_agree_with_an_html_parser() -> None:
    from html.parser import HTMLParser

    class Parser(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            wanted = {"a": "href", "img": "src"}.get(tag)
            self.found += [value.split("#")[0] for name, value in attrs if name == wanted and value]

    site = content.build(20, 30)
    for body in site.pages.values():
        parser = Parser()
        parser.feed(body.decode())
        assert [link.decode() for link in LINK.findall(body)] == parser.found
        assert "https://example.org/" in parser.found  # and is not followed


def test_content_is_the_same_every_time() -> None:
    first, second = content.build(10, 20), content.build(10, 20)
    assert first == second
    assert first.signature() == second.signature()
    assert first.signature() != content.build(10, 21).signature()


def test_sizes_are_within_their_ranges_and_vary() -> None:
    site = content.build(80, 160)
    for documents, (smallest, _, largest) in (
        (site.pages, content.PAGE_SIZES),
        (site.images, content.IMAGE_SIZES),
    ):
        sizes = sorted(map(len, documents.values()))
        assert smallest * 0.9 <= sizes[0]
        assert sizes[-1] <= largest * 1.1
        assert len(set(sizes)) > len(sizes) / 2


def test_images_are_valid_png() -> None:
    for body in content.build(1, 10).images.values():
        width, height, rows = decoded(body)
        assert len(rows) == height * (1 + 3 * width)
        assert set(rows[:: 1 + 3 * width]) == {0}  # the filter of each row: none


def decoded(png: bytes) -> tuple[int, int, bytes]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks.append((kind, data))
        at += 12 + length
    assert chunks[0][0] == b"IHDR"
    assert chunks[-1] == (b"IEND", b"")
    width, height = struct.unpack_from(">II", chunks[0][1])
    rows = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    return width, height, rows


# The site


SMALL = options.parse(["--pages=5", "--images=8", "--delay-ms=1", "--no-scheduling"])


@pytest.fixture
def site() -> Iterator[tuple[Child, dict[str, Any]]]:
    with rounds.site(SMALL) as child:
        yield child, child.hear()


def exchange(port: int, request: bytes, answers: int) -> list[tuple[bytes, bytes]]:
    """Send this over one connection and read that many responses, each as (head, body)."""
    found = []
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rwb") as file:
        file.write(request)
        file.flush()
        for _ in range(answers):
            head = b"".join(iter(file.readline, b"\r\n"))
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            found.append((head, file.read(int(length[1]))))
    return found


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_site_says_what_it_has(site: tuple[Child, dict[str, Any]]) -> None:
    _, offer = site
    expected = content.build(5, 8)
    assert (offer["pages"], offer["images"]) == (5, 8)
    assert offer["bytes"] == sum(map(len, expected.documents.values()))
    assert offer["signature"] == expected.signature()


def test_site_serves_its_content_over_one_connection(site: tuple[Child, dict[str, Any]]) -> None:
    child, offer = site
    expected = content.build(5, 8).documents
    answers = exchange(offer["port"], b"".join(map(get, expected)), len(expected))
    assert [body for _, body in answers] == list(expected.values())
    for path, (head, _) in zip(expected, answers, strict=True):
        kind = b"image/png" if path.endswith(".png") else b"text/html"
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: " + kind in head
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (13, 13, 0)


def test_site_counts_what_should_not_happen_and_starts_anew(
    site: tuple[Child, dict[str, Any]],
) -> None:
    child, offer = site
    requests = get("/") + get("/") + get("/missing") + b"POST / HTTP/1.1\r\n\r\n"
    answers = exchange(offer["port"], requests, 4)
    statuses = [head.split()[1] for head, _ in answers]
    assert statuses == [b"200", b"200", b"404", b"400"]
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (2, 1, 2)
    child.tell("report")
    report = child.hear()
    assert (report["requests"], report["documents"], report["strays"]) == (0, 0, 0)


def test_site_puts_together_requests_that_come_in_pieces(
    site: tuple[Child, dict[str, Any]],
) -> None:
    _, offer = site
    with socket.create_connection(("127.0.0.1", offer["port"])) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/"):
            sock.sendall(bytes([byte]))
        assert sock.recv(15) == b"HTTP/1.1 200 OK"


def test_site_ends_when_its_parent_is_gone() -> None:
    words = [sys.executable, "-m", "aioxide.demo.site"]
    words += ["--pages=1", "--images=0", "--delay-ms=0"]
    done = subprocess.run(words, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["pages"] == 1


# Children


def test_child_that_fails_says_why_in_its_last_words() -> None:
    with Child("the child", ["-c", "print('{}'); raise SystemExit('out of luck')"]) as child:
        assert list(child.listen()) == [{}]
        with pytest.raises(ChildFailed, match=r"^the child ended with code 1: out of luck$"):
            child.finish()


def test_last_words_of_an_exception_group_are_not_its_frame() -> None:
    program = "raise ExceptionGroup('several', [ValueError('the first'), KeyError('the last')])"
    with (
        Child("the child", ["-c", program]) as child,
        pytest.raises(ChildFailed, match=r"ended with code 1: KeyError: 'the last'$"),
    ):
        child.hear()


def test_child_that_dies_before_its_first_word() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with (
        Child("the child", ["-c", program]) as child,
        pytest.raises(ChildFailed, match=r"^the child was killed by signal 9: no message$"),
    ):
        child.hear()


def test_child_that_falls_silent_is_given_up_and_ended() -> None:
    child = Child("the child", ["-c", "import sys; sys.stdin.read()"], patience=0.05)
    with pytest.raises(ChildFailed, match=r"made no progress for 0\.05 seconds"), child:
        child.hear()
    assert child._process.returncode == -signal.SIGTERM


def test_child_that_talks_nonsense() -> None:
    with (
        Child("the child", ["-c", "print('hello')"]) as child,
        pytest.raises(ChildFailed, match="said 'hello'"),
    ):
        child.hear()


# Rounds


def test_everybody_runs_once_a_round_and_first_in_turn() -> None:
    order = list(rounds.turns(["a", "b", "c"], 3))
    assert [name for _, name in order] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert Counter(order) == Counter((turn, name) for turn in range(3) for name in "abc")


OFFER = {"pages": 2, "images": 3, "bytes": 100, "signature": 77}
ASKED = {"requests": 5, "documents": 5, "strays": 0}


def test_check_accepts_what_is_right() -> None:
    rounds.check("somebody", dict(OFFER), OFFER, ASKED)


@pytest.mark.parametrize("key", OFFER)
def test_check_refuses_a_crawl_that_found_something_else(key: str) -> None:
    found = OFFER | {key: OFFER[key] - 1}
    with pytest.raises(ChildFailed, match=f"somebody is wrong: {key} "):
        rounds.check("somebody", found, OFFER, ASKED)


@pytest.mark.parametrize("key", ASKED)
def test_check_refuses_a_crawl_that_asked_otherwise(key: str) -> None:
    with pytest.raises(ChildFailed, match="somebody is wrong"):
        rounds.check("somebody", dict(OFFER), OFFER, ASKED | {key: ASKED[key] + 1})


class NoProgress:
    def begin(self, implementation: str, turn: int) -> None: ...
    def fetched(self, documents: int) -> None: ...


def test_implementation_that_fails_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "available", lambda: (["asyncio", "nonsense"], ["uvloop"]))
    with rounds.site(SMALL) as server:
        results = rounds.crawl_all(replace(SMALL, rounds=2), server, NoProgress())
    assert results.missing == ["uvloop"]
    assert {name: len(runs) for name, runs in results.runs.items()} == {"asyncio": 2}
    reason = "ended with code 1: ValueError: no such implementation: nonsense"
    assert results.failed == {"nonsense": f"the crawl on nonsense {reason}"}


# Figures


def run(wall: float, cpu: float = 1.0) -> rounds.Run:
    return rounds.Run(
        **OFFER, wall=wall, cpu=cpu, p50=0.004, p99=0.02, peak_kib=2048, site_cpu=wall / 4
    )


def results_of(**runs: list[rounds.Run]) -> rounds.Results:
    return rounds.Results(site=OFFER, runs=runs)


def test_figures_are_medians_in_the_units_they_claim() -> None:
    results = results_of(asyncio=[run(1.0), run(4.0), run(2.0, cpu=0.5)])
    figures = [results.spread("asyncio", metric) for metric in rounds.METRICS]
    assert [each.median for each in figures] == pytest.approx([1.0, 500_000.0, 4.0, 20.0, 2.0])
    assert (figures[0].low, figures[0].high) == (0.5, 2.0)
    assert results.site_load() == 0.25


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.50"), (9.87, "9.87"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert tables.number(value) == text


RECORD: dict[str, Any] = {
    "missing": {"rloop": "not installed"},
    "rows": [
        {
            "title": "call_soon chain",
            "implementations": {
                "uvloop": {
                    "ns_per_operation": {"median": 600.0},
                    "ratio_over_uvloop": {"median": 1.0},
                    "error": None,
                },
                "aioxide": {
                    "ns_per_operation": {"median": 100.0},
                    "ratio_over_uvloop": {"median": 6.0},
                    "error": None,
                },
                "asyncio": {
                    "ns_per_operation": None,
                    "ratio_over_uvloop": None,
                    "error": "no result within 60 s",
                },
            },
        }
    ],
}


def test_scheduling_record_is_read_with_its_gaps() -> None:
    table = scheduling.read(RECORD)
    (row,) = table.rows
    assert row.nanoseconds == {"uvloop": 600.0, "aioxide": 100.0}
    assert row.ratios == {"uvloop": 1.0, "aioxide": 6.0}
    assert table.gaps == [
        "rloop: not installed",
        "call_soon chain on asyncio: no result within 60 s",
    ]


def test_scheduling_benchmark_that_breaks_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "scheduling.py"
    script.write_text("raise SystemExit('nothing to measure')")
    with pytest.raises(ChildFailed, match="gave no record: nothing to measure"):
        scheduling.measure(script, ["asyncio"])


@pytest.mark.may_leave_residue  # matplotlib keeps the font files open that it has used
@pytest.mark.parametrize("with_scheduling", [True, False])
@pytest.mark.parametrize("names", [("asyncio", "uvloop", "aioxide"), ("aioxide",)])
def test_chart_is_a_picture_that_uses_every_colour(
    tmp_path: Path, with_scheduling: bool, names: tuple[str, ...]
) -> None:
    path = tmp_path / "chart.png"
    results = results_of(**{name: [run(1.0), run(2.0)] for name in names})
    chart.draw(results, scheduling.read(RECORD) if with_scheduling else None, "A caption", path)
    from matplotlib.image import imread

    picture = (imread(path)[:, :, :3] * 255).round().astype(int)
    assert picture.shape[1] == 1800
    present = {tuple(colour) for row in picture[::4, ::4].tolist() for colour in row}
    for name in names:
        colour = chart.COLOURS[name].removeprefix("#")
        assert tuple(bytes.fromhex(colour)) in present


# Whole runs

# Ctrl-C works even where the tests themselves run in the background of a shell, which ignores it.
MAIN = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from aioxide.cli import main
sys.exit(main())
"""
TINY = ["demo", "--pages=3", "--images=4", "--delay-ms=0", "--rounds=2", "--concurrency=2"]
FIGURES = {f"{metric.name} ({metric.unit})" for metric in rounds.METRICS}


def demo(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words], cwd=cwd, capture_output=True, text=True, check=False
    )


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


def test_whole_run(tmp_path: Path) -> None:
    script = fake_benchmark(tmp_path)
    done = demo(*TINY, f"--scheduling={script}", "--json=figures.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    here, missing = rounds.available()
    for name in here:
        assert re.search(rf"│ {name} +│", done.stdout)
    for name in missing:
        assert f"{name} is not installed" in done.stdout
    assert "call_soon chain" in done.stdout
    assert "chart: aioxide-demo.png\n" in done.stdout
    decoded((tmp_path / "aioxide-demo.png").read_bytes())
    record = json.loads((tmp_path / "figures.json").read_text())
    assert list(record["implementations"]) == here
    for each in record["implementations"].values():
        assert set(each["medians"]) == FIGURES
        assert all(figure > 0 for figure in each["medians"].values())
        assert [run["pages"] for run in each["runs"]] == [3, 3]
    words = record["scheduling"]["words"]
    assert "--quick" in words
    assert words[words.index("--json") + 1] == "-"
    assert [words[at + 1] for at, word in enumerate(words) if word == "--impl"] == here


def test_record_on_stdout_is_alone_there(tmp_path: Path) -> None:
    done = demo(*TINY, "--no-scheduling", "--json=-", "--output=other.png", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["scheduling"] is None
    assert "chart: other.png\n" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.png"]


def test_broken_benchmark_leaves_the_rest(tmp_path: Path) -> None:
    script = tmp_path / "scheduling.py"
    script.write_text("raise SystemExit('nothing to measure')")
    done = demo(*TINY, f"--scheduling={script}", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "aioxide demo: scheduling.py gave no record: nothing to measure\n"
    decoded((tmp_path / "aioxide-demo.png").read_bytes())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--output=missing/chart.png"], "cannot write missing/chart.png: No such file"),
        (["--output=."], "cannot write .: it is a directory"),
        (["--output=/proc/chart.png"], "cannot write /proc/chart.png: "),
        (["--json=missing/figures.json"], "cannot write missing/figures.json: No such file"),
        (["--rounds=0"], "must be 1 or more, not 0"),
        (["--images=-1"], "must be 0 or more, not -1"),
        (["--pages=many"], "invalid"),
        (["--delay-ms=-1"], "must be between 0 and 10000"),
        (["--scheduling=missing.py"], "there is no file 'missing.py'"),
        (["--scheduling=x", "--no-scheduling"], "argument --"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_refused_before_anything_is_crawled(tmp_path: Path, words: list[str], reason: str) -> None:
    done = demo("demo", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("aioxide demo: ")
    assert reason in line
    assert list(tmp_path.iterdir()) == []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def proc(pid: int, name: str) -> bytes:
    """A file of a process; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(pid: int) -> bool:
    """Whether it runs; one that only nobody has waited for yet does not."""
    _, _, rest = proc(pid, "stat").rpartition(b")")
    return bool(rest) and rest.split()[0] not in (b"Z", b"X")


@pytest.mark.parametrize("program", ["aioxide.demo.site", "crawl.py", "scheduling.py"])
def test_ctrl_c_ends_everything_without_a_traceback(tmp_path: Path, program: str) -> None:
    script = tmp_path / "scheduling.py"
    script.write_text("import time\nprint('measuring')\ntime.sleep(600)\n")
    words = [*TINY, f"--scheduling={script}"]
    if program == "crawl.py":
        words += ["--rounds=1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started: list[int] = []
    while not any(program.encode() in proc(child, "cmdline") for child in started):
        assert process.poll() is None
        started = children(process.pid)
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "aioxide demo: interrupted\n"
    while any(map(alive, started)):  # the time limit of the test says that this must end
        time.sleep(0.01)
