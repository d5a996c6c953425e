"""A pytest plugin: which members of loops, transports and protocols did which test files call?

    python -m pytest -p scripts.compatibility_recorder --implementation aioxide tests/core tests/net

Calls are seen by the interpreter's profiling hook, native ones as well, so nothing is wrapped and
a test meets what a program meets. Native coroutine functions are no functions to that hook; they
are seen by `sys.monitoring` (Python 3.12 and newer). Only calls on objects of aioxide count, and on
protocols that one of our transports calls. The result goes to the file named in
AIOXIDE_COMPATIBILITY_RECORD.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType, MethodType
from typing import TYPE_CHECKING, Any

import pytest

from aioxide import _aioxide

if TYPE_CHECKING:
    from collections.abc import Callable

#: The Python methods of asyncio that run on a loop of ours, by the class that defines them.
_INHERITED = ("BaseEventLoop.", "AbstractEventLoop.")
_PROTOCOLS = (asyncio.BaseProtocol,)


class Recorder:
    """Remembers (class, member) for each test file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[str, set[str]] = defaultdict(set)
        self.file = ""

    def profile(self, frame: FrameType, event: str, called: Any) -> None:
        """The hook: as little as possible, since it runs at every call."""
        if event == "c_call":
            owner = getattr(called, "__self__", None)
            if owner is not None and type(owner).__module__.startswith("aioxide"):
                self.seen[f"{kind_of(owner)}.{called.__name__}"].add(self.file)
        elif event == "call":
            code = frame.f_code
            name = code.co_qualname
            if name.startswith(_INHERITED) or "aioxide" in code.co_filename:
                owner = frame.f_locals.get("self")
                if owner is not None and type(owner).__module__.startswith("aioxide"):
                    self.seen[f"{kind_of(owner)}.{code.co_name}"].add(self.file)
            elif code.co_name in PROTOCOL_MEMBERS and code.co_argcount:
                owner = frame.f_locals.get(code.co_varnames[0])
                if isinstance(owner, _PROTOCOLS):
                    self.seen[f"protocol.{code.co_name}"].add(self.file)

    def call(self, _code: CodeType, _offset: int, called: Any, first: object) -> None:
        """The other hook: methods without a frame and without a built-in function's type."""
        owner = first
        if isinstance(called, MethodType):
            called, owner = called.__func__, called.__self__
        if type(called) is _aioxide.Function and type(owner).__module__.startswith("aioxide"):
            self.seen[f"{kind_of(owner)}.{called.__name__}"].add(self.file)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        """Look while the test itself runs, in every thread that it starts."""
        self.file = item.nodeid.partition("::")[0]
        threading.setprofile(self.profile)
        sys.setprofile(self.profile)
        self._monitor(self.call)
        try:
            return (yield)
        finally:
            self._monitor(None)
            sys.setprofile(None)
            threading.setprofile(None)

    @staticmethod
    def _monitor(hook: Callable[..., None] | None) -> None:
        if sys.version_info < (3, 12):
            return
        monitoring = sys.monitoring
        tool, calls = monitoring.PROFILER_ID, monitoring.events.CALL
        if hook is not None:
            monitoring.use_tool_id(tool, __name__)
        monitoring.register_callback(tool, calls, hook)
        monitoring.set_events(tool, calls if hook is not None else 0)
        if hook is None:
            monitoring.free_tool_id(tool)

    def pytest_sessionfinish(self) -> None:
        """Write what was seen."""
        record = {member: sorted(files) for member, files in sorted(self.seen.items())}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


PROTOCOL_MEMBERS = {
    name
    for kind in (
        asyncio.Protocol,
        asyncio.BufferedProtocol,
        asyncio.DatagramProtocol,
        asyncio.SubprocessProtocol,
    )
    for name in dir(kind)
    if not name.startswith("_")
}


def kind_of(owner: object) -> str:
    """Loop, or the name of the class: derived loops are loops."""
    if isinstance(owner, asyncio.AbstractEventLoop):
        return "EventLoop"
    return type(owner).__name__


def pytest_configure(config: pytest.Config) -> None:
    """Start recording, where a file was named."""
    path = os.environ.get("AIOXIDE_COMPATIBILITY_RECORD")
    if path:
        config.pluginmanager.register(Recorder(Path(path)), "compatibility-recorder")
