"""The benchmarks are scripts next to each other, not a package: their tests find them here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
