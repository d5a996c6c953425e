"""``asyncio.timeouts``, natively: a time limit costs no callback and no handle."""

from __future__ import annotations

import asyncio.timeouts
from asyncio.timeouts import *  # noqa: F403
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.timeouts import __all__ as __all__
else:
    import inspect
    from typing import Any

    from . import _aioxide
    from ._copying import restorable
    from ._functions import dress, dress_methods

    __all__ = asyncio.timeouts.__all__

    class Timeout(_aioxide.TimeoutCore, asyncio.timeouts.Timeout):
        """An async context manager that ends its body when the time is over.

        Made by ``timeout()`` and ``timeout_at()``. The body is cancelled, and TimeoutError raised
        in its place. ``reschedule()`` moves the deadline, ``when()`` tells it, ``expired()``
        whether it has passed.

        Args:
            when: the deadline in seconds of ``loop.time()``; None for none.
        """

        __signature__ = inspect.signature(asyncio.timeouts.Timeout)

        def __setstate__(self, state: dict[str, Any]) -> None:
            """Take the deadline of a timeout that was copied or pickled before it was entered."""
            if state.pop("_state").value != "created":
                message = "cannot copy a Timeout that has been entered"
                raise TypeError(message)
            Timeout.__init__(self, state.pop("_when"))
            for name in ("_timeout_handler", "_task"):
                state.pop(name)
            self.__dict__.update(state)

    dress_methods(Timeout, asyncio.timeouts.Timeout)
    restorable(Timeout, "_state", "_timeout_handler", "_task", "_when", optional=())
    _aioxide._set_timeout_class(Timeout)
    timeout = dress(_aioxide.timeout, asyncio.timeouts.timeout, __name__)
    timeout_at = dress(_aioxide.timeout_at, asyncio.timeouts.timeout_at, __name__)
