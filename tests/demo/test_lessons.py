"""What is said to be learned is true of the figures, whatever they are."""

from __future__ import annotations

import itertools

import pytest

from aioxide.demo.lessons import Setting, lessons
from aioxide.demo.results import Results, Spread
from aioxide.demo.ways import LOOPS, WAYS
from aioxide.demo.wording import close, longer, much, number, percent, seconds, times
from demo_helpers import results_of, run

SETTING = Setting(concurrency=32, processes=8)
USUAL = {
    "blocking": (3.0, 0.15, 23),
    "processes": (0.8, 0.7, 220),
    "threads": (0.5, 0.4, 36),
    "spinning": (0.12, 0.12, 22),
    "callbacks": (0.12, 0.04, 22),
    "generators": (0.13, 0.06, 22),
    "asyncio-streams@asyncio": (0.13, 0.06, 22),
    "asyncio-streams@uvloop": (0.13, 0.05, 24),
    "asyncio-streams@aioxide": (0.11, 0.04, 24),
    "aiohttp-thread@asyncio": (0.2, 0.16, 35),
    "aiohttp-thread@uvloop": (0.18, 0.14, 38),
    "aiohttp-thread@aioxide": (0.17, 0.12, 38),
    "aiohttp-processes@asyncio": (0.25, 0.25, 103),
    "aiohttp-processes@uvloop": (0.24, 0.23, 110),
    "aiohttp-processes@aioxide": (0.34, 0.21, 110),
}


def learned(figures: dict[str, tuple[float, float, float]]) -> list[str]:
    return lessons(results_of({name: [run(*each)] for name, each in figures.items()}), SETTING)


def test_usual_figures() -> None:
    assert learned(USUAL) == [
        "One after the other, 5 documents took 3.0 s, and the program kept the processor busy for "
        "5 % of that; asyncio streams on aioxide did it in 110 ms with up to 32 requests at a "
        "time, 27 times as fast.",
        "With the same blocking calls, 8 processes took 60 % longer than 32 threads and needed 6.1 "
        "times the memory.",
        "Asking the sockets without a pause took 3.0 times the CPU time of a selector; generators "
        "over a selector took 50 % more CPU time than callbacks.",
        "By CPU time, aioxide was ahead of uvloop in 2 of 3 ways, behind in 0 (the widest gap: "
        "aioxide took 20 % less, asyncio streams); aioxide was ahead of asyncio in 3 of 3 ways, "
        "behind in 0 (the widest gap: aioxide took 33 % less, asyncio streams).",
        "aiohttp in one thread on aioxide kept a core busy for 71 % of its 170 ms; a loop in each "
        "of several processes took 2.0 times as long as that thread and needed 2.9 times the "
        "memory.",
    ]


def test_uvloop_ahead_is_said() -> None:
    figures = {
        "asyncio-streams@asyncio": (1.0, 1.0, 20),
        "asyncio-streams@uvloop": (1.0, 0.4, 20),
        "asyncio-streams@aioxide": (1.0, 0.5, 20),
        "aiohttp-thread@uvloop": (1.0, 0.4, 20),
        "aiohttp-thread@aioxide": (1.0, 0.41, 20),
    }
    assert learned(figures)[3] == (
        "By CPU time, aioxide was ahead of uvloop in 0 of 2 ways, behind in 1 (the widest gap: "
        "uvloop took 20 % less, asyncio streams); aioxide was ahead of asyncio in 1 of 1 way, "
        "behind in 0 (the widest gap: aioxide took 50 % less, asyncio streams)."
    )


def test_loops_too_close_to_call() -> None:
    figures = {f"asyncio-streams@{loop}": (1.0, 0.4, 20) for loop in ("uvloop", "aioxide")}
    assert learned(figures)[3] == "By CPU time, aioxide and uvloop were too close to call in 1 way."


def test_overlapping_rounds_decide_nothing() -> None:
    results = results_of(
        {
            "threads": [run(1.0, mib=10), run(2.0, mib=10), run(4.0, mib=10)],
            "processes": [run(3.0, mib=90), run(5.0, mib=90), run(6.0, mib=90)],
        }
    )
    assert lessons(results, SETTING)[1] == (
        "With the same blocking calls, 32 threads and 8 processes took about the same time, and "
        "8 processes needed 9.0 times the memory of 32 threads."
    )


def test_processes_ahead_in_time_and_behind_in_memory() -> None:
    assert learned({"threads": (2.0, 1, 30), "processes": (0.5, 1, 45)})[1] == (
        "With the same blocking calls, 32 threads took 4.0 times as long as 8 processes, and "
        "8 processes needed 50 % more memory than 32 threads."
    )


def test_title_in_the_middle_of_a_sentence_is_not_capitalised() -> None:
    first, *_ = learned({"blocking": (2.0, 0.1, 20), "callbacks": (0.5, 0.1, 20)})
    assert first.endswith(
        "; selector and callbacks did it in 500 ms with up to 32 requests at a time, 4.0 times as "
        "fast."
    )


def test_blocking_that_wins() -> None:
    first, *_ = learned({"blocking": (0.1, 0.1, 20), "threads": (0.3, 0.3, 30)})
    assert first.endswith("kept the processor busy for 100 % of that; every other way took longer.")


def test_blocking_that_is_not_beaten_clearly() -> None:
    first, *_ = learned({"blocking": (0.1, 0.02, 20), "threads": (0.098, 0.1, 30)})
    assert first.endswith("busy for 20 % of that; no other way was clearly quicker.")


