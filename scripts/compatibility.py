"""Write docs/compatibility.md: what of asyncio is native, what is asyncio's own, and what differs.

The rows come from the classes of the Python that runs this; which tests exercise a member from a
run under scripts/compatibility_recorder.py; the numbers from the records of the conformance and the
downstream runs. All of them lie in one folder, and what is missing there is left out.

Usage: python scripts/compatibility.py [--records target/compatibility] [--check]

--check compares the rows and the deviations with the committed page, and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
RECORDS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "compatibility"
EXPECTATIONS = ROOT / "tests" / "conformance" / "expectations.toml"
SUITES = ROOT / "tests" / "downstream" / "suites.toml"

NATIVE, OURS, THEIRS, REFUSED = "native", "Python, ours", "asyncio's own", "refused"
ABOVE = "asyncio's own, above ours"
#: How many test files a row names.
SHOWN = 3

# The methods of asyncio's that ask a loop for one of its own parts: without it they are refused.
HOOKS = {
    "connect_accepted_socket": "_make_socket_transport",
    "connect_read_pipe": "_make_read_pipe_transport",
    "connect_write_pipe": "_make_write_pipe_transport",
    "create_connection": "_make_socket_transport",
    "create_datagram_endpoint": "_make_datagram_transport",
    "create_server": "_start_serving",
    "sendfile": "_make_socket_transport",
    "sock_sendfile": "_sock_sendfile_native",
    "start_tls": "_make_ssl_transport",
    "subprocess_exec": "_make_subprocess_transport",
    "subprocess_shell": "_make_subprocess_transport",
}


class Row(NamedTuple):
    """A member: its name, its keywords, and who implements it."""

    name: str
    keywords: str
    status: str


class Section(NamedTuple):
    """A table of the page; `kind` is the name under which the recorder files its members."""

    title: str
    kind: str
    about: str
    rows: tuple[Row, ...]


def public(kind: type) -> Iterator[str]:
    """The names of a class that its users may use."""
    for name in sorted(dir(kind)):
        if not name.startswith("_") and callable(getattr(kind, name)):
            yield name


def definer(kind: type, name: str) -> type:
    """The class in whose namespace a member is found."""
    return next(each for each in kind.__mro__ if name in vars(each))


def status(kind: type, name: str) -> str:
    """Who implements a member of one of our classes."""
    owner = definer(kind, name)
    if owner.__module__.startswith("aioxide._aioxide") or not inspect.isfunction(vars(owner)[name]):
        return NATIVE
    if owner.__module__.startswith("aioxide"):
        return OURS
    if name in HOOKS and issubclass(kind, asyncio.AbstractEventLoop):
        filled = definer(kind, HOOKS[name]).__module__.startswith("aioxide")
        return ABOVE if filled else REFUSED
    abstract = owner is asyncio.AbstractEventLoop or issubclass(owner, asyncio.BaseTransport)
    if abstract and "NotImplementedError" in inspect.getsource(vars(owner)[name]):
        return REFUSED
    return THEIRS


def parameters(kind: type, name: str) -> dict[str, inspect.Parameter]:
    """What a method takes besides `self`; nothing if it does not say."""
    try:
        found = dict(inspect.signature(getattr(kind, name)).parameters)
    except ValueError:
        return {}
    return {each: found[each] for each in found if each not in {"self", "$self"}}


def keywords(base: type, ours: type, name: str) -> str:
    """The parameters that a call may name; those that ours does not know are struck out."""
    mine = parameters(ours, name)
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in mine.values())
    shown = []
    for each in parameters(base, name).values():
        if each.kind is inspect.Parameter.KEYWORD_ONLY:
            known = anything or each.name in mine
            shown.append(f"`{each.name}`" if known else f"~~`{each.name}`~~")
        elif each.kind is inspect.Parameter.VAR_KEYWORD:
            shown.append(f"`**{each.name}`")
    return ", ".join(shown)


def rows(base: type, ours: type) -> tuple[Row, ...]:
    """The members that asyncio's class promises, as ours has them."""
    return tuple(Row(name, keywords(base, ours, name), status(ours, name)) for name in public(base))


def sections() -> tuple[Section, ...]:
    """Every table, from the classes of the running Python."""
    import aioxide
    from aioxide import _aioxide

    native: dict[str, Any] = vars(_aioxide)
    made = [
        Section(
            "The event loop",
            "EventLoop",
            "`asyncio.AbstractEventLoop`, and the keywords that its methods take.",
            rows(asyncio.AbstractEventLoop, aioxide.EventLoop),
        )
    ]
    for name, base in (
        ("StreamTransport", asyncio.Transport),
        ("DatagramTransport", asyncio.DatagramTransport),
        ("ReadPipeTransport", asyncio.ReadTransport),
        ("WritePipeTransport", asyncio.WriteTransport),
    ):
        if name in native:
            title = f"{base.__name__}: {name}"
            about = f"`asyncio.{base.__name__}`"
            made.append(Section(title, name, about, rows(base, native[name])))
    members: dict[str, list[str]] = {}
    for kind in (
        asyncio.Protocol,
        asyncio.BufferedProtocol,
        asyncio.DatagramProtocol,
        asyncio.SubprocessProtocol,
    ):
        for name in public(kind):
            members.setdefault(name, []).append(kind.__name__)
    called = tuple(Row(name, "", ", ".join(kinds)) for name, kinds in sorted(members.items()))
    made.append(Section("What protocols are told", "protocol", "By class of `asyncio`.", called))
    return tuple(made)


