"""Start the runner, or one of its child processes, from the path of this file alone.

The tests must see `sys.path` as any program sees it: neither the repository nor this folder may be
on it, or a file of ours could shadow a module of the standard library. So the package is loaded
from its place, under a name of its own, and `sys.path` is left alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "aioxide_conformance"


def load_package() -> None:
    """Make this folder importable as `PACKAGE`."""
    spec = importlib.util.spec_from_file_location(
        PACKAGE, HERE / "__init__.py", submodule_search_locations=[str(HERE)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {HERE}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Run a child process if the first argument says so, the command line otherwise."""
    if sys.path and Path(sys.path[0] or ".").resolve() == HERE:
        del sys.path[0]
    load_package()
    if sys.argv[1:2] == ["--child"]:
        child = importlib.import_module(f"{PACKAGE}.child")
        return int(child.main(Path(sys.argv[2])))
    cli = importlib.import_module(f"{PACKAGE}.cli")
    return int(cli.main())


if __name__ == "__main__":
    sys.exit(main())
