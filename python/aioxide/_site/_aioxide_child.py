"""Installs aioxide in a child process of `aioxide run`: what `sitecustomize` starts.

Nothing is imported until the process imports asyncio, since most child processes never do.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def watch() -> None:
    """Install aioxide when asyncio is imported, if aioxide was built for this Python."""
    # The bare suffixes, .so and .abi3.so, name no version.
    tagged = (suffix for suffix in EXTENSION_SUFFIXES if "cpython" in suffix)
    if any(os.path.exists(os.path.join(_PACKAGE, f"_aioxide{suffix}")) for suffix in tagged):
        sys.meta_path.insert(0, _Watcher())


class _Watcher:
    """Installs aioxide when asyncio, or aioxide itself, has been imported for the first time.

    The same idea as `aioxide._takeover.ImportHook`, which cannot be imported this early: it
    imports asyncio, and most child processes never do.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in ("asyncio", "aioxide"):
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if find is None or isinstance(finder, _Watcher):
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                if name == "aioxide" and not self._is_ours(spec):
                    self._end()
                else:
                    self._watch(spec.loader, name)
                return spec
        return None

    @staticmethod
    def _is_ours(spec: ModuleSpec) -> bool:
        origin = spec.origin
        return origin is not None and os.path.dirname(os.path.abspath(origin)) == _PACKAGE

    def _watch(self, loader: Any, name: str) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            if name == "aioxide":
                self._install()
            elif "aioxide" not in sys.modules:  # else aioxide is what imports asyncio
                self._import_aioxide()

        loader.exec_module = exec_module

    def _import_aioxide(self) -> None:
        # Found as the process would find it: an environment without aioxide has none.
        from importlib.util import find_spec

        spec = find_spec("aioxide")
        if spec is None or not self._is_ours(spec):
            self._end()
            return
        try:
            import aioxide  # noqa: F401 - comes back to _install
        except Exception as error:
            self._end()
            if sys.stderr is not None:
                sys.stderr.write(f"aioxide: this process runs on asyncio: {error}\n")

    def _install(self) -> None:
        self._end()
        from aioxide import _inherit, _report
        from aioxide.install import install

        keep_loop, quiet = _inherit.settings()
        _report.show(not quiet)
        install(loop=not keep_loop)

    def _end(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
