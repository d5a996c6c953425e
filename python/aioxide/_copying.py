"""`copy` and `pickle` of what asyncio keeps in an instance dict and we keep natively.

asyncio's locks, queues, streams and timeouts are ordinary Python objects: `copy` and `pickle` take
their instance dict. The native halves have the same attributes, so the same dict is made of them,
and assigned back. What asyncio cannot pickle (a waiter, a task, a loop) is in that dict too, and
refuses as it does there.

A pickle names our class, so it loads where aioxide is installed. The state has asyncio's names: a
pickle that stock asyncio made loads as ours after `install()`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["restorable", "unpicklable"]


def restorable(cls: type, *names: str, optional: tuple[str, ...] = ("_loop",)) -> None:
    """Let instances of a class, and of its subclasses, be copied and pickled.

    Args:
        cls: the class, which is changed.
        names: the attributes that asyncio's instances have in their dict.
        optional: more of them, which are there only if they are not None.
    """
    native = frozenset((*names, *optional))

    def __getstate__(self: Any) -> Any:
        """Return the instance dict that asyncio's object would have."""
        own: Any = object.__getstate__(self)
        slots: dict[str, Any] | None = None
        if isinstance(own, tuple):
            own, slots = own
        state = {name: getattr(self, name) for name in names}
        for name in optional:
            value = getattr(self, name)
            if value is not None:
                state[name] = value
        state.update(own or {})
        return state if slots is None else (state, slots)

    def __setstate__(self: Any, state: Any) -> None:
        """Assign the attributes of such a dict."""
        slots: dict[str, Any] = {}
        if isinstance(state, tuple):
            state, slots = state
        own = getattr(self, "__dict__", {})
        for name, value in (state or {}).items():
            if name in native:
                setattr(self, name, value)
            else:
                own[name] = value
        for name, value in (slots or {}).items():
            setattr(self, name, value)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        """Reduce as protocol 2 does: the older ones take the native half for the whole object."""
        return object.__reduce_ex__(self, max(protocol, 2))

    for function in (__getstate__, __setstate__, __reduce_ex__):
        function.__module__ = cls.__module__
        function.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
        if function.__name__ not in vars(cls):
            setattr(cls, function.__name__, function)


def unpicklable(cls: type) -> None:
    """Refuse, with TypeError on every protocol, to copy or pickle instances of a class.

    Args:
        cls: the class, which is changed.
    """

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        """Raise TypeError."""
        message = f"cannot pickle {type(self).__name__!r} object"
        raise TypeError(message)

    __reduce_ex__.__qualname__ = f"{cls.__qualname__}.__reduce_ex__"
    __reduce_ex__.__module__ = cls.__module__
    cls.__reduce_ex__ = __reduce_ex__  # type: ignore[assignment]
