"""``asyncio.timeouts``, natively: a time limit costs no callback and no handle."""

from __future__ import annotations

import asyncio.timeouts
from asyncio.timeouts import *  # noqa: F403
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.timeouts import __all__ as __all__
else:
    import inspect

    from . import _aioxide
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

    dress_methods(Timeout, asyncio.timeouts.Timeout)
    _aioxide._set_timeout_class(Timeout)
    timeout = dress(_aioxide.timeout, asyncio.timeouts.timeout, __name__)
    timeout_at = dress(_aioxide.timeout_at, asyncio.timeouts.timeout_at, __name__)
