"""The JSON record of a run: every test, for `docs/compatibility.md` and for comparing runs."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .report import totals

if TYPE_CHECKING:
    from .verdicts import ModuleReport

FORMAT = 1


def write_record(
    path: Path, implementation: str, version: str, seconds: float, reports: Sequence[ModuleReport]
) -> None:
    """Write the record. Modules and tests are in the order of their names."""
    record = {
        "format": FORMAT,
        "implementation": implementation,
        "version": version,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "seconds": round(seconds, 1),
        "totals": asdict(totals(reports)),
        "modules": [
            {
                "module": report.module,
                "gated": report.gated,
                "seconds": round(report.seconds, 2),
                "tests": [
                    asdict(judged) for judged in sorted(report.tests, key=lambda each: each.test)
                ],
            }
            for report in sorted(reports, key=lambda each: each.module)
        ],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
