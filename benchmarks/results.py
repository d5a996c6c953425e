"""Writes docs/benchmarks.md, its charts, and the table in README.md, all from benchmarks/records.

    python benchmarks/results.py             the page and the charts
    python benchmarks/results.py --readme    also the table between the marks in README.md
    python benchmarks/results.py --check     whether they are what the records say

Of each benchmark the newest record counts, for each version of Python. Every row of it is shown;
those that aioxide lost are marked, and listed first. Nobody edits a figure by hand: a test compares
the page with what is made here.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import charts
from report import ABSENT, LOADED
from spread import Detail, Spread, figure, spread, times
from suite import BENCHMARKS
from verdict import OURS, figures, losses, ratios

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RECORDS = HERE / "records"
PAGE = Path("docs/benchmarks.md")
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
GENERATED = "<!-- written by benchmarks/results.py -->"
LOST = "▼"
WIDTH = 110

ORDER = tuple(BENCHMARKS)

README_ROWS: dict[str, Sequence[str]] = {
    "scheduling": (
        "call-soon-chain", "sleep0-one", "sleep0-hundred", "task-one", "task-burst",
        "gather-thousand", "future-ping-pong", "queue-ping-pong", "queue-bounded", "timer-hundred",
        "lock-uncontended", "lock-hand-over", "wait-for-coroutine", "timeout-unused",
        "task-group-thousand",
    ),
    "echo": (
        "protocol-64B-100", "protocol-10KiB-100", "three-writes-64B-100", "streams-64B-100",
        "streams-10KiB-100", "streams-100KiB-10", "readline-64B-100", "sock-64B-100",
        "unix-protocol-64B-100", "unix-streams-64B-100",
    ),
    "accept": ("protocol-16", "streams-16"),
    "connect": ("protocol-16", "streams-16"),
    "memory": ("idle-protocol", "idle-streams"),
    "bulk": ("receive", "send"),
    "latency": ("protocol-64B", "streams-64B"),
    "http-servers": ("aiohttp-64B-100", "uvicorn-64B-100"),
    "http-client": ("64B-10",),
    "tls": ("protocol-64B-10", "protocol-10KiB-10"),
    "udp": ("64B-1", "64B-16"),
    "subprocesses": ("spawn-1",),
}  # fmt: skip

Record = Mapping[str, Any]


def minor(record: Record) -> tuple[int, int]:
    """The Python that a record is of."""
    first, second, *_ = record["python"]["version"].split(".")
    return int(first), int(second)


def newest(folder: Path = RECORDS) -> list[Record]:
    """The newest record of each benchmark on each Python, in the order of the page.

    What is no group of suite.py, as the instruction counts of guard.py, is not on the page.
    """
    found: dict[tuple[str, tuple[int, int]], Record] = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["benchmark"] not in ORDER:
            continue
        which = record["benchmark"], minor(record)
        if which not in found or found[which]["date"] <= record["date"]:
            found[which] = record
    return sorted(found.values(), key=lambda each: (ORDER.index(each["benchmark"]), minor(each)))


# Text


def with_spread(ratio: Spread) -> str:
    return f"{times(ratio.median)}x ({times(ratio.low)} to {times(ratio.high)})"


def paragraph(text: str) -> list[str]:
    """Lines of a text, and an empty one."""
    return [*textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False), ""]


def heading(record: Record) -> str:
    first, second = minor(record)
    return f"{record['title']}, Python {first}.{second}"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(line) + " |" for line in lines]


def cell_text(record: Record, cell: Mapping[str, Any] | None, detailed: bool = True) -> str:
    """What one implementation needed in one row."""
    if cell is None:
        return ""
    if cell["error"]:
        return "not there" if cell["error"].startswith(ABSENT) else "failed"
    own = spread(figures(record, cell))
    if own is None:
        return ""
    share = spread([each.get("load_share") for each in cell["rounds"] if each])
    mark = "*" if share is not None and share.median > LOADED else ""
    text = figure(own.median) + mark
    if detailed and record["detail"]:
        text += " " + Detail(**record["detail"]).of(cell["rounds"])
    return text.rstrip()


def columns_of(record: Record) -> list[str]:
    found: list[str] = []
    for row in record["rows"]:
        found += [name for name in row["implementations"] if name not in found]
    return found


def section(record: Record) -> list[str]:
    """One benchmark: what it is, and every row."""
    columns = columns_of(record)
    lost = {loss.row for loss in losses(record)}
    over = record["baseline"]
    body = []
    for row in record["rows"]:
        cells = row["implementations"]
        ratio = ratios(record, row).get(over)
        body.append(
            [
                f"{LOST} {row['title']}" if row["name"] in lost else row["title"],
                *(cell_text(record, cells.get(name)) for name in columns),
                with_spread(ratio) if ratio else "",
            ]
        )
    lines = [f"## {heading(record)}", "", *paragraph(record["about"])]
    lines += [f"Figures are {record['unit']}: {record['legend']}.", ""]
    lines += table([record["unit"], *columns, f"aioxide over {over}"], body)
    failures = [
        f"- {row['title']}, {name}: {cell['error']}"
        for row in record["rows"]
        for name, cell in row["implementations"].items()
        if cell["error"] and not cell["error"].startswith(ABSENT)
    ]
    if failures:
        lines += ["", "Failed:", "", *failures]
    return [*lines, ""]


def behind(records: Sequence[Record]) -> list[str]:
    """What aioxide lost, the worst first."""
    found = [(loss, record) for record in records for loss in losses(record)]
    found.sort(key=lambda each: each[0].ratio.median)
    if not found:
        return ["In no row.", ""]
    body = [
        [
            loss.title,
            heading(record),
            loss.peer,
            f"{1 / loss.ratio.median:.2f} times as much",
            "every round" if loss.certain else "within the spread",
        ]
        for loss, record in found
    ]
    return [*table(["row", "group", "peer", "aioxide needs", "seen in"], body), ""]


def day(record: Record) -> str:
    """The date as it is written in a sentence."""
    date = datetime.date.fromisoformat(record["date"][:10])
    return f"{date.day} {date:%B %Y}"


def circumstances(records: Sequence[Record]) -> list[str]:
    """Machine, versions, and how quiet it was, for each benchmark."""
    body = [
        [
            record["title"],
            record["python"]["version"],
            day(record),
            str(record["settings"]["rounds"]) + (", quick" if record["settings"]["quick"] else ""),
            f"{record['neighbours']['used_by_others']:.0%}",
            ", ".join(f"{name} {version}" for name, version in record["packages"].items()),
        ]
        for record in records
    ]
    head = ["benchmark", "Python", "date", "rounds", "others used", "packages"]
    return [*table(head, body), ""]


def machine_text(record: Record) -> str:
    machine = record["machine"]
    system = ".".join(machine["kernel"].split("-")[0].split(".")[:2])
    return f"{machine['cpus']} cores of an {machine['cpu']}, {system}"


def page(records: Sequence[Record]) -> str:
    """The text of docs/benchmarks.md."""
    machines = list(dict.fromkeys(machine_text(record) for record in records))
    lines = [
        "# Benchmarks",
        "",
        *paragraph(
            "Written by `make bench-docs` from the records in "
            "[benchmarks/records](../benchmarks/records); how a figure is made and read is in "
            "[benchmarks/README.md](../benchmarks/README.md). All figures are costs: less is "
            "better. A ratio is how many times less aioxide needed, formed within each round: the "
            "median, the lowest and the highest."
        ),
        *paragraph(
            f"Machine: {'; '.join(machines)}. `{LOST}` marks a row in which a peer needed less, "
            f"`*` a figure for which the load generator used more than {LOADED:.0%} of its core."
        ),
        "## Where aioxide is behind",
        "",
        *behind(records),
    ]
    for chart in charts.CHARTS:
        if any(record["benchmark"] in chart.benchmarks for record in records):
            lines += [f"![{chart.title}]({chart.file})", ""]
    for record in records:
        lines += section(record)
    lines += ["## When and where", "", *circumstances(records)]
    return "\n".join(lines)


# README.md


def readme_rows(record: Record) -> list[list[str]]:
    """The chosen rows of a benchmark."""
    lost = {loss.row for loss in losses(record)}
    wanted = README_ROWS.get(record["benchmark"], ())
    found = []
    for row in record["rows"]:
        ratio = ratios(record, row).get(record["baseline"])
        if row["name"] not in wanted or ratio is None:
            continue
        cells = [
            cell_text(record, row["implementations"].get(name), False) for name in README_COLUMNS
        ]
        title = f"{LOST} {row['title']}" if row["name"] in lost else row["title"]
        shown = [f"{text} {record['unit']}" if text[:1].isdigit() else text for text in cells]
        found.append([title, *shown, with_spread(ratio)])
    return found


README_COLUMNS = ("asyncio", "uvloop", OURS)


def readme(records: Sequence[Record]) -> str:
    """What stands between the marks: one Python, that of the newest record."""
    latest = max(records, key=lambda record: record["date"])
    chosen = [record for record in records if minor(record) == minor(latest)]
    rounds = sorted({record["settings"]["rounds"] for record in chosen})
    used = spread([record["neighbours"]["used_by_others"] for record in chosen])
    assert used is not None
    shares = " to ".join(dict.fromkeys([f"{used.low:.0%}", f"{used.high:.0%}"]))
    lost = [loss for record in chosen for loss in losses(record)]
    rows = len({(loss.benchmark, loss.row) for loss in lost})
    of = sum(len(record["rows"]) for record in chosen)
    uvloop = latest["packages"].get("uvloop", "")
    lines = [
        GENERATED,
        *paragraph(
            f"CPython {latest['python']['version']}, {day(latest)}, {machine_text(latest)}; others "
            f"used {shares} of the machine meanwhile. Figures are costs: "
            "CPU time, unless the row says otherwise. Ratios are the median, the lowest and the "
            f"highest of {' to '.join(map(str, sorted({min(rounds), max(rounds)})))} paired rounds."
        ),
        *table(
            ["", "asyncio", f"uvloop {uvloop}".strip(), OURS, "over uvloop"],
            [row for record in chosen for row in readme_rows(record)],
        ),
        "",
        *paragraph(
            "[docs/benchmarks.md](docs/benchmarks.md) has every row, beside every loop that runs "
            f"here. In {rows} of its {of} rows a peer needs less than aioxide: they are marked "
            f"`{LOST}`, and listed at its top."
        ),
    ]
    return "\n".join(lines).rstrip()


def with_table(text: str, table_text: str) -> str:
    """README.md with this between its marks."""
    if BEGIN not in text or END not in text:
        raise SystemExit(f"README.md has no {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table_text}\n{END}{after}"


# Files


def digest(records: Sequence[Record]) -> str:
    """What a chart is made of, in short; it stands in the file."""
    text = json.dumps(records, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stale(root: Path = ROOT, records: Sequence[Record] | None = None) -> list[str]:
    """What is not as the records say: the page, a chart, or a table in README.md made here."""
    records = newest() if records is None else records
    found = []
    path = root / PAGE
    if not path.exists() or path.read_text() != page(records):
        found.append(str(PAGE))
    for chart in charts.CHARTS:
        mine = [record for record in records if record["benchmark"] in chart.benchmarks]
        file = root / "docs" / chart.file
        if mine and (not file.exists() or digest(mine).encode() not in file.read_bytes()):
            found.append(f"docs/{chart.file}")
    text = (root / "README.md").read_text()
    if GENERATED in text and with_table(text, readme(records)) != text:
        found.append("README.md")
    return found


def write(root: Path, records: Sequence[Record], into_readme: bool) -> None:
    (root / PAGE).write_text(page(records))
    for chart in charts.CHARTS:
        mine = [record for record in records if record["benchmark"] in chart.benchmarks]
        if mine:
            charts.draw(chart, mine, root / "docs" / chart.file, digest(mine))
    if into_readme:
        path = root / "README.md"
        path.write_text(with_table(path.read_text(), readme(records)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/benchmarks.md from the records.")
    parser.add_argument("--readme", action="store_true", help="also the table in README.md")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    options = parser.parse_args()
    records = newest()
    if not records:
        sys.exit("benchmarks/records is empty: `make bench BENCH_ARGS=--record` fills it")
    if options.check:
        found = stale(ROOT, records)
        for each in found:
            sys.stderr.write(f"{each} is not what the records say; run `make bench-docs`\n")
        return 1 if found else 0
    write(ROOT, records, options.readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
