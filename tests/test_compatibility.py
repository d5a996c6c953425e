"""docs/compatibility.md is in step with the classes and with the lists of deviations."""

from __future__ import annotations

import asyncio
import sys

import pytest

from scripts import compatibility


def test_members() -> None:
    text = compatibility.PAGE.read_text(encoding="utf-8")
    if compatibility.generated_on(text) != sys.version_info[:2]:
        pytest.skip("the page was generated on another Python")
    assert compatibility.stale_members(text) == []


def test_deviations() -> None:
    assert compatibility.stale_deviations(compatibility.PAGE.read_text(encoding="utf-8")) == []


def test_what_is_out_of_step_is_found() -> None:
    text = compatibility.PAGE.read_text(encoding="utf-8")
    lines = text.splitlines()
    member = next(i for i, line in enumerate(lines) if line.startswith("| `call_soon` |"))
    deviation = next(i for i, line in enumerate(lines) if line.startswith("| `test_events."))
    for number in (member, deviation):
        changed = "\n".join([*lines[:number], *lines[number + 1 :]])
        found = compatibility.stale_members(changed) + compatibility.stale_deviations(changed)
        assert any(lines[number].split(" | ")[0] in line for line in found), lines[number]
        changed = "\n".join([*lines[:number], lines[number].replace("`", "`x", 1), *lines[number:]])
        found = compatibility.stale_members(changed) + compatibility.stale_deviations(changed)
        assert any(line.startswith("stale: ") for line in found)


def test_nothing_is_refused_that_asyncio_has() -> None:
    """On Unix asyncio's loop implements every method of the abstract one, and so does ours."""
    loop = compatibility.sections()[0]
    theirs = {
        row.name
        for row in loop.rows
        if compatibility.definer(asyncio.SelectorEventLoop, row.name) is asyncio.AbstractEventLoop
    }
    refused = {row.name for row in loop.rows if row.status == compatibility.REFUSED}
    assert refused <= theirs, refused - theirs


def test_every_keyword_is_known() -> None:
    """Struck out is only what asyncio's own loop does not take either."""
    for row in compatibility.sections()[0].rows:
        theirs = compatibility.keywords(
            asyncio.AbstractEventLoop, asyncio.SelectorEventLoop, row.name
        )
        assert row.keywords.count("~~") <= theirs.count("~~"), row
