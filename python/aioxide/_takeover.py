"""What `install()` puts in place of other event loops that a program or a library asks for by name.

Servers choose a loop themselves: uvicorn's factory is ``asyncio.SelectorEventLoop``, or
``uvloop.new_event_loop`` if uvloop is installed. Each of these names makes an aioxide loop while
`install()` is in force. A loop class is replaced by a *loop name*, a class that behaves as follows:

* calling it without arguments makes an aioxide loop; with arguments, which only the original
  understands (``SelectorEventLoop(selector)``), it makes the original;
* ``isinstance`` and ``issubclass`` accept the original's instances and subclasses, and aioxide's;
* a class derived from it derives from the original, because its methods may count on the
  original's internals. Running a loop of such a class is reported (`_report`);
* attributes set on it are set on `aioxide.EventLoop`, so that a patch reaches the running loops.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import sys
from typing import TYPE_CHECKING, Any

from .events import NO_NESTED_RUNS, EventLoop
from .runners import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ("ImportHook", "loop_name", "other_loop_plan")

#: Packages whose loops are replaced, as soon as a program imports them.
OTHER_LOOPS = ("uvloop", "rloop", "zuvloop")
#: Packages that make asyncio's loops run inside themselves.
NESTERS = ("nest_asyncio", "nest_asyncio2")
PATCHED_ON_IMPORT = (*OTHER_LOOPS, *NESTERS)
#: Names under which these packages have their loop classes.
_CLASS_NAMES = ("Loop", "RLoop", "EventLoop")


class _LoopName(abc.ABCMeta):
    """The class of a loop name. ABCMeta, so that it combines with abstract base classes."""

    _original: type

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:
        """Make a loop name, or, for a class statement that derives from one, an ordinary class."""
        if not any(isinstance(base, _LoopName) for base in bases):
            return super().__new__(mcs, name, bases, namespace, **keywords)
        originals = tuple(b._original if isinstance(b, _LoopName) else b for b in bases)
        metaclass = type(originals[0])
        for base in originals[1:]:
            if issubclass(type(base), metaclass):
                metaclass = type(base)
        return metaclass(name, originals, namespace, **keywords)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an aioxide loop, or with arguments the original."""
        if args or kwargs:
            return cls._original(*args, **kwargs)
        return EventLoop()

    def __instancecheck__(cls, instance: Any) -> bool:
        """Accept aioxide's loops and the original's."""
        return isinstance(instance, (EventLoop, cls._original))

    def __subclasscheck__(cls, subclass: type) -> bool:
        """Accept subclasses of aioxide's loop and of the original."""
        return subclass is cls or issubclass(subclass, (EventLoop, cls._original))

    def __setattr__(cls, name: str, value: Any) -> None:
        """Set an attribute on `aioxide.EventLoop`, which makes the loops."""
        if name.startswith(("__", "_abc_")):
            super().__setattr__(name, value)
        else:
            setattr(EventLoop, name, value)

    def __delattr__(cls, name: str) -> None:
        """Delete an attribute from `aioxide.EventLoop`."""
        delattr(EventLoop, name)


def loop_name(original: type) -> Any:
    """Return the loop name that replaces a loop class: the same one for the same class."""
    made = _made.get(original)
    if made is None:
        namespace = {
            "__module__": "aioxide",
            "__doc__": f"Makes aioxide's loop in place of {original.__module__}'s, by install().",
            "_original": original,
        }
        # From its base it has what a program reads of a loop class: methods, signatures.
        made = _made[original] = _LoopName(original.__name__, (EventLoop,), namespace)
    return made


_made: dict[type, Any] = {}


def other_loop_plan(module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
    """Yield what to replace in a package of another event loop, as (owner, name, ours)."""
    names = vars(module)
    if module.__name__ in NESTERS:
        yield module, "apply", _refusing_apply(module)
        return
    if "new_event_loop" in names:
        yield module, "new_event_loop", new_event_loop
    for name in _CLASS_NAMES:
        found = names.get(name)
        if isinstance(found, _LoopName):
            yield module, name, found
        elif isinstance(found, type) and issubclass(found, asyncio.AbstractEventLoop):
            yield module, name, loop_name(found)
    # Its default was bound when the package was imported.
    run = names.get("run")
    defaults = getattr(run, "__kwdefaults__", None)
    if defaults and "loop_factory" in defaults:
        yield defaults, "loop_factory", new_event_loop


def _refusing_apply(module: ModuleType) -> Any:
    """Return an `apply` that raises RuntimeError before it has changed anything.

    The original replaces `asyncio.run` first, and looks at the loop last.
    """
    original = module.apply
    if getattr(original, "_refuses", False):
        return original

    @functools.wraps(original)
    def apply(loop: Any = None, **options: Any) -> Any:
        asked = loop or asyncio._get_running_loop()
        if asked is None or isinstance(asked, EventLoop):
            raise RuntimeError(NO_NESTED_RUNS)
        return original(loop, **options)

    vars(apply)["_refuses"] = True
    return apply


class ImportHook:
    """A finder on `sys.meta_path` that calls a function with a module when it has been executed.

    It finds nothing itself: it asks the finders behind it, and passes on their answer.
    """

    def __init__(self, names: tuple[str, ...], imported: Callable[[ModuleType], None]) -> None:
        self._names = names
        self._imported = imported

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec that the other finders have, with a loader that tells when it is done."""
        if name not in self._names:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if find is None or isinstance(finder, ImportHook):
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            self._imported(module)

        # On the instance: the loader of a module keeps its class, which resource readers look at.
        loader.exec_module = exec_module
