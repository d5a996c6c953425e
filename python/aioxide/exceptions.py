"""asyncio's `exceptions`, as it is."""

from asyncio.exceptions import *  # noqa: F403
from asyncio.exceptions import __all__ as __all__
