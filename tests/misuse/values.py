"""What is given to parameters that want something else. Each is made anew for each call."""

from __future__ import annotations

import contextvars
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from misuse.stage import Stage

Factory = Callable[["Stage"], Any]

# No descriptor, size, port or signal has this number, and no timer of so many seconds ends.
NUMBER = 987_654


class Raising:
    """Fails however it is asked: a program's own error must come out, and nothing else happen."""

    def _fail(self, *args: Any) -> Any:
        raise ZeroDivisionError

    __index__ = __float__ = __bool__ = __len__ = __iter__ = __fspath__ = __call__ = _fail
    __buffer__ = fileno = _fail
    __hash__ = None  # type: ignore[assignment]


def function(*args: Any) -> None:
    """Do nothing, whatever the arguments."""


async def coroutine_function(*args: Any) -> None:
    """Do nothing, when awaited."""


def same(value: Any) -> Factory:
    """Return a factory of something that cannot be changed."""
    return lambda stage: value


def closed_socket(stage: Stage) -> socket.socket:
    """Return a socket that has been closed."""
    sock = socket.socket()
    sock.close()
    return sock


def blocking_socket(stage: Stage) -> socket.socket:
    """Return a connected socket in the mode in which asyncio does not want it."""
    near, _ = stage.pair()
    near.setblocking(True)
    return near


def busy_socket(stage: Stage) -> socket.socket:
    """Return a socket that a transport has."""
    return stage.busy


WRONG: dict[str, Factory] = {
    "None": same(None),
    "object": lambda stage: object(),
    "number": same(NUMBER),
    "negative": same(-1),
    "huge": same(10**30),
    "float": same(1.5),
    "str": same("text"),
    "empty str": same(""),
    "NUL": same("te\0xt"),
    "bytes": same(b"bytes"),
    "bytearray": lambda stage: bytearray(b"bytes"),
    "list": lambda stage: [],
    "tuple": same(()),
    "dict": lambda stage: {},
    "class": same(complex),
    "function": same(function),
    "coroutine function": same(coroutine_function),
    "coroutine": lambda stage: stage.coroutine(coroutine_function()),
    "future": lambda stage: stage.future(),
    "future of another loop": lambda stage: stage.foreign_future(),
    "context": lambda stage: contextvars.copy_context(),
    "closed socket": closed_socket,
    "blocking socket": blocking_socket,
    "busy socket": busy_socket,
    "raising": lambda stage: Raising(),
}
# In debug mode and on a closed loop other checks come first; these tell whether they do.
TELLING = {
    "None",
    "object",
    "number",
    "negative",
    "str",
    "function",
    "coroutine function",
    "coroutine",
    "closed socket",
    "blocking socket",
    "busy socket",
    "raising",
}
