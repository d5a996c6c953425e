"""asyncio's `transports`, as it is."""

from asyncio.transports import *  # noqa: F403
from asyncio.transports import __all__ as __all__
