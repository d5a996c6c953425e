"""Every method of what a loop gives out: handles, futures, tasks, transports, servers."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

from helpers import Recorder
from misuse.calls import STATES, Known, Method, compared, known_calls
from misuse.values import function, same

if TYPE_CHECKING:
    from misuse.stage import Stage

# What both loops leave unawaited is misuse too.
pytestmark = [
    pytest.mark.aioxide_only,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        sys.version_info < (3, 12), reason="3.11's asyncio does not yet look for sockets in use"
    ),
]

CALLBACK = same(function)
# Only the loop asks in which thread it is called.
OWN_STATES = tuple(state for state in STATES if state != "thread")


def handle(stage: Stage) -> Any:
    """Return a scheduled callback."""
    return stage.loop.call_soon(function)


def timer(stage: Stage) -> Any:
    """Return a timer that is not due."""
    made = stage.loop.call_later(3600, function)
    stage.later(made.cancel)
    return made


def pending(stage: Stage) -> Any:
    """Return a future that is not done."""
    return stage.future()


def finished(stage: Stage) -> Any:
    """Return a future with a result."""
    future = stage.future()
    future.set_result(5)
    return future


def failed(stage: Stage) -> Any:
    """Return a future with an exception."""
    future = stage.future()
    future.set_exception(ZeroDivisionError())
    return future


def cancelled(stage: Stage) -> Any:
    """Return a future that was cancelled."""
    future = stage.future()
    future.cancel()
    return future


def task(stage: Stage) -> Any:
    """Return a task that waits."""

    async def wait() -> None:
        await stage.future()

    return stage.task(wait())


async def finished_task(stage: Stage) -> Any:
    """Return a task that has ended."""

    async def work() -> int:
        return 5

    made = stage.task(work())
    await made
    return made


async def stream(stage: Stage) -> Any:
    """Return the transport of a connection."""
    near, _ = stage.pair()
    transport, _ = await stage.loop.create_connection(Recorder, sock=near)
    return stage.transport(transport)


async def closing_stream(stage: Stage) -> Any:
    """Return a transport that has been closed."""
    transport = await stream(stage)
    transport.close()
    await stage.settle()
    return transport


async def ended_stream(stage: Stage) -> Any:
    """Return a transport whose writing side is at its end."""
    transport = await stream(stage)
    transport.write_eof()
    return transport


async def server(stage: Stage) -> Any:
    """Return a server."""
    made = await stage.loop.create_server(Recorder, "127.0.0.1", 0)
    stage.later(made.close)
    return made


async def closed_server(stage: Stage) -> Any:
    """Return a server that has been closed."""
    made = await server(stage)
    made.close()
    return made


async def datagram_transport(stage: Stage) -> Any:
    """Return a datagram transport."""
    transport, _ = await stage.loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    stage.later(transport.abort)
    return transport


def rows(subject: Any, *methods: Any, waits: bool = False) -> list[Method]:
    """Return rows for methods of one subject: names, or names with arguments."""
    made = []
    for method in methods:
        name, *arguments = (method,) if isinstance(method, str) else method
        made.append(Method(name, tuple(arguments), subject=subject, waits=waits))
    return made


FUTURE = (
    "result",
    "exception",
    "done",
    "cancelled",
    ("set_result", same(5)),
    ("set_exception", lambda stage: ZeroDivisionError()),
    ("add_done_callback", CALLBACK),
    ("remove_done_callback", CALLBACK),
    "get_loop",
)
TASK = (
    "result",
    "exception",
    ("set_result", same(5)),
    ("set_exception", lambda stage: ZeroDivisionError()),
    ("add_done_callback", CALLBACK),
    ("remove_done_callback", CALLBACK),
    ("set_name", same("name")),
    "get_name",
    "get_context",
    "cancelling",
    "uncancel",
)
STREAM = (
    ("write", same(b"data")),
    ("writelines", same([b"more", b"data"])),
    "write_eof",
    "can_write_eof",
    "close",
    "abort",
    "is_closing",
    "pause_reading",
    "resume_reading",
    "is_reading",
    "get_write_buffer_size",
    "get_write_buffer_limits",
    ("set_write_buffer_limits", same(1000), same(10)),
    ("get_extra_info", same("nothing")),
    "get_protocol",
    ("set_protocol", lambda stage: asyncio.Protocol()),
)
SERVER = ("close", "get_loop", "is_serving", "start_serving", "wait_closed", "serve_forever")

TABLES = [
    *rows(handle, "cancel", "cancelled", "_run", "__repr__"),
    *rows(timer, "cancel", "cancelled", "when", "_run", ("__lt__", timer), ("__eq__", timer)),
    *rows(pending, *FUTURE),
    *(Method("cancel", (), {"msg": same("why")}, subject=made) for made in (pending, finished)),
    *rows(finished, *FUTURE),
    *rows(failed, *FUTURE),
    *rows(cancelled, *FUTURE),
    *rows(task, *TASK),
    *rows(finished_task, *TASK),
    *(Method("cancel", (), {"msg": same("why")}, subject=made) for made in (task, finished_task)),
    *(
        Method("print_stack", (), {"limit": same(1), "file": lambda _: io.StringIO()}, subject=made)
        for made in (task, finished_task)
    ),
    *(Method("get_stack", (), {"limit": same(1)}, subject=made) for made in (task, finished_task)),
    *rows(stream, *STREAM),
    *rows(closing_stream, *STREAM),
    *rows(ended_stream, *STREAM[:6]),
    *rows(server, *SERVER, waits=True),
    *rows(closed_server, *SERVER, waits=True),
    *rows(
        datagram_transport,
        ("sendto", same(b"data"), same(("127.0.0.1", 9))),
        "close",
        "abort",
        "is_closing",
        "get_write_buffer_size",
        ("set_write_buffer_limits", same(1000), same(10)),
        ("get_extra_info", same("nothing")),
    ),
]

KNOWN = [
    Known(
        "stream.writelines",
        ("running",),
        ("argument 0: future", "argument 0: future of another loop"),
        "the iterable is taken as a whole before its first piece is looked at",
    ),
    *(
        Known(
            f"{name}.set_write_buffer_limits",
            OWN_STATES,
            ("argument 0: raising", "argument 1: raising"),
            "limits are whole numbers: the object's own error, where asyncio fails to compare it",
        )
        for name in ("stream", "datagram_transport")
    ),
]


def title(method: Method) -> str:
    """Return a name for a method's row: of what it is called, and in which state that is."""
    return f"{method.subject.__name__}.{method.name}"


@pytest.mark.may_leave_residue  # the calls look after it one by one
@pytest.mark.parametrize("state", OWN_STATES)
@pytest.mark.parametrize("method", TABLES, ids=title)
def test_misuse(method: Method, state: str) -> None:
    problems = compared(method, state, known_calls(KNOWN, title(method), state))
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)
