"""`aioxide.EventLoopPolicy`, for programs and frameworks that choose a loop by setting a policy.

Policies are a part of asyncio that is going away: up to Python 3.13 they are ordinary, 3.14 and
3.15 warn when the default policy is named, 3.16 has none. So the class is made when somebody asks
for it, on the default policy of the running Python, and asking has the same outcome here as asking
asyncio for `DefaultEventLoopPolicy`: the class, the class and a DeprecationWarning, or an
AttributeError.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import warnings
from asyncio import unix_events
from typing import Any

from .events import EventLoop

_PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_INSTEAD = "use aioxide.run(), or aioxide.new_event_loop as a loop_factory"


def default_policy() -> tuple[Any, bool]:
    """asyncio's default policy class (None where policies are gone), and whether it is deprecated.

    A deprecated name lives behind the module `__getattr__` of asyncio and warns when it is read;
    the class itself is then read under its private name, which is silent.
    """
    plain = vars(asyncio).get("DefaultEventLoopPolicy")
    if plain is not None:
        return plain, False
    return vars(unix_events).get("_DefaultEventLoopPolicy"), True


@functools.cache
def policy_class() -> Any:
    """Our policy, without the warning. Raises AttributeError where asyncio has no policies."""
    base, _ = default_policy()
    if base is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        message = (
            f"module 'aioxide' has no attribute 'EventLoopPolicy': asyncio of Python {version} "
            f"has no event loop policies any more; {_INSTEAD}"
        )
        raise AttributeError(message, name="EventLoopPolicy")
    namespace = {
        "__module__": "aioxide",
        "__doc__": "asyncio's default policy, except that its loops are aioxide's.",
        "_loop_factory": EventLoop,
    }
    return type(base)("EventLoopPolicy", (base,), namespace)


def _warn() -> None:
    message = (
        "'aioxide.EventLoopPolicy' is deprecated, as asyncio's event loop policies are, and "
        f"goes away with them in Python 3.16; {_INSTEAD}"
    )
    if sys.version_info >= (3, 12):
        # The line to blame is the first one outside this package, however the name was reached.
        warnings.warn(message, DeprecationWarning, skip_file_prefixes=(_PACKAGE,))
    else:
        warnings.warn(message, DeprecationWarning, stacklevel=3)


def __getattr__(name: str) -> Any:
    if name != "EventLoopPolicy":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name)
    policy = policy_class()
    if default_policy()[1]:
        _warn()
    return policy
