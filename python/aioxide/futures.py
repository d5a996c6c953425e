"""asyncio's `futures`, with our Future."""

from asyncio.futures import *  # noqa: F403
from asyncio.futures import __all__ as __all__

from ._aioxide import Future as Future
