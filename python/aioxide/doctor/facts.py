"""What can be read without trying anything: the Python, aioxide, the system."""

from __future__ import annotations

import asyncio.events
import os
import platform
import resource
import sys
import sysconfig
from importlib import metadata
from typing import Any

from .. import __version__, _aioxide
from ..install import installed


def aioxide() -> dict[str, Any]:
    """Which aioxide this is, and what it was built for."""
    extension = _aioxide.__file__ or ""
    # _aioxide.cpython-313-x86_64-linux-gnu.so: the word in the middle names Python and platform.
    _, _, rest = os.path.basename(extension).partition(".")
    built_for, _, _ = rest.rpartition(".")
    return {
        "version": __version__,
        "installed_version": distribution_version("aioxide"),
        "package": os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        "extension": extension,
        "built_for": built_for,
    }


def distribution_version(name: str) -> str | None:
    """The version of an installed package, which is not imported; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def python() -> dict[str, Any]:
    """The interpreter, and how it was built, as far as it tells."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS")
    gil = getattr(sys, "_is_gil_enabled", lambda: True)
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "executable": sys.executable or None,
        "soabi": sysconfig.get_config_var("SOABI"),
        "debug": hasattr(sys, "gettotalrefcount"),
        "gil": gil(),
        # Both are unknown where the arguments of `configure` were not kept.
        "pgo": None if arguments is None else "--enable-optimizations" in arguments,
        "lto": None if arguments is None else "--with-lto" in arguments,
    }


def system() -> dict[str, Any]:
    """The kernel, the C library, the processors."""
    libc = " ".join(platform.libc_ver()).strip()
    return {
        "name": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": libc or None,
        "cpus": len(os.sched_getaffinity(0)),
    }


def descriptors() -> dict[str, Any]:
    """How many descriptors this process may have open; None is without a limit."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (None if limit == resource.RLIM_INFINITY else limit for limit in limits)
    return {"soft": soft, "hard": hard}


def in_force() -> dict[str, Any]:
    """What asyncio would do in this process, after `install()` or with somebody's policy."""
    # Asking asyncio for its policy makes one, and warns from 3.14 on; there is none from 3.16 on.
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    try:
        loop = asyncio.new_event_loop()
    except Exception as error:  # the policy is somebody else's code
        default_loop = f"{type(error).__name__}: {error}"
    else:
        loop.close()
        default_loop = _name_of(loop)
    return {
        "aioxide_installed": installed(),
        "uvloop_installed": policy is not None and type(policy).__module__.startswith("uvloop"),
        "policy": None if policy is None else _name_of(policy),
        "default_loop": default_loop,
    }


def _name_of(thing: object) -> str:
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"
