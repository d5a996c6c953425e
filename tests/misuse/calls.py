"""From a method's good call to all bad ones, and what both loops say to each of them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from helpers import collect, implementation, live_objects, open_fds
from misuse.stage import Seen, Stage, in_thread
from misuse.values import TELLING, WRONG, Factory, busy_socket

STATES = ("running", "debug", "closed", "thread")


def the_loop(stage: Stage) -> Any:
    """Return the subject of a loop's methods."""
    return stage.loop


@dataclass(frozen=True)
class Method:
    """A method with a call of it that is right."""

    name: str
    arguments: tuple[Factory, ...] = ()
    keywords: Mapping[str, Factory] = field(default_factory=dict)
    # Makes what the method belongs to, in the running loop; may be a coroutine function.
    subject: Factory = the_loop
    # What it gives back may wait for ever.
    waits: bool = False
    # asyncio waits in the kernel if the socket does; only debug mode refuses it.
    blocks: bool = False
    # Values after which asyncio's loop never ends.
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Call:
    """One call of a method: what is given, by position and by name."""

    title: str
    arguments: tuple[Factory, ...]
    keywords: Mapping[str, Factory]


def calls(method: Method, state: str) -> Iterator[Call]:
    """Yield the good call, and each that is wrong in one point."""
    arguments, keywords = method.arguments, dict(method.keywords)
    values = {name: WRONG[name] for name in WRONG if state == "running" or name in TELLING}
    values = {name: values[name] for name in values if name not in method.without}
    if method.blocks and state != "debug":
        del values["blocking socket"]
    yield Call("as it should be", arguments, keywords)
    if state == "thread":
        return
    for index in range(len(arguments)):
        for name, make in values.items():
            changed = (*arguments[:index], make, *arguments[index + 1 :])
            yield Call(f"argument {index}: {name}", changed, keywords)
        yield Call(f"only {index} arguments", arguments[:index], keywords)
    # What is given by name meets the same code in every state: once is enough.
    for keyword in keywords if state == "running" else ():
        for name, make in values.items():
            yield Call(f"{keyword}={name}", arguments, {**keywords, keyword: make})
    yield Call("one argument more", (*arguments, WRONG["object"]), keywords)
    yield Call("an unknown keyword", arguments, {**keywords, "unheard_of": WRONG["None"]})


async def _subject(method: Method, stage: Stage) -> Any:
    made = method.subject(stage)
    return await made if inspect.isawaitable(made) and not asyncio.isfuture(made) else made


def attempt(name: str, method: Method, call: Call, state: str, *, thorough: bool = False) -> Seen:
    """Make one call on one implementation."""
    unraisable: list[Any] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: unraisable.append(args.exc_type)
    try:
        with warnings.catch_warnings():
            # Whether a finalizer's warning comes now or at the next collection is no difference.
            warnings.simplefilter("ignore")
            seen = _attempt(name, method, call, state, thorough=thorough)
            if thorough or state == "closed":
                collect()
    finally:
        sys.unraisablehook = hook
    seen.unraisable = unraisable
    return seen


def _attempt(name: str, method: Method, call: Call, state: str, *, thorough: bool) -> Seen:
    stage = Stage(implementation(name), debug=state in {"debug", "thread"}, thorough=thorough)

    def make() -> Any:
        function = getattr(stage.subject, method.name)
        arguments = [factory(stage) for factory in call.arguments]
        keywords = {key: factory(stage) for key, factory in call.keywords.items()}
        return lambda: function(*arguments, **keywords)

    async def prepare() -> None:
        factories = [*call.arguments, *call.keywords.values()]
        if busy_socket in factories or method.name in {"start_tls", "sendfile"}:
            await stage.prepare()
        stage.subject = await _subject(method, stage)

    async def running() -> Seen:
        await prepare()
        ready = make()
        if state == "thread":
            return await stage.outcome(lambda: in_thread(ready), waits=method.waits)
        return await stage.outcome(ready, waits=method.waits)

    async def until_closed() -> Any:
        await prepare()
        return make()

    try:
        if state == "closed":
            ready = stage.run(until_closed())
            stage.loop.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return stage.outcome_when_closed(ready)
        seen: Seen = stage.run(running())
        return seen
    except (Exception, asyncio.CancelledError) as error:
        return Seen("left the loop", type(error))
    finally:
        stage.leave()


@contextlib.contextmanager
def nobody_told() -> Iterator[None]:
    """Let misuse be: nobody is warned of coroutines that nobody awaits, now or when they go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Also because what is logged is kept by whoever collects the log, tracebacks and all.
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            collect()


@contextlib.contextmanager
def nobody_asked() -> Iterator[None]:
    """Keep names from being looked up: both loops obey a function that is put in the place."""
    genuine = socket.getaddrinfo

    def numeric_only(host: Any, port: Any, *hints: Any) -> Any:
        family, kind, proto, flags = (*hints, *(0,) * (4 - len(hints)))
        return genuine(host, port, family, kind, proto, flags | socket.AI_NUMERICHOST)

    socket.getaddrinfo = numeric_only  # type: ignore[assignment]
    try:
        yield
    finally:
        socket.getaddrinfo = genuine


@dataclass(frozen=True)
class Known:
    """Calls that differ on purpose, with the reason. What does not differ any more fails."""

    method: str
    states: tuple[str, ...]
    # Their titles, or the beginnings of their titles up to a `*`.
    calls: tuple[str, ...]
    reason: str


def compared(method: Method, state: str, known: Iterable[str]) -> list[str]:
    """Make every call on both loops; return what differs and is not known, and what is known amiss.

    `known` has titles of calls, or their beginnings up to a `*`.
    """
    known = list(known)
    problems = []
    used = set()
    with nobody_told(), nobody_asked():
        for call in calls(method, state):
            found = differences(method, call, state, thorough=False)
            if found:
                found = differences(method, call, state, thorough=True)
            reason = next((key for key in known if matches(call.title, key)), None)
            if found and reason is None:
                problems.append(f"{method.name}, {call.title} ({state}): " + "; ".join(found))
            elif found and reason is not None:
                used.add(reason)
    gone = [f"{key} ({state}): no difference any more" for key in known if key not in used]
    return problems + gone


def differences(method: Method, call: Call, state: str, *, thorough: bool) -> list[str]:
    """Make one call on both loops; say what is not the same, and what ours has left."""
    stock = attempt("asyncio", method, call, state, thorough=thorough)
    before = live_objects(), open_fds()
    ours = attempt("aioxide", method, call, state, thorough=thorough)
    return stock.differences(ours) + left_behind(*before)


def known_calls(known: Iterable[Known], method: str, state: str) -> list[str]:
    """Return the titles of a method's calls that differ in a state."""
    return [
        call
        for each in known
        if each.method == method and state in each.states
        for call in each.calls
    ]


def matches(title: str, key: str) -> bool:
    """Tell whether a known difference is about a call."""
    return title.startswith(key[:-1]) if key.endswith("*") else title == key


def left_behind(objects: dict[str, int], fds: dict[int, str]) -> list[str]:
    """Say what a call on our loop has left, once its loop is gone."""
    if live_objects() != objects or open_fds() != fds:
        collect()
    now, found = live_objects(), []
    more = {kind: count for kind, count in now.items() if count > objects.get(kind, 0)}
    if more:
        found.append(f"left alive: {more}")
    open_now = {fd: target for fd, target in open_fds().items() if fd not in fds}
    if open_now:
        found.append(f"left open: {open_now}")
    return found
