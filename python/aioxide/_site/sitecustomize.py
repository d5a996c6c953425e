"""Runs a child process of `aioxide run` on aioxide: Python imports this module when it starts.

`aioxide run` puts this folder on PYTHONPATH, where every Python finds it: the code below is valid
in Python 2 as well. It takes the folder off `sys.path`, and imports the sitecustomize that Python
would have found without it, so that the process sees the path, and the modules, that it would have
without `aioxide run`.
"""

import os
import sys

if "AIOXIDE_RUN" in os.environ and sys.version_info >= (3, 11):
    import _aioxide_child  # type: ignore[import-not-found]

    _aioxide_child.watch()
    del sys.modules["_aioxide_child"]

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]
# The import system returns the module that it finds under this name at the end. If there is none,
# Python's site module takes the ImportError for that, as it does without us.
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