def table(section: Section, used: Mapping[str, list[str]] | None) -> Iterator[str]:
    """The lines of one table, with the recorded column if there is a record."""
    yield f"## {section.title}"
    yield ""
    yield section.about
    yield ""
    yield "| method | keywords | here | exercised by |"
    yield "|---|---|---|---|"
    for row in section.rows:
        files = (used or {}).get(f"{section.kind}.{row.name}", [])
        yield f"| `{row.name}` | {row.keywords} | {row.status} | {shown(files)} |"
    yield ""


def shown(files: list[str]) -> str:
    """Some of the test files, and how many there are besides."""
    names = [f"`{name.removeprefix('tests/')}`" for name in files[:SHOWN]]
    more = len(files) - SHOWN
    return ", ".join([*names, f"{more} more"] if more > 0 else names)


def deviations() -> Iterator[str]:
    """What tests of others are known to see."""
    document = tomllib.loads(EXPECTATIONS.read_text(encoding="utf-8"))
    yield "## Deviations"
    yield ""
    yield "Tests of CPython's asyncio suite that end otherwise, each held to its word by the run."
    yield ""
    yield "| tests | Pythons | why |"
    yield "|---|---|---|"
    for kind, remark in (("divergence", ""), ("not_implemented", "to be done: ")):
        for entry in document.get(kind, []):
            yield _deviation(entry["tests"], entry.get("pythons", []), remark + entry["reason"])
    yield ""
    yield "Tests of other projects, likewise:"
    yield ""
    yield "| tests | Pythons | why |"
    yield "|---|---|---|"
    for suite in tomllib.loads(SUITES.read_text(encoding="utf-8")).get("suite", []):
        for entry in suite.get("exclusion", []):
            names = [f"{suite['name']}: {name}" for name in entry["tests"]]
            yield _deviation(names, entry.get("pythons", []), entry["reason"])
    yield ""


def _deviation(tests: Iterable[str], pythons: Iterable[str], reason: str) -> str:
    names = "<br>".join(f"`{name}`" for name in tests)
    return f"| {names} | {' '.join(pythons) or 'all'} | {reason.replace('|', chr(92) + '|')} |"


def conformance(folder: Path) -> Iterator[str]:
    """The counts of CPython's own suite, by Python."""
    records = [_json(path) for path in sorted(folder.glob("conformance-*.json"))]
    if not records:
        return
    yield "## CPython's asyncio tests"
    yield ""
    yield "| Python | passed | failed | skipped, expected or failing on asyncio here |"
    yield "|---|---|---|---|"
    for record in sorted(records, key=lambda each: [*map(int, each["python"].split(".")[:2])]):
        sums = record["totals"]
        yield f"| {record['python']} | {sums['passed']} | {sums['failed']} | {sums['skipped']} |"
    yield ""


def downstream(folder: Path) -> Iterator[str]:
    """The counts of other projects' suites."""
    for path in sorted(folder.glob("downstream-*.json")):
        record = _json(path)
        yield f"## Other projects' tests, on Python {record['python']}"
        yield ""
        yield "| suite | passed | fails on aioxide only | on both | on asyncio only | flaky |"
        yield "|---|---|---|---|---|---|"
        for suite in record["suites"]:
            count = suite["verdicts"]
            failed = count["FAILED"] + count["MISSING"] + count["NOT_EXCLUDED"]
            yield (
                f"| {suite['name']} {suite['version']} | {count['PASSED']} | {failed} "
                f"| {count['BOTH']} | {count['BETTER']} | {count['FLAKY']} |"
            )
        yield ""


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def page(folder: Path) -> str:
    """The whole page."""
    used_file = folder / "used.json"
    used = _json(used_file) if used_file.exists() else None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines = [
        "# Compatibility",
        "",
        f"Generated by `make compatibility` on CPython {version}; do not edit. "
        f"*{NATIVE.capitalize()}* is Rust, *{OURS}* a method of this package, "
        f"*{THEIRS}* what the running Python brings "
        "(*above ours*: it sets up our transports and servers), "
        f"and *{REFUSED}* raises `NotImplementedError`. The last column names test files in "
        "`tests/` that call the member on aioxide, as seen by the interpreter while they ran.",
        "",
    ]
    for section in sections():
        lines += table(section, used)
    lines += [*deviations(), *conformance(folder), *downstream(folder)]
    return "\n".join(lines).rstrip() + "\n"


def generated_on(text: str) -> tuple[int, int] | None:
    """The Python that a page was generated on."""
    for line in text.splitlines():
        _, found, rest = line.partition("on CPython ")
        if found:
            major, _, minor = rest.partition(";")[0].partition(".")
            return int(major), int(minor)
    return None


def static_rows(text: str) -> list[str]:
    """What does not depend on a run: member, keywords, status."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if line.startswith("| `") and len(cells) == 4:
            found.append(" | ".join(cells[:3]))
    return found


def stale_members(text: str) -> list[str]:
    """How the tables of a page differ from the classes."""
    rendered = "\n".join(line for section in sections() for line in table(section, None))
    return _differences(static_rows(rendered), static_rows(text))


def stale_deviations(text: str) -> list[str]:
    """How the deviations of a page differ from the lists."""
    wanted = [line for line in deviations() if line.startswith("| `")]
    have = [line for line in text.splitlines() if line.startswith("| `") and line.count(" | ") == 2]
    return _differences(wanted, have)


def _differences(wanted: list[str], have: list[str]) -> list[str]:
    missing = [f"missing: {line}" for line in wanted if line not in have]
    return missing + [f"stale: {line}" for line in have if line not in wanted]


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(description="Write docs/compatibility.md.")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.check:
        PAGE.write_text(page(options.records), encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
        return 0
    text = PAGE.read_text(encoding="utf-8")
    found = stale_deviations(text)
    if generated_on(text) == sys.version_info[:2]:
        found += stale_members(text)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("docs/compatibility.md is out of step: `make compatibility`", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
