"""``asyncio.threads``: as it is, since a call in another thread costs more than the call of it."""

from __future__ import annotations

from asyncio.threads import *  # noqa: F403
from asyncio.threads import __all__ as __all__
