"""The implementations that the tests can run on, and what each one puts in asyncio's place."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable
from dataclasses import dataclass

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class Implementation:
    """What to put in asyncio's place. `None` leaves asyncio's own."""

    name: str
    loop_class: type[asyncio.AbstractEventLoop] | None = None
    new_event_loop: LoopFactory | None = None
    future: type | None = None
    task: type | None = None
    handle: type | None = None
    timer_handle: type | None = None
    ssl_protocol: type | None = None
    #: what replaces the names in asyncio and its modules, before the others are filled in
    install: Callable[[], None] | None = None


@dataclass(frozen=True)
class Choice:
    """A name on the command line: the distribution it needs and how to load it."""

    requires: str | None
    load: Callable[[], Implementation]

    def version(self) -> str:
        """The version under test."""
        if self.requires is None:
            return platform.python_version()
        return importlib.metadata.version(self.requires)

    def is_installed(self) -> bool:
        """Whether it can be imported, told without importing it."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


def _stock() -> Implementation:
    """The control: asyncio as it is. What fails here is not ours to mend."""
    return Implementation("stock")


def _subclass() -> Implementation:
    """Python subclasses of the C types: shows what substitution alone does to the tests.

    Nothing, that is, as long as every task is an instance of whatever is called `asyncio.Future`.
    """
    c_future: type = importlib.import_module("_asyncio").Future
    c_task: type = importlib.import_module("_asyncio").Task

    class FutureType(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return type.__instancecheck__(c_future if cls is future else cls, instance)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return type.__subclasscheck__(c_future if cls is future else cls, subclass)

    future = FutureType("Future", (c_future,), {})
    return Implementation("subclass", future=future, task=type("Task", (c_task,), {}))


def _uvloop() -> Implementation:
    """A loop only: uvloop's futures and tasks are asyncio's."""
    uvloop = importlib.import_module("uvloop")
    return Implementation("uvloop", uvloop.Loop, uvloop.new_event_loop)


def _aioxide() -> Implementation:
    """The loop, `Future` and `Task`, the handles, TLS, and all that `install()` replaces."""
    aioxide = importlib.import_module("aioxide")
    return Implementation(
        "aioxide",
        aioxide.EventLoop,
        aioxide.new_event_loop,
        aioxide.Future,
        aioxide.Task,
        aioxide.Handle,
        aioxide.TimerHandle,
        importlib.import_module("aioxide.tls").SSLProtocol,
        aioxide.install,
    )


def _aioxide_on_asyncio() -> Implementation:
    """What `install()` replaces, on asyncio's own loop, with its futures and tasks."""
    aioxide = importlib.import_module("aioxide")

    return Implementation("aioxide-on-asyncio", install=lambda: aioxide.install(loop=False))


CONTROL = "stock"

CHOICES = {
    CONTROL: Choice(None, _stock),
    "subclass": Choice(None, _subclass),
    "uvloop": Choice("uvloop", _uvloop),
    "aioxide": Choice("aioxide", _aioxide),
    "aioxide-on-asyncio": Choice("aioxide", _aioxide_on_asyncio),
}
