"""The crawls take turns, are checked against the site, and fail one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from aioxide.demo import options, results, rounds
from aioxide.demo.child import ChildFailed
from demo_helpers import OFFER, TINY, Told, results_of, run, variant

ASKED = {"requests": 5, "documents": 5, "strays": 0}


def test_everybody_runs_once_a_round_and_first_in_turn() -> None:
    names = ["blocking", "threads", "spinning"]
    order = [(turn, each.name) for turn, each in rounds.turns([*map(variant, names)], 3)]
    assert [name for _, name in order] == [*names, *names[1:], *names[:1], names[2], *names[:2]]
    assert Counter(order) == Counter((turn, name) for turn in range(3) for name in names)


def test_nobody_to_run_is_no_error() -> None:
    assert list(rounds.turns([], 3)) == []


def test_only_takes_ways_and_single_loops() -> None:
    here, missing = rounds.chosen(["callbacks", "asyncio-streams@asyncio", "spinning"])
    assert [each.name for each in here] == ["spinning", "callbacks", "asyncio-streams@asyncio"]
    assert missing == {}


def test_without_only_everything_is_taken_that_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "installed", lambda package: package not in ("requests", "uvloop"))
    here, missing = rounds.chosen([])
    assert [each.name for each in here] == [
        "blocking",
        "spinning",
        "callbacks",
        "generators",
        *(f"asyncio-streams@{loop}" for loop in ("asyncio", "aioxide")),
        *(f"aiohttp-thread@{loop}" for loop in ("asyncio", "aioxide")),
        *(f"aiohttp-processes@{loop}" for loop in ("asyncio", "aioxide")),
    ]
    assert missing["requests"][:2] == ["processes", "threads"]
    assert "asyncio-threads@uvloop" in missing["requests"]
    assert [name.partition("@")[2] for name in missing["uvloop"]] == ["uvloop"] * 5


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


def test_way_that_fails_is_not_tried_again_and_the_others_go_on() -> None:
    good, bad = variant("callbacks"), replace(variant("asyncio-streams@asyncio"), loop="nonsense")
    told, found = Told(), results.Results()
    chosen = options.parse([*TINY, "--rounds=2", "--no-scheduling"])
    rounds.crawl_all(chosen, [bad, good], told, found)
    assert {each.name: len(runs) for each, runs in found.runs.items()} == {"callbacks": 2}
    assert found.failed == {
        bad: "asyncio-streams@nonsense ended with code 1: ValueError: no such loop: nonsense"
    }
    assert told.begun == [(0, bad.name), (0, "callbacks"), (1, "callbacks")]


def test_way_that_takes_long_crawls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LONG", 0.0)
    told, found = Told(), results.Results()
    chosen = options.parse([*TINY, "--rounds=3", "--no-scheduling"])
    rounds.crawl_all(chosen, [variant("blocking")], told, found)
    assert told.begun == [(0, "blocking")]
    assert told.ended == 3


def test_figures_are_medians_in_the_units_they_claim() -> None:
    found = results_of({"threads": [run(1.0), run(4.0), run(2.0, cpu=0.5, mib=3.0)]})
    figures = {each.key: found.spread(variant("threads"), each) for each in results.METRICS}
    medians = {key: spread.median for key, spread in figures.items()}
    assert medians == pytest.approx(
        {
            "wall_s": 2.0,
            "requests_per_s": 2.5,
            "cpu_s": 1.0,
            "peak_mib": 2.0,
            "connections": 4,
            "in_flight": 3,
        }
    )
    assert (figures["wall_s"].low, figures["wall_s"].high) == (1.0, 4.0)
    assert found.site_load() == 0.25
