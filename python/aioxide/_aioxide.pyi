# Types of the native half.

import asyncio
import contextvars
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, final

from typing_extensions import disjoint_base

_T = TypeVar("_T")

__version__: str

def live_tasks() -> list[Task[Any]]: ...
def live_objects() -> dict[str, int]: ...
def _connect_debugger(loop: object, coro: Coroutine[Any, Any, Any], name: str, /) -> bool: ...
def _panic_for_tests() -> None: ...

@disjoint_base
class Future(asyncio.Future[_T]): ...

@disjoint_base
class Task(asyncio.Task[_T]):
    def __init__(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        name: str | None = None,
        context: contextvars.Context | None = None,
        eager_start: bool = False,
    ) -> None: ...
    def get_context(self) -> contextvars.Context: ...

@disjoint_base
class Handle(asyncio.Handle):
    def get_context(self) -> contextvars.Context: ...

@disjoint_base
class TimerHandle(asyncio.TimerHandle):
    def get_context(self) -> contextvars.Context: ...

@disjoint_base
class LoopCore:
    _closed: bool
    _debug: bool
    _stopping: bool
    _thread_id: int | None
    _task_factory: Callable[..., Any] | None
    def _open(self) -> None: ...
    def _close_core(self) -> None: ...
    def _run(self) -> None: ...
    def _run_once(self) -> None: ...
    def _counts(self) -> tuple[int, int, int]: ...
    def _epoll_fd(self) -> int: ...
    def _add_callback(self, handle: asyncio.Handle, /) -> None: ...
    def _write_to_self(self) -> None: ...
    def _ensure_fd_no_transport(self, fd: object, /) -> None: ...
    def stop(self) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def get_debug(self) -> bool: ...
    def time(self) -> float: ...
    def create_future(self) -> Future[Any]: ...
    def create_task(
        self, coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T], /, **kwargs: Any
    ) -> Task[_T]: ...
    def call_soon(
        self,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        /,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> TimerHandle: ...
    def add_reader(self, fd: Any, callback: Callable[..., Any], /, *args: Any) -> None: ...
    def add_writer(self, fd: Any, callback: Callable[..., Any], /, *args: Any) -> None: ...
    def remove_reader(self, fd: Any, /) -> bool: ...
    def remove_writer(self, fd: Any, /) -> bool: ...

@disjoint_base
class StreamTransport(asyncio.Transport):
    def __init__(
        self,
        loop: LoopCore,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: asyncio.AbstractServer | None = None,
        context: contextvars.Context | None = None,
    ) -> None: ...

@final
class Listener:
    def __init__(
        self,
        loop: LoopCore,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        server: asyncio.AbstractServer | None,
        backlog: int,
        connected: Callable[[socket.socket, dict[str, Any]], object] | None = None,
        context: contextvars.Context | None = None,
    ) -> None: ...
    def start(self) -> None: ...
