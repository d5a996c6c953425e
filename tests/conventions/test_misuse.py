"""Every parameter with a wrong type or value: the same exception, at the call or at the await.

What the loop's methods and transports do is compared by `tests/misuse`, in more states; here are
the functions, the constructors and what they make.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from conventions import subjects
from conventions.calling import differences
from conventions.test_calling import METHODS, NEED_NO_LOOP, functions, method_shape, shape_of
from conventions.variants import misuses

if TYPE_CHECKING:
    from conventions.calling import Finder

pytestmark = [
    pytest.mark.aioxide_only,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        sys.version_info < (3, 12), reason="3.11's asyncio looks at fewer of its arguments"
    ),
]

KINDS = (
    "lock", "event", "condition", "semaphore", "bounded_semaphore", "barrier", "queue",
    "priority_queue", "lifo_queue", "timeout", "entered_timeout", "task_group",
    "stream_reader", "stream_writer", "stream_protocol", "process", "gathering", "write_pipe",
    "read_pipe", "tls", "subprocess_transport",
)  # fmt: skip
#: `tests/misuse` has what these hand on to the loop; a loop of a wrong type never ends.
LEFT_OUT = {
    "open_connection", "open_unix_connection", "start_server", "start_unix_server",
    "run", "Runner", "EventLoop", "eager_task_factory",
}  # fmt: skip

NAN = "no deadline is nan: asyncio's heap of timers cannot order it, and its loop goes wrong later"
OWN_ERROR = "the object's own error, where asyncio fails to compare it"
NUMBER = "limits and lengths are finite numbers"
SEQUENCE = "the arguments are taken as a sequence at once, not when the handle runs"
LATER = "the future that asyncio makes at once is made when it is asked for"

#: By call: the beginnings of the variants that differ, and why. One that does not differ any more
#: fails the test.
KNOWN: dict[str, dict[str, str]] = {
    "Handle": {"args: ": SEQUENCE},
    "TimerHandle": {"args: ": SEQUENCE, "when: None": "a handle's deadline is a number"},
    "StreamReader": {"limit: nan": NUMBER, "limit: a value that raises": OWN_ERROR},
    "StreamReaderProtocol": {
        "stream_reader: ": "what is no reader is not asked for its traceback",
        "loop: ": LATER,
    },
    "Task": {"eager_start=": "the running loop is found before it is asked whether it runs"},
    "entered_timeout.reschedule": {"when: nan": NAN},
    "gather": {"return_exceptions=a value that raises": "asked at the call, not at the end"},
    "stream_protocol.connection_lost": {"exc: ": LATER},
    "stream_reader.read": {"n: a value that raises": OWN_ERROR},
    "stream_reader.readexactly": {"n: infinity": NUMBER, "n: a value that raises": OWN_ERROR},
    "stream_reader.readuntil": {"separator: a list": "a separator is bytes or a tuple of them"},
    "wait": {"timeout=nan": NAN},
    "wait_for": {"timeout: nan": NAN},
    "write_pipe.set_write_buffer_limits": {
        "high: nan": NUMBER,
        "high: infinity": NUMBER,
        "high: a value that raises": OWN_ERROR,
        "low: nan": NUMBER,
        "low: a value that raises": OWN_ERROR,
    },
}


def unknown(call: str, problems: list[str]) -> list[str]:
    """Return the differences that are not listed, and the entries that are not needed."""
    listed = KNOWN.get(call, {})
    return [
        problem for problem in problems if not any(problem.startswith(what) for what in listed)
    ] + [
        f"{what}: does not differ any more"
        for what in listed
        if not any(problem.startswith(what) for problem in problems)
    ]


@pytest.mark.may_leave_residue
@pytest.mark.parametrize(
    ("kind", "method"),
    [pair for pair in METHODS if pair[0] in KINDS],
    ids=[".".join(pair) for pair in METHODS if pair[0] in KINDS],
)
def test_methods_refuse_what_asyncios_refuse(kind: str, method: str) -> None:
    find: Finder = lambda made, stage: getattr(made, method)  # noqa: E731
    problems = [
        problem
        for variant in misuses(method_shape(kind, method))
        for problem in differences(
            subjects.MAKERS[kind], find, variant, threaded=f"{kind}.{method}" in NEED_NO_LOOP
        )
    ]
    problems = unknown(f"{kind}.{method}", problems)
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)


@pytest.mark.may_leave_residue
@pytest.mark.parametrize("name", [name for name in functions() if name not in LEFT_OUT])
def test_functions_and_classes_refuse_what_asyncios_refuse(name: str) -> None:
    find: Finder = lambda _, stage: getattr(subjects.namespace(stage), name)  # noqa: E731
    problems = [
        problem
        for variant in misuses(shape_of(name, getattr(asyncio, name)))
        for problem in differences(None, find, variant, threaded=name in NEED_NO_LOOP)
    ]
    problems = unknown(name, problems)
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)
