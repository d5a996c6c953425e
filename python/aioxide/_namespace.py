"""Which of asyncio's names are ours: for `import aioxide as asyncio` and for `install()`.

A module here that is called like one of asyncio's (`locks`, `queues`, `streams`, `tasks` ...) has
all its public names: ours, and for the rest asyncio's own. asyncio's objects are taken when this
package is imported, so that they stay asyncio's after `install()`.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

#: asyncio's modules with names that have a native counterpart.
MODULES = ("locks", "queues", "streams", "tasks", "taskgroups", "threads", "timeouts")

#: What `install()` leaves alone. Futures and tasks that other loops make are of asyncio's classes:
#: `isinstance(future, asyncio.Future)` has to hold for them, and it holds for ours.
KEPT = frozenset({"Future", "Task"})


class Counterpart(NamedTuple):
    """One public name: the module that it belongs to, asyncio's object and ours."""

    module: str
    name: str
    theirs: Any
    ours: Any


def counterparts() -> Iterator[Counterpart]:
    """Every public name of asyncio that is native here."""
    for module in MODULES:
        theirs = _asyncios.get(module)
        if theirs is None:  # a module that the running Python does not have
            continue
        ours = importlib.import_module(f"aioxide.{module}")
        for name in ours.__all__:
            mine = getattr(ours, name)
            original = theirs.get(name)
            if original is not None and mine is not original:
                yield Counterpart(module, name, original, mine)


def _public(module: str) -> dict[str, Any] | None:
    try:
        found = importlib.import_module(f"asyncio.{module}")
    except ModuleNotFoundError:
        return None
    return {name: getattr(found, name) for name in found.__all__}


_asyncios = {module: _public(module) for module in MODULES}


def asyncio_modules() -> list[ModuleType]:
    """asyncio and those of its modules that are imported."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name == "asyncio" or name.startswith("asyncio.")
    ]


def everything() -> dict[str, Any]:
    """asyncio's public names that can be read without a warning, ours where we have one."""
    names = {name: vars(asyncio)[name] for name in asyncio.__all__ if name in vars(asyncio)}
    names.update((counterpart.name, counterpart.ours) for counterpart in counterparts())
    return names


def asyncio_names() -> list[str]:
    """The names in `asyncio.__all__`."""
    return list(asyncio.__all__)


def ask_asyncio(package: str, name: str) -> Any:
    """A name that asyncio itself makes or warns about when it is read, or one of its modules.

    Raises:
        AttributeError: if asyncio has no such name.
    """
    if name in asyncio.__all__:
        return getattr(asyncio, name)
    if not name.startswith("_") and f"asyncio.{name}" in sys.modules:
        return sys.modules[f"asyncio.{name}"]
    message = f"module {package!r} has no attribute {name!r}"
    raise AttributeError(message, name=name)
