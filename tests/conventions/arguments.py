"""A valid argument for each parameter, by the parameter's name."""

from __future__ import annotations

import asyncio
import contextvars
import io
import signal
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from conventions import subjects
from helpers import Recorder
from misuse.values import Factory, function, same

if TYPE_CHECKING:
    from misuse.stage import Stage


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
    """Return a non-blocking socket that is not connected."""
    sock = socket.socket()
    sock.setblocking(False)
    stage.keep(sock)
    return sock


def port(stage: Stage) -> int:
    """Return the port of a listener."""
    return int(listener(stage).getsockname()[1])


def coroutine(stage: Stage) -> Any:
    """Return a coroutine that ends at once."""

    async def body() -> int:
        return 5

    return stage.coroutine(body())


def file(stage: Stage) -> Any:
    """Return an open file with something in it."""
    opened = stage.enter(tempfile.TemporaryFile())  # noqa: SIM115 - closed by the stage
    opened.write(b"content")
    opened.flush()
    opened.seek(0)
    return opened


def unix_path(stage: Stage) -> str:
    """Return a free path for a Unix socket."""
    return f"{stage.enter(tempfile.TemporaryDirectory())}/socket"


def unix_address(stage: Stage) -> str:
    """Return the path of a listening Unix socket."""
    path = unix_path(stage)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    stage.keep(sock)
    return path


def transport(stage: Stage) -> Any:
    """Return a transport that does nothing."""
    return asyncio.Transport()


class Both(Recorder, asyncio.SubprocessProtocol):
    """A protocol for every transport."""


