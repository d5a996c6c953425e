"""What the kernel lets this process do, by doing it.

A version number tells little: containers, sandboxes and administrators take away what a kernel has.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..files import backend
from . import ring

_DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
_STATUS = Path("/proc/self/status")
# The number of epoll_pwait2 where aioxide is built for; it was added after numbers became common.
_EPOLL_PWAIT2 = 441
# The same aioxide, wherever this process has found it.
_ATTEMPT = f"""\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from {ring.__name__} import attempt
print(json.dumps(attempt()))
"""
# A probe takes a fraction of a second; the start of a Python on a busy machine may take more.
_PATIENCE_S = 60


def io_uring() -> dict[str, Any]:
    """Whether a read by io_uring works in a process like this one; if not, why."""
    sysctl = _sysctl()
    error = _probe()
    reason = None if error is None else explain(error, sysctl, filtered=_is_filtered())
    return {
        "available": error is None,
        "error": error and error.get("name"),
        "reason": reason,
        "sysctl_disabled": sysctl,
    }


def _probe() -> dict[str, Any] | None:
    """What went wrong with io_uring, None if nothing. A filter may kill the process that tries."""
    if not sys.executable:
        return {"text": "not tried, since this Python does not know its executable"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ATTEMPT, json.dumps(sys.path)],
            env=os.environ | {"AIOXIDE_FILES": "uring"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return {"text": f"could not be tried: {failure}"}
    if done.returncode < 0:
        return {"text": f"the attempt was killed by {signal.Signals(-done.returncode).name}"}
    try:
        answer: dict[str, Any] | None = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"text": f"could not be tried: {''.join(last) or 'no answer'}"}
    return answer


def explain(error: dict[str, Any], sysctl: int | None, *, filtered: bool) -> str:
    """Why there is no io_uring.

    Args:
        error: `name` of the errno, if there was one, and its `text`.
        sysctl: the value of kernel.io_uring_disabled, None where there is no such setting.
        filtered: whether a seccomp filter is on this process.
    """
    name = error.get("name")
    if name == "EPERM" and sysctl == 2:
        return "switched off on this machine (sysctl kernel.io_uring_disabled = 2)"
    if name == "EPERM" and sysctl == 1:
        return "for privileged processes only (sysctl kernel.io_uring_disabled = 1)"
    if name == "EPERM":
        who = "a seccomp filter, as containers have one" if filtered else "a security policy"
        return f"forbidden, probably by {who}"
    if name == "ENOSYS":
        return "this kernel has none, or a sandbox hides it"
    if name == "ENOMEM":
        return "not enough lockable memory (ulimit -l)"
    return str(error["text"])


def _sysctl() -> int | None:
    try:
        return int(_DISABLED.read_text())
    except (OSError, ValueError):
        return None


def _is_filtered() -> bool:
    try:
        return "\nSeccomp:\t2\n" in _STATUS.read_text()
    except OSError:
        return False


def files() -> dict[str, Any]:
    """What makes the operations of `aioxide.files` here, and whether AIOXIDE_FILES decided that."""
    wanted = os.environ.get("AIOXIDE_FILES") or None
    try:
        return {"backend": backend(), "wanted": wanted, "error": None}
    except (OSError, ValueError) as error:
        return {"backend": None, "wanted": wanted, "error": str(error)}


def polling() -> dict[str, Any]:
    """The system calls for which there is a second choice."""
    return {"epoll": True, "epoll_pwait2": has_epoll_pwait2(), "pidfd": has_pidfd()}


def has_pidfd() -> bool:
    """Whether the kernel gives descriptors for processes; if not, a thread waits for each."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def has_epoll_pwait2() -> bool | None:
    """Whether timers count in nanoseconds, not in milliseconds; None if that is not known."""
    try:
        import ctypes  # absent from some small builds of Python

        call = ctypes.CDLL(None, use_errno=True).syscall
    except (ImportError, OSError, AttributeError):
        return None
    # With a descriptor that is none: whoever looks at it has the call.
    nothing = ctypes.c_void_p(None)
    call.restype = ctypes.c_long
    call(
        ctypes.c_long(_EPOLL_PWAIT2),
        ctypes.c_long(-1),
        nothing,
        ctypes.c_long(1),
        nothing,
        nothing,
        ctypes.c_long(0),
    )
    return ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)
