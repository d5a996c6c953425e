"""`aioxide.install()`: an unchanged program that says `import asyncio` runs on aioxide.

Three things are replaced:

* where asyncio itself looks up its default loop, so that `asyncio.run`, `asyncio.Runner`,
  `asyncio.new_event_loop` and `asyncio.get_event_loop` all follow, also where they were imported by
  name before;
* the names by which programs and libraries ask for a loop: `asyncio.SelectorEventLoop`,
  `asyncio.EventLoop`, and `new_event_loop`, `run` and the loop classes of uvloop, rloop and
  zuvloop, as soon as one of these is imported (`_takeover`). A subclass of such a class, and a
  policy that makes loops of its own, still make theirs; the log says so when such a loop runs
  (`_report`);
* the names of what is native here (`sleep`, `gather`, `Lock`, `Queue`, `StreamReader` ...), in
  `asyncio` and in each of its modules. They work on any loop, also on asyncio's. What was imported
  by name before stays asyncio's, and works on our loop.

A function or class of asyncio's that a library has patched before keeps its place: ours would hide
the patch.

Each replacement is one (owner, name) pair; `uninstall` puts back what was there, unless somebody
else has replaced it in the meantime.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.unix_events
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _inherit, _namespace, _patches, _report, _takeover
from .events import EventLoop
from .policy import default_policy, policy_class
from .runners import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

__all__ = ("install", "installed", "uninstall")


class _Replacement(NamedTuple):
    owner: Any
    name: str
    ours: Any
    theirs: Any


_lock = threading.Lock()
_replacements: list[_Replacement] = []
_hook: _takeover.ImportHook | None = None


def _names_of(owner: Any) -> dict[str, Any]:
    # A dictionary: the keyword defaults of a function.
    return owner if isinstance(owner, dict) else vars(owner)


def _replace(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


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
        if _patches.is_patched(counterpart.theirs, f"asyncio.{counterpart.module}"):
            continue  # Ours would hide the patch.
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
    # EventLoop is "the best loop of this platform", from 3.13 on.
    for name in ("SelectorEventLoop", "EventLoop"):
        stock = vars(asyncio.unix_events).get(name)
        if stock is None:
            continue
        ours = stock if _is_ours(stock) else _takeover.loop_name(stock)
        for owner in (asyncio.unix_events, asyncio):
            if vars(owner).get(name) is stock:
                yield owner, name, ours
    # Every loop calls one of these when it starts, to run and to stop running.
    for owner in (asyncio.events, asyncio):
        yield owner, "_set_running_loop", _report.set_running_loop


def _is_ours(thing: Any) -> bool:
    return any(thing is replacement.ours for replacement in _replacements)


def _apply(plan: Iterable[tuple[Any, str, Any]]) -> None:
    for owner, name, ours in list(plan):
        theirs = _names_of(owner)[name]
        if theirs is not ours:
            _replacements.append(_Replacement(owner, name, ours, theirs))
            _replace(owner, name, ours)


def _take_over_imports() -> None:
    """Replace the loops of other packages: now if they are imported, else when they will be."""
    global _hook
    for name in _takeover.PATCHED_ON_IMPORT:
        module = sys.modules.get(name)
        if module is not None:
            _apply(_takeover.other_loop_plan(module))
    if _hook is None:
        _hook = _takeover.ImportHook(_takeover.PATCHED_ON_IMPORT, _other_was_imported)
        sys.meta_path.insert(0, _hook)


def _other_was_imported(module: ModuleType) -> None:
    with _lock:
        if _hook is not None:  # not since uninstall()
            _apply(_takeover.other_loop_plan(module))


def install(*, loop: bool = True) -> None:
    """Make asyncio aioxide's in this process. Repeating it changes nothing.

    Call it before the libraries that use asyncio are imported: a name that a module has imported
    by itself (``from asyncio import Lock``) stays asyncio's. Loops that exist stay what they are.

    Args:
        loop: whether loops are replaced too, asyncio's default loop and the loops that programs
            and libraries ask for by name, uvloop's among them; if not, only the names are, and
            run on whatever loop there is.
    """
    with _lock:
        _apply(_plan(loop))
        if loop:
            _take_over_imports()


def uninstall() -> None:
    """Undo `install()`. Loops that exist already stay what they are.

    What somebody else has replaced since is left alone. Under `aioxide run`, processes that are
    started from now on run on asyncio again.
    """
    global _hook
    with _lock:
        while _replacements:
            owner, name, ours, theirs = _replacements.pop()
            if _names_of(owner).get(name) is ours:
                _replace(owner, name, theirs)
        if _hook is not None:
            if _hook in sys.meta_path:
                sys.meta_path.remove(_hook)
            _hook = None
        _inherit.withdraw()


def installed() -> bool:
    """Tell whether `install()` is in force.

    Returns:
        True between `install()` and `uninstall()`.
    """
    with _lock:
        return bool(_replacements)
