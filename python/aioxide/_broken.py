"""What can be said of an extension that cannot be imported. It imports nothing of the package.

`aioxide doctor` reports it as a finding: that is the command for an aioxide that does not work.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from typing import Any

__all__ = ("diagnose_for_doctor", "sentence")

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PREFIX = "_aioxide."


def sentence(error: ImportError) -> str:
    """Say in one line why the extension cannot be imported, and what helps."""
    version = "{}.{}".format(*sys.version_info[:2])
    if error.name == "aioxide._aioxide" and isinstance(error, ModuleNotFoundError):
        others = [name.split(".")[1] for name in _extensions()]
        found = f" (there is one for {', '.join(others)})" if others else ""
        return (
            f"aioxide's extension was not built for this Python, {version}{found}: install aioxide "
            "with it, or run `make build` in the source repository"
        )
    text = " ".join(str(error).split())
    if "subinterpreter" in text:  # ours for a legacy one, Python's for one with a GIL of its own
        return "aioxide works in the main interpreter only, and this is a subinterpreter"
    return f"aioxide's extension cannot be loaded: {text}; install aioxide again with this Python"


def diagnose_for_doctor(error: ImportError) -> None:
    """If this process is `aioxide doctor`, print the finding and end with exit code 1."""
    words = _doctors_words()
    if words is None:
        return
    report = _report(error)
    if "--json" in words:
        text = json.dumps(report, indent=2)
    else:
        python = report["python"]
        lines = {
            "package": report["aioxide"]["package"],
            "extension": ", ".join(_extensions()) or "none",
            "Python": f"{python['implementation']} {python['version']} ({python['soabi']})",
            "executable": python["executable"] or "unknown",
            "self test": f"failed: {report['self_test']['errors']['import']}",
        }
        text = "\n".join(f"{name:<15} {value}" for name, value in lines.items())
    if sys.stdout is not None:
        sys.stdout.write(text + "\n")
    raise SystemExit(1)


def _doctors_words() -> list[str] | None:
    """Return the arguments of `aioxide doctor`; None if this process is something else."""
    first, *words = sys.argv or [""]
    # "-m" stands in for the file while Python looks for a module.
    if os.path.basename(first) in ("aioxide", "-m") and words[:1] == ["doctor"]:
        return words[1:]
    # `python -m aioxide.doctor`: its name is in none of the words that are left.
    if first == "-m" and "aioxide.doctor" in sys.orig_argv:
        return words
    return None


def _extensions() -> list[str]:
    names = os.listdir(_FOLDER)
    return sorted(name for name in names if name.startswith(_PREFIX) and name.endswith(".so"))


def _report(error: ImportError) -> dict[str, Any]:
    """Return the keys of the doctor's report that are known without the extension."""
    return {
        "format": 1,
        "aioxide": {"package": _FOLDER, "extension": None, "extensions": _extensions()},
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "executable": sys.executable or None,
            "soabi": sysconfig.get_config_var("SOABI"),
        },
        "self_test": {"passed": False, "errors": {"import": sentence(error)}},
    }
