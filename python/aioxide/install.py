"""`aioxide.install()`: an unchanged program that says `import asyncio` runs on aioxide.

Two things are replaced:

* where asyncio itself looks up its default loop, so that `asyncio.run`, `asyncio.Runner`,
  `asyncio.new_event_loop` and `asyncio.get_event_loop` all follow, also where they were imported by
  name before. A program that asks for another loop by name, by `loop_factory` or by setting a
  policy afterwards still gets the loop it asked for;
* the names of what is native here (`sleep`, `gather`, `Lock`, `Queue`, `StreamReader` ...), in
  `asyncio` and in each of its modules. They work on any loop, also on asyncio's. What was imported
  by name before stays asyncio's, and works on our loop.

Each replacement is one (owner, name) pair; `uninstall` puts back what was there, unless somebody
else has replaced it in the meantime.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.unix_events
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _namespace
from .events import EventLoop
from .policy import default_policy, policy_class
from .runners import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("install", "installed", "uninstall")


class _Replacement(NamedTuple):
    owner: Any
    name: str
    ours: Any
    theirs: Any


_lock = threading.Lock()
_replacements: list[_Replacement] = []


def _builds_default_loop(policy: Any, default: Any) -> bool:
    """Whether this policy takes its loops from the hook of asyncio's default policy."""
    kind = type(policy)
    return (
        isinstance(policy, default)
        and kind.new_event_loop is default.new_event_loop
        and kind._loop_factory is default._loop_factory
    )


def _plan(loop: bool) -> Iterator[tuple[Any, str, Any]]:
    """What to replace, as (owner, name, ours)."""
    if loop:
        yield from _loop_plan()
    yield from _names_plan()


def _names_plan() -> Iterator[tuple[Any, str, Any]]:
    modules = _namespace.asyncio_modules()
    for counterpart in _namespace.counterparts():
        if counterpart.name in _namespace.KEPT:
            continue
        for module in modules:
            if vars(module).get(counterpart.name) is counterpart.theirs:
                yield module, counterpart.name, counterpart.ours


def _loop_plan() -> Iterator[tuple[Any, str, Any]]:
    default, _ = default_policy()
    if default is not None:
        # The protected hook of the default policy. Replacing the hook and not the policy keeps
        # the current loop of each thread, and asyncio's functions need no wrapper.
        yield default, "_loop_factory", EventLoop
        # A policy set earlier that builds another loop gives way until uninstall().
        policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
        if policy is not None and not _builds_default_loop(policy, default):
            yield asyncio.events, "_event_loop_policy", policy_class()()
    else:
        yield asyncio.events, "new_event_loop", new_event_loop
        yield asyncio, "new_event_loop", new_event_loop
    # "The best loop of this platform", which asyncio names from 3.13 on.
    for owner in (asyncio.unix_events, asyncio):
        if hasattr(owner, "EventLoop"):
            yield owner, "EventLoop", EventLoop


def install(*, loop: bool = True) -> None:
    """Make asyncio aioxide's in this process. Repeating it changes nothing.

    Call it before the libraries that use asyncio are imported: a name that a module has imported
    by itself (``from asyncio import Lock``) stays asyncio's. Loops that exist stay what they are.

    Args:
        loop: whether the default loop is replaced too; if not, only the names are, and run on
            whatever loop there is.
    """
    with _lock:
        for owner, name, ours in list(_plan(loop)):
            theirs = vars(owner)[name]
            if theirs is not ours:
                _replacements.append(_Replacement(owner, name, ours, theirs))
                setattr(owner, name, ours)


def uninstall() -> None:
    """Undo `install()`. Loops that exist already stay what they are.

    What somebody else has replaced since is left alone.
    """
    with _lock:
        while _replacements:
            owner, name, ours, theirs = _replacements.pop()
            if vars(owner).get(name) is ours:
                setattr(owner, name, theirs)


def installed() -> bool:
    """Tell whether `install()` is in force.

    Returns:
        True between `install()` and `uninstall()`.
    """
    with _lock:
        return bool(_replacements)
