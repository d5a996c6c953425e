"""Streams of both kinds, on loops of both kinds."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


@pytest.fixture(params=["asyncio", "aioxide"])
def streams(request: pytest.FixtureRequest) -> Any:
    """The module of streams under test; with `loop` a matrix of streams and loops."""
    if request.config.getoption("--implementation") == "asyncio" and request.param != "asyncio":
        pytest.skip("asked for asyncio only")
    return importlib.import_module(f"{request.param}.streams")
