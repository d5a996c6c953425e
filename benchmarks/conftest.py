"""The benchmarks are scripts next to each other, not a package: their tests find them here."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import argparse

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def loadgen() -> str:
    """Path of the load generator, built if that is possible here."""
    if shutil.which("cargo") is None:
        pytest.skip("loadgen needs cargo")
    import served

    served.prepare()
    return served.loadgen()


@pytest.fixture
def options() -> argparse.Namespace:
    """What the command line of the suite gives when it is asked for nothing."""
    import suite

    return suite.parser().parse_args([])
