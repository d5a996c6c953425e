"""Python's asyncio, rebuilt in Rust.

Importing this package changes nothing. Run a program on it with ``aioxide.run(main())``, with
``asyncio.run(main(), loop_factory=aioxide.new_event_loop)``, or unmodified with
``python -m aioxide app.py``. Every public name of ``asyncio`` is here too, so that
``import aioxide as asyncio`` is a way in as well.
"""

from __future__ import annotations

import sys


def _refuse(why: str) -> None:
    # `python -m aioxide`, and the console script: one line instead of a traceback.
    if sys.argv[:1] == ["-m"] or (sys.argv[:1] and sys.argv[0].endswith("/bin/aioxide")):
        sys.stderr.write(why + "\n")
        raise SystemExit(2)
    raise ImportError(why)


if sys.version_info < (3, 11):  # noqa: UP036 - for one clear line instead of a SyntaxError
    _refuse("aioxide needs Python 3.11 or newer, this is {}.{}".format(*sys.version_info[:2]))
if "t" in getattr(sys, "abiflags", ""):
    # Such a build has other objects, whatever PYTHON_GIL says, and nothing here was tested on it.
    _refuse("aioxide does not support free-threaded builds of Python yet, and this is one")

from typing import Any

from . import _namespace

# After asyncio, which _namespace has imported: whoever loads `_asyncio` before it leaves it with
# the Python versions of its classes.
try:
    from ._aioxide import __version__ as __version__
except ImportError as _error:
    from . import _broken

    _broken.diagnose_for_doctor(_error)
    _refuse(_broken.sentence(_error))

from . import _aioxide
from . import _introspection as _introspection
from ._aioxide import Future as Future
from ._aioxide import Handle as Handle
from ._aioxide import Task as Task
from ._aioxide import TimerHandle as TimerHandle
from .events import EventLoop as EventLoop
from .install import install as install
from .install import installed as installed
from .install import uninstall as uninstall
from .queues import QueueShutDown as QueueShutDown
from .runners import Runner as Runner
from .runners import new_event_loop as new_event_loop
from .runners import run as run

# asyncio's names, native ones in place of some: __init__.pyi spells them out. What is imported
# above and what is looked up below comes first.
globals().update(_namespace.everything() | globals())

_aioxide._connect_package()

__all__ = sorted(
    {
        *_namespace.asyncio_names(),
        "EventLoop",
        "Future",
        "Handle",
        "QueueShutDown",
        "Runner",
        "Task",
        "TimerHandle",
        "__version__",
        "install",
        "installed",
        "new_event_loop",
        "run",
        "uninstall",
    }
)


def __getattr__(name: str) -> Any:
    """What asyncio deprecates, and what few need, is only looked up when it is asked for."""
    if name in {"Path", "files", "open"}:  # not in __all__: `import *` must not hide the builtin
        import importlib

        files = importlib.import_module(".files", __name__)
        return files if name == "files" else getattr(files, name)
    if name == "EventLoopPolicy":
        from . import policy

        return policy.EventLoopPolicy
    return _namespace.ask_asyncio(__name__, name)
