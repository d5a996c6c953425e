"""asyncio's `protocols`, as it is."""

from asyncio.protocols import *  # noqa: F403
from asyncio.protocols import __all__ as __all__
