"""asyncio's `coroutines`, as it is."""

from asyncio.coroutines import *  # noqa: F403
from asyncio.coroutines import __all__ as __all__