def test_several_processes_ahead() -> None:
    figures = {
        "aiohttp-thread@asyncio": (3.0, 3.0, 35),
        "aiohttp-processes@asyncio": (1.5, 3.2, 70),
    }
    assert learned(figures)[4] == (
        "aiohttp in one thread on asyncio kept a core busy for 100 % of its 3.0 s; that thread "
        "took 2.0 times as long as a loop in each of several processes, and a loop in each of "
        "several processes needed 2.0 times the memory of that thread."
    )


def test_one_thread_and_one_process_are_spoken_of_as_one() -> None:
    results = results_of({"threads": [run(1.0)], "processes": [run(1.0)]})
    assert lessons(results, Setting(1, 1))[1] == (
        "With the same blocking calls, 1 thread and 1 process took about the same time, and 1 "
        "thread and 1 process needed about the same memory."
    )


def test_what_was_not_measured_is_not_spoken_of() -> None:
    assert learned({"threads": (1.0, 1.0, 30)}) == [
        "Nothing can be said of how much of the time is waiting: that takes figures of both "
        "blocking and some other way.",
        "Nothing can be said of what threads cost beside processes: that takes figures of both "
        "threads and processes.",
        "Nothing can be said of what a selector saves: that takes figures of both spinning and "
        "callbacks.",
        "Nothing can be said of how the event loops compare: that takes figures of both a way on "
        "aioxide and the same on another.",
        "Nothing can be said of what more processes bring to a loop: that takes figures of both "
        "aiohttp-thread and aiohttp-processes.",
    ]


@pytest.mark.parametrize("missing", USUAL)
def test_every_figure_that_is_named_was_measured(missing: str) -> None:
    """Without one of the ways there are still five sentences, and none names its loop alone."""
    figures = {name: each for name, each in USUAL.items() if name != missing}
    sentences = learned(figures)
    assert len(sentences) == 5
    assert all(sentence.endswith(".") for sentence in sentences)
    title = {way.name: way.title for way in WAYS}
    way, _, loop = missing.partition("@")
    if loop:
        assert f"{title[way]} on {loop}" not in " ".join(sentences)


def test_sentences_hold_in_any_order_of_the_figures() -> None:
    """The larger is the one that is said to be larger, for all orders of three loops."""
    for cpu in itertools.permutations((0.1, 0.2, 0.4)):
        of = dict(zip(LOOPS, cpu, strict=True))
        sentence = learned({f"asyncio-streams@{loop}": (1.0, of[loop], 20) for loop in LOOPS})[3]
        for other in ("asyncio", "uvloop"):
            ahead = of["aioxide"] < of[other]
            winner = "aioxide" if ahead else other
            gap = 1 - min(of["aioxide"], of[other]) / max(of["aioxide"], of[other])
            assert f"ahead of {other} in {int(ahead)} of 1 way, behind in {1 - ahead}" in sentence
            assert f"{winner} took {gap:.0%}".replace("%", " %") in sentence


def test_failed_ways_have_no_figures() -> None:
    results: Results = results_of({"callbacks": [run(1.0)], "spinning": [run(1.0)]})
    assert "took about the same CPU time" in lessons(results, SETTING)[2]


# Wording


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0421, "0.042"), (0.5, "0.500"), (9.87, "9.87"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_figures_are_rounded_honestly() -> None:
    assert [seconds(each) for each in (0.0421, 0.95, 1.04, 12.3)] == [
        "42 ms",
        "950 ms",
        "1.0 s",
        "12 s",
    ]
    assert [times(each) for each in (2.04, 9.94, 9.96, 17.5)] == [
        "2.0 times",
        "9.9 times",
        "10 times",
        "18 times",
    ]
    assert [percent(each) for each in (0.004, 0.05, 1.0)] == ["less than 1 %", "5 %", "100 %"]
    assert [longer(each) for each in (1.07, 1.9, 1.96)] == [
        "7 % longer than",
        "90 % longer than",
        "2.0 times as long as",
    ]
    assert [much(each, "memory") for each in (1.3, 3.0)] == [
        "30 % more memory",
        "3.0 times the memory",
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Spread(1.0, 0.9, 1.1), Spread(1.3, 1.2, 1.4), False),
        (Spread(1.0, 0.9, 1.1), Spread(1.3, 1.1, 1.4), True),  # the rounds overlap
        (Spread(1.0, 0.99, 1.01), Spread(1.04, 1.03, 1.05), True),  # apart, and next to nothing
        (Spread(1.0, 1.0, 1.0), Spread(1.09, 1.09, 1.09), True),  # one run tells less
        (Spread(1.0, 1.0, 1.0), Spread(1.11, 1.11, 1.11), False),
    ],
)
def test_differences_that_may_be_chance(one: Spread, other: Spread, expected: bool) -> None:
    assert close(one, other) is close(other, one) is expected


def test_a_crawl_of_some_milliseconds_compares_no_processor_time() -> None:
    short = {
        name: (wall, min(cpu, 0.004 + 0.001 * ("asyncio" in name[-8:])), memory)
        for name, (wall, cpu, memory) in USUAL.items()
    }
    sentences = learned(short)
    assert "too close to call" in sentences[3]
    assert "%" not in sentences[3]
    assert "about the same CPU time" in sentences[2]
