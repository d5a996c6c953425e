"""Every method of the loop, called wrongly in every way: asyncio's loop says what has to happen.

No expectation is written by hand. Each call is made on both loops, with the same arguments in the
same state; exception, result, what was reported, what is registered, and what became of the
arguments must be the same. What differs on purpose is listed, with its reason.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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


def near(stage: Stage) -> socket.socket:
    """Return a connected, non-blocking socket."""
    return stage.pair()[0]


def listener(stage: Stage) -> socket.socket:
    """Return a listening, non-blocking socket."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    stage.keep(sock)
    return sock


def datagram(stage: Stage) -> socket.socket:
    """Return a bound, non-blocking datagram socket."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    stage.keep(sock)
    return sock


def unconnected(stage: Stage) -> socket.socket:
    """Return a non-blocking socket that is nowhere."""
    sock = socket.socket()
    sock.setblocking(False)
    stage.keep(sock)
    return sock


def address(stage: Stage) -> Any:
    """Return the address of a listener."""
    return listener(stage).getsockname()


def port(stage: Stage) -> int:
    """Return the port of a listener."""
    return int(address(stage)[1])


def file(stage: Stage) -> Any:
    """Return an open file with something in it."""
    opened = stage.enter(tempfile.TemporaryFile())  # noqa: SIM115 - closed by the stage
    opened.write(b"content")
    opened.flush()
    opened.seek(0)
    return opened


def coroutine(stage: Stage) -> Any:
    """Return a coroutine that ends at once."""

    async def body() -> int:
        return 5

    return stage.coroutine(body())


def executor(stage: Stage) -> ThreadPoolExecutor:
    """Return an executor."""
    return stage.enter(ThreadPoolExecutor(1))


def unix_path(stage: Stage) -> str:
    """Return a free path for a Unix socket."""
    folder = stage.enter(tempfile.TemporaryDirectory())
    return f"{folder}/socket"


def unix_address(stage: Stage) -> str:
    """Return the path of a listening Unix socket."""
    path = unix_path(stage)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    stage.keep(sock)
    return path


def ends(stage: Stage) -> tuple[Any, Any]:
    """Return both ends of a pipe."""
    reading, writing = os.pipe()
    files = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
    for end in files:
        stage.later(end.close)
    return files


def reading_end(stage: Stage) -> Any:
    """Return the reading end of a pipe."""
    return ends(stage)[0]


def writing_end(stage: Stage) -> Any:
    """Return the writing end of a pipe."""
    return ends(stage)[1]


def transport(stage: Stage) -> Any:
    """Return the transport that every stage has."""
    return stage.busy_transport


CALLBACK = same(function)
SUBPROCESS = same(asyncio.SubprocessProtocol)
PROTOCOL = same(Recorder)
CONTEXT = {"context": same(None)}

SCHEDULING = [
    Method("call_soon", (CALLBACK, same(1)), CONTEXT),
    Method("call_soon_threadsafe", (CALLBACK, same(1)), CONTEXT),
    Method("call_later", (same(0), CALLBACK, same(1)), CONTEXT),
    Method("call_at", (same(0.0), CALLBACK, same(1)), CONTEXT),
    Method("create_future"),
    Method("create_task", (coroutine,), {"name": same("name"), **CONTEXT}),
    Method("run_until_complete", (coroutine,)),
    Method("run_forever"),
    Method("time"),
    Method("is_running"),
    Method("is_closed"),
    Method("close"),
    Method("stop"),
    Method("run_in_executor", (same(None), CALLBACK, same(1))),
    Method("set_default_executor", (executor,)),
    Method("shutdown_default_executor", (same(1.0),)),
    Method("shutdown_asyncgens"),
    Method("get_debug"),
    Method("set_debug", (same(True),), without=frozenset({"raising"})),
    Method("set_task_factory", (CALLBACK,)),
    Method("get_task_factory"),
    Method("set_exception_handler", (CALLBACK,)),
    Method("get_exception_handler"),
    Method("call_exception_handler", (same({"message": "text"}),)),
    Method("default_exception_handler", (same({"message": "text"}),)),
    Method("add_signal_handler", (same(signal.SIGUSR1), CALLBACK)),
    Method("remove_signal_handler", (same(signal.SIGUSR1),)),
]

DESCRIPTORS = [
    Method("add_reader", (near, CALLBACK, same(1))),
    Method("add_writer", (near, CALLBACK, same(1))),
    Method("remove_reader", (near,)),
    Method("remove_writer", (near,)),
    Method("sock_recv", (near, same(10)), waits=True, blocks=True),
    Method("sock_recv_into", (near, lambda stage: bytearray(10)), waits=True, blocks=True),
    Method("sock_recvfrom", (datagram, same(10)), waits=True, blocks=True),
    Method(
        "sock_recvfrom_into",
        (datagram, lambda stage: bytearray(10), same(5)),
        waits=True,
        blocks=True,
    ),
    Method("sock_sendall", (near, same(b"data")), waits=True, blocks=True),
    Method(
        "sock_sendto", (datagram, same(b"data"), same(("127.0.0.1", 9))), waits=True, blocks=True
    ),
    Method("sock_connect", (unconnected, address), waits=True, blocks=True),
    Method("sock_accept", (listener,), waits=True, blocks=True),
    Method(
        "sock_sendfile",
        (near, file, same(0), same(7)),
        {"fallback": same(True)},
        blocks=True,
    ),
]

NAMES = [
    Method(
        "getaddrinfo",
        (same("127.0.0.1"), same(80)),
        {key: same(0) for key in ("family", "type", "proto", "flags")},
    ),
    Method("getnameinfo", (same(("127.0.0.1", 80)), same(3))),
]

CONNECTIONS = [
    Method(
        "create_connection",
        (PROTOCOL, same("127.0.0.1"), port),
        {
            "ssl": same(None),
            "family": same(0),
            "proto": same(0),
            "flags": same(0),
            "sock": same(None),
            "local_addr": same(None),
            "server_hostname": same(None),
            "ssl_handshake_timeout": same(None),
            "happy_eyeballs_delay": same(None),
            "interleave": same(None),
        },
    ),
    Method("create_connection", (PROTOCOL,), {"sock": near}),
    Method(
        "create_server",
        (PROTOCOL, same("127.0.0.1"), same(0)),
        {
            "family": same(socket.AF_UNSPEC),
            "flags": same(socket.AI_PASSIVE),
            "sock": same(None),
            "backlog": same(100),
            "ssl": same(None),
            "reuse_address": same(None),
            "reuse_port": same(None),
            "ssl_handshake_timeout": same(None),
            "start_serving": same(True),
        },
    ),
    Method("create_server", (PROTOCOL,), {"sock": listener}),
    Method(
        "connect_accepted_socket",
        (PROTOCOL, near),
        {"ssl": same(None), "ssl_handshake_timeout": same(None)},
    ),
]

TLS = {
    "server_side": same(False),
    "server_hostname": same(None),
    "ssl_handshake_timeout": same(None),
    "ssl_shutdown_timeout": same(None),
}
PIPES = {
    "stdin": same(subprocess.DEVNULL),
    "stdout": same(subprocess.DEVNULL),
    "stderr": same(subprocess.DEVNULL),
}
ENDPOINTS = [
    Method(
        "create_datagram_endpoint",
        (same(asyncio.DatagramProtocol),),
        {
            "local_addr": same(("127.0.0.1", 0)),
            "remote_addr": same(None),
            "family": same(0),
            "proto": same(0),
            "flags": same(0),
            "reuse_port": same(None),
            "allow_broadcast": same(None),
            "sock": same(None),
        },
    ),
    Method("create_datagram_endpoint", (same(asyncio.DatagramProtocol),), {"sock": datagram}),
    Method(
        "create_unix_connection",
        (PROTOCOL, unix_address),
        {"ssl": same(None), "sock": same(None), "server_hostname": same(None)},
    ),
    Method(
        "create_unix_server",
        (PROTOCOL, unix_path),
        {"sock": same(None), "backlog": same(100), "ssl": same(None), "start_serving": same(True)},
    ),
    Method("connect_read_pipe", (PROTOCOL, reading_end)),
    Method("connect_write_pipe", (PROTOCOL, writing_end)),
    Method(
        "subprocess_exec",
        (SUBPROCESS, same(sys.executable), same("-c"), same("")),
        PIPES,
        waits=True,
    ),
    Method("subprocess_shell", (SUBPROCESS, same("exit")), PIPES, waits=True),
    Method("start_tls", (transport, PROTOCOL, same(None)), TLS),
    Method("sendfile", (transport, file, same(0), same(7)), {"fallback": same(True)}),
]

TABLES = [*SCHEDULING, *DESCRIPTORS, *NAMES, *CONNECTIONS, *ENDPOINTS]

NOT_MADE = "the transport that could not be made leaves the socket to whoever gave it"

NO_PROTOCOL = ("argument 0: function", "argument 0: coroutine function")

NO_FILE = ("argument 1: blocking socket", "argument 1: busy socket")

KNOWN = [
    Known(
        "call_at",
        ("running", "debug"),
        ("argument 0: *",),
        "asyncio takes what is no number, and its loop breaks when it is compared",
    ),
    Known(
        "sock_accept",
        ("running", "closed"),
        ("argument 0: raising",),
        "both are errors of something that is no socket: we accept first, asyncio asks for fileno",
    ),
    *(
        Known(
            "sock_sendfile",
            (state,),
            calls,
            "what one system call sends is not waited for: asyncio watches the socket after it,"
            " and only then finds it busy; and a closed loop sends nothing at all",
        )
        for state, calls in {
            "running": ("argument 0: busy socket",),
            "debug": ("argument 0: busy socket",),
            "closed": ("argument 1: busy socket", "argument 2: number"),
        }.items()
    ),
    *(
        Known(
            method,
            (state,),
            calls,
            "from 3.14 on asyncio sets the position of what has none: that error hides the other",
        )
        for method, state, calls in [
            ("sock_sendfile", "running", ("argument 1: busy socket",)),
            ("sock_sendfile", "debug", NO_FILE),
            ("sendfile", "running", NO_FILE),
            ("sendfile", "debug", NO_FILE),
        ]
        if sys.version_info >= (3, 14)
    ),
    *(
        Known(
            method,
            ("running",),
            ("argument 3: huge",),
            "a count that no file can have is refused, where asyncio takes it for all there is",
        )
        for method in ("sendfile", "sock_sendfile")
    ),
    *(
        Known("create_datagram_endpoint(sock)", (state,), calls, NOT_MADE)
        for state, calls in {
            "running": ("argument 0: class", *NO_PROTOCOL),
            "debug": NO_PROTOCOL,
            "closed": ("as it should be", *NO_PROTOCOL),
        }.items()
    ),
    *(
        Known(method, ("closed",), calls, "a closed loop starts no child, whatever it is to be")
        for method, calls in {
            "subprocess_exec": (
                "argument 1: *",
                "argument 2: *",
                "argument 3: *",
                "one argument more",
                "an unknown keyword",
            ),
            "subprocess_shell": ("an unknown keyword",),
        }.items()
    ),
    *(
        Known(
            method,
            (state,),
            calls,
            "a protocol that is none fails the call, which on asyncio then never ends",
        )
        for method in ("subprocess_exec", "subprocess_shell")
        for state, calls in {
            "running": ("argument 0: class", *NO_PROTOCOL),
            "debug": NO_PROTOCOL,
        }.items()
    ),
    *(
        Known(
            name, ("closed",), ("argument 1: blocking socket", "argument 1: busy socket"), NOT_MADE
        )
        for name in ("connect_read_pipe", "connect_write_pipe")
    ),
]


def title(method: Method) -> str:
    """Return a name for a method's row: with its keywords where it comes twice."""
    twice = sum(other.name == method.name for other in TABLES) > 1
    return f"{method.name}({', '.join(method.keywords)})" if twice else method.name


@pytest.mark.may_leave_residue  # the calls look after it one by one
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", TABLES, ids=title)
def test_misuse(method: Method, state: str) -> None:
    problems = compared(method, state, known_calls(KNOWN, title(method), state))
    assert not problems, "asyncio / aioxide:\n" + "\n".join(problems)


def test_the_tables_name_every_method() -> None:
    """Of what an event loop has."""
    public = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")}
    assert public - {method.name for method in TABLES} == set()
