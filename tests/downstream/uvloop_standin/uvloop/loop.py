"""The names of uvloop's extension module."""

from __future__ import annotations

import asyncio
import os

import aioxide

Loop: type[asyncio.AbstractEventLoop] = aioxide.EventLoop
if os.environ.get("AIOXIDE_DOWNSTREAM_IMPLEMENTATION") == "asyncio":
    Loop = asyncio.SelectorEventLoop

__all__ = ("Loop",)
