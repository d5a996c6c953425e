"""What a record says about where it was made: enough to judge it, nothing that names a host."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import resource
import shlex
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from implementations import IMPLEMENTATIONS


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def build_flags() -> list[str]:
    """The configure options of this Python, without those that are paths of the build machine."""
    arguments = shlex.split(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return [each for each in arguments if each.startswith("--") and "/" not in each]


def python_record() -> dict[str, Any]:
    flags = build_flags()
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        # Whoever calls `make profile-opt` by hand, as distributions do, leaves no trace of it.
        "pgo": True if "--enable-optimizations" in flags else None,
        "lto": True if any(each.startswith("--with-lto") for each in flags) else None,
        "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
        "debug": hasattr(sys, "gettotalrefcount"),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "configure": flags,
    }


def version_of(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Machine, kernel, Python and packages, now; with these libraries beside the event loops."""
    versions = {
        each.module: each.version() for each in IMPLEMENTATIONS.values() if each.name != "asyncio"
    } | {name: version_of(name) for name in libraries}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu_model(),
            "cpus": os.cpu_count(),
            "allowed_cpus": sorted(os.sched_getaffinity(0)),
            "architecture": platform.machine(),
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "kernel": f"{platform.system()} {platform.release()}",
            "libc": " ".join(platform.libc_ver()),
        },
        "python": python_record(),
        "packages": {name: version for name, version in versions.items() if version},
    }


def short_description(record: dict[str, Any]) -> str:
    """The same in one line, for the head of a table."""
    python = record["python"]
    flags = ["PGO" if python["pgo"] else "PGO not stated"]
    flags += [each for each in ("shared", "debug", "free_threaded") if python[each]]
    machine = record["machine"]
    return (
        f"{python['implementation']} {python['version']} ({', '.join(flags)}), "
        f"{machine['cpus']} x {machine['cpu']}, {machine['kernel']}"
    )


class Neighbours:
    """How much of the machine others used between two moments: the reason to doubt a figure."""

    def __init__(self) -> None:
        self._load = os.getloadavg()
        self._began = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float, float]:
        """Seconds of wall time, CPU time of all processes, stolen time, CPU time of our own."""
        # user nice system idle iowait irq softirq steal; guest time is already in user.
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        ticks = [int(each) / os.sysconf("SC_CLK_TCK") for each in fields]
        own = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        busy = sum(ticks) - ticks[3] - ticks[4] - ticks[7]
        return time.monotonic(), busy, ticks[7], own

    def record(self) -> dict[str, Any]:
        """Load averages, and shares of all cores used by others and stolen by the host."""
        before, now = self._began, self._read()
        wall, busy, stolen, own = (b - a for a, b in zip(before, now, strict=True))
        capacity = max(wall, 1e-9) * (os.cpu_count() or 1)
        return {
            "load_average": {"before": list(self._load), "after": list(os.getloadavg())},
            "used_by_others": round(max(0.0, busy - own) / capacity, 4),
            "stolen": round(stolen / capacity, 4),
            "seconds": round(wall, 1),
        }