VALUES: dict[str, Factory] = {
    "address": lambda stage: listener(stage).getsockname(),
    "addr": same(None),
    "all_errors": same(True),
    "allow_broadcast": same(None),
    "arg": same(1),
    "args": same(1),
    "aw": coroutine,
    "backlog": same(10),
    "buf": lambda stage: bytearray(8),
    "bufsize": same(16),
    "encoding": same(None),
    "errors": same(None),
    "text": same(None),
    "callback": same(function),
    "cleanup_socket": same(True),
    "client_connected_cb": same(function),
    "cmd": same("exit 0"),
    "context": lambda stage: contextvars.copy_context(),
    "coro": coroutine,
    "coro_or_future": coroutine,
    "coroutine": coroutine,
    "count": same(3),
    "data": same(b"data"),
    "debug": same(False),
    "default": same(7),
    "delay": same(0),
    "eager_start": same(False),
    "enabled": same(False),
    "et": same(None),
    "exc": same(None),
    "exc_tb": same(None),
    "exc_type": same(None),
    "exc_val": same(None),
    "exception": lambda stage: ZeroDivisionError(),
    "executor": same(None),
    "exit_code": same(None),
    "factory": same(None),
    "fallback": same(True),
    "family": same(0),
    "fd": near,
    "file": lambda stage: io.StringIO(),
    "flags": same(0),
    "fn": same(function),
    "fs": lambda stage: [stage.future()],
    "fut": coroutine,
    "future": coroutine,
    "func": same(function),
    "func_name": same("read"),
    "get_debug": same(None),
    "happy_eyeballs_delay": same(None),
    "handler": same(None),
    "high": same(1000),
    "host": same("127.0.0.1"),
    "immediate": same(True),
    "input": same(None),
    "interleave": same(None),
    "item": same(3),
    "keep_alive": same(True),
    "limit": same(1 << 10),
    "list_of_data": same([b"a", b"b"]),
    "local_addr": same(None),
    "lock": same(None),
    "loop": lambda stage: stage.loop,
    "loop_factory": same(None),
    "low": same(10),
    "main": coroutine,
    "maxsize": same(3),
    "msg": same("why"),
    "n": same(2),
    "name": same("name"),
    "nbytes": same(4),
    "new_limit": same(5),
    "object": same(int),
    "offset": same(0),
    "parties": same(2),
    "path": unix_path,
    "pipe": lambda stage: subjects.pipe(stage)[0],
    "port": port,
    "predicate": same(lambda: True),
    "program": same(sys.executable),
    "proto": same(0),
    "protocol": lambda stage: Recorder(),
    "protocol_factory": same(Recorder),
    "remote_addr": same(None),
    "result": same(5),
    "return_exceptions": same(False),
    "return_when": same(asyncio.ALL_COMPLETED),
    "reuse_address": same(None),
    "reuse_port": same(None),
    "selector": same(None),
    "separator": same(b"\n"),
    "shell": same(False),
    "server_hostname": same(None),
    "server_side": same(False),
    "sig": same(signal.SIGUSR1),
    "signal": same(0),
    "size": same(4),
    "sock": same(None),
    "sockaddr": same(("127.0.0.1", 80)),
    "ssl": same(None),
    "ssl_handshake_timeout": same(None),
    "ssl_shutdown_timeout": same(None),
    "sslcontext": same(None),
    "start_serving": same(True),
    "stderr": same(subprocess.DEVNULL),
    "stdin": same(subprocess.DEVNULL),
    "stdout": same(subprocess.DEVNULL),
    "stream_reader": lambda stage: subjects.namespace(stage).StreamReader(),
    "tb": same(None),
    "timeout": same(None),
    "transport": transport,
    "type": same(0),
    "value": same("5"),
    "universal_newlines": same(False),
    "when": same(None),
    # By method or class, where the name means something else.
    "Handle.args": same((1,)),
    "TimerHandle.args": same((1,)),
    "TimerHandle.when": same(5.0),
    "Semaphore.value": same(2),
    "BoundedSemaphore.value": same(2),
    "StreamReaderProtocol.client_connected_cb": same(None),
    "StreamWriter.reader": lambda stage: subjects.namespace(stage).StreamReader(),
    "StreamWriter.protocol": lambda stage: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
    "Timeout.when": same(None),
    "call_at.when": same(0.0),
    "call_exception_handler.context": same({"message": "text"}),
    "default_exception_handler.context": same({"message": "text"}),
    "connect_accepted_socket.sock": near,
    "connect_write_pipe.pipe": lambda stage: subjects.pipe(stage)[1],
    "create_unix_connection.path": unix_address,
    "open_unix_connection.path": unix_address,
    "create_server.port": same(0),
    "start_server.port": same(0),
    "call_later.delay": same(0),
    "ensure_future.loop": lambda stage: stage.loop,
    "gather.coros_or_futures": coroutine,
    "getaddrinfo.port": same(80),
    "get_pipe_transport.fd": same(0),
    "print_stack.limit": same(1),
    "get_stack.limit": same(1),
    "reschedule.when": lambda stage: stage.loop.time() + 100,
    "run_in_executor.executor": same(None),
    "send_signal.signal": same(0),
    "sendfile.transport": lambda stage: stage.busy_transport,
    "sendto.data": same(b""),
    "set_default_executor.executor": same(None),
    "set_exception.exc": lambda stage: ZeroDivisionError(),
    "set_name.value": same("name"),
    "set_task_factory.factory": same(None),
    "set_protocol.protocol": lambda stage: Both(),
    "shutdown_default_executor.timeout": same(1.0),
    "sleep.result": same(3),
    "sock_accept.sock": listener,
    "sock_connect.sock": unconnected,
    "sock_recv.sock": near,
    "sock_recv_into.sock": near,
    "sock_recvfrom.sock": datagram,
    "sock_recvfrom_into.sock": datagram,
    "sock_sendall.sock": near,
    "sock_sendfile.sock": near,
    "sock_sendfile.file": file,
    "sendfile.file": file,
    "sock_sendto.sock": datagram,
    "sock_sendto.address": same(("127.0.0.1", 9)),
    "start_tls.transport": lambda stage: stage.busy_transport,
    "subprocess_exec.bufsize": same(0),
    "subprocess_shell.bufsize": same(0),
    "subprocess_shell.shell": same(True),
    "subprocess_exec.protocol_factory": same(asyncio.SubprocessProtocol),
    "subprocess_shell.protocol_factory": same(asyncio.SubprocessProtocol),
    "create_datagram_endpoint.protocol_factory": same(asyncio.DatagramProtocol),
    "create_datagram_endpoint.family": same(socket.AF_INET),
    "wait_for.timeout": same(1),
    "writelines.data": same([b"a", b"b"]),
    "write_eof.data": same(b""),
}


def argument(owner: str, parameter: str) -> Factory:
    """Return the factory of a valid argument for a parameter of a function or class."""
    return VALUES.get(f"{owner}.{parameter}") or VALUES[parameter]
