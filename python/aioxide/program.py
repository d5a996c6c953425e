"""Run a program as `python` does for the same words on its command line.

`-m`, directories and zip files go through the function of runpy that the interpreter itself calls
for them; scripts, `-c` and `-` are a few lines here. What a program can see is set as python sets
it: `sys.argv`, `sys.path[0]`, the names in `__main__`, exit codes, tracebacks.

`__main__` is a fresh module that stays `sys.modules["__main__"]` until the process ends: threads,
atexit functions and pickle look for it there after the program's last line.
"""

from __future__ import annotations

import builtins
import functools
import importlib.machinery
import io
import linecache
import os
import pkgutil
import runpy
import sys
import textwrap
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("find_script", "is_program", "run_command", "run_module", "run_stdin")


def run_module(name: str, args: Sequence[str]) -> None:
    """`python -m name args`."""
    # "-m" stands in for the file name until the module has been found.
    sys.argv[:] = ["-m", *args]
    _set_first_path(_current_directory())
    _fresh_main()
    _in_place_of_python(lambda: _run_module_as_main(name))


def run_command(code: str, args: Sequence[str]) -> None:
    """`python -c code args`."""
    sys.argv[:] = ["-c", *args]
    _set_first_path("")
    if sys.version_info >= (3, 14):
        code = textwrap.dedent(code)
    if sys.version_info >= (3, 13):
        # There the lines of the program are in its tracebacks.
        lines = code.splitlines(keepends=True)
        linecache.cache["<string>"] = (len(code), None, lines, "<string>")
    namespace = _fresh_main()
    _in_place_of_python(lambda: exec(_compile(code, "<string>"), namespace))


def run_stdin(args: Sequence[str]) -> None:
    """`python - args`, for a program that comes through a pipe."""
    sys.argv[:] = ["-", *args]
    _set_first_path("")
    namespace = _fresh_main(file="<stdin>")
    _in_place_of_python(lambda: exec(_compile(_standard_input(), "<stdin>"), namespace))


def is_program(name: str) -> bool:
    """Tell whether `python name` would find a program of this name.

    A folder without a `__main__` is none, and neither is a file that only the system can execute:
    a binary, or a script whose first line names something else than Python.
    """
    if os.path.isdir(name):
        return any(os.path.isfile(os.path.join(name, "__main__" + end)) for end in (".py", ".pyc"))
    try:
        with open(name, "rb") as file:
            start = file.readline(4096)
            executable = os.access(name, os.X_OK)
    except OSError:
        return False
    foreign = start.startswith(b"\x7fELF") or (start.startswith(b"#!") and b"py" not in start)
    return not (executable and foreign)


def find_script(name: str) -> Callable[[Sequence[str]], None]:
    """What runs `python name args`: a script, or a directory or zip file with a `__main__`.

    Raises the OSError of opening it while nothing has been changed, so that it cannot be taken for
    one of the program.
    """
    # Absolute, but not normalised: tracebacks show the name as it was typed.
    path = os.path.join(_current_directory() or "", name)
    if pkgutil.get_importer(path) is not None:
        return functools.partial(_run_container, name, path)
    with io.open_code(path) as file:
        content = file.read()
    return functools.partial(_run_file, name, path, content)


def _run_container(name: str, path: str, args: Sequence[str]) -> None:
    sys.argv[:] = [name, *args]
    # The container itself is on sys.path, also under `python -P`.
    _set_first_path(path, always=True)
    _fresh_main()
    _in_place_of_python(lambda: _run_module_as_main("__main__", alter_argv=False))


def _run_file(name: str, path: str, content: bytes, args: Sequence[str]) -> None:
    sys.argv[:] = [name, *args]
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    if path.endswith(".pyc"):
        compiled = importlib.machinery.SourcelessFileLoader("__main__", path)
        namespace = _fresh_main(path, compiled)
        _in_place_of_python(lambda: exec(_loaded(compiled), namespace))
    else:
        namespace = _fresh_main(path, importlib.machinery.SourceFileLoader("__main__", path))
        _in_place_of_python(lambda: exec(_compile(content, path), namespace))


# What the interpreter calls for `-m`, a directory and a zip file; in no documentation, but there
# under this name since Python 2.6, and the only place that knows the rules of the running version.
_run_module_as_main: Callable[..., object] = vars(runpy)["_run_module_as_main"]


def _compile(source: str | bytes, filename: str) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)


def _standard_input() -> bytes:
    # None if it was closed before Python started, to which that is an empty program.
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


def _loaded(loader: importlib.machinery.SourcelessFileLoader) -> CodeType:
    code = loader.get_code("__main__")
    if code is None:
        raise ImportError("a .pyc file without code")
    return code


def _current_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None


def _set_first_path(entry: str | None, *, always: bool = False) -> None:
    """Put the program's entry where python has put one for us."""
    if not sys.flags.safe_path:
        del sys.path[0]
    elif not always:
        return
    if entry is not None:
        sys.path.insert(0, entry)


def _fresh_main(file: str | None = None, loader: Any = None) -> dict[str, Any]:
    """A `__main__` with the names that the running python gives to one."""
    main = ModuleType("__main__")
    namespace = vars(main)
    namespace["__builtins__"] = builtins
    namespace["__loader__"] = loader or importlib.machinery.BuiltinImporter
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    if file is not None:
        namespace["__file__"] = file
        if sys.version_info < (3, 15):
            namespace["__cached__"] = None
    sys.modules["__main__"] = main
    return namespace


def _in_place_of_python(program: Callable[[], object]) -> None:
    """Run it; if an exception ends it, have python report that exception without our frames.

    The exception goes on to the interpreter, which alone can end the process as it should (a
    Ctrl-C ends it by SIGINT, `python -i` starts to talk); on the way it only passes a hook that is
    used once, cuts the traceback and calls the program's own hook.
    """
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        cut = _without_our_frames(error.__traceback__)
        programs_hook = sys.excepthook

        def hook(kind: type[BaseException], value: BaseException, _: object) -> None:
            sys.excepthook = programs_hook
            programs_hook(kind, value.with_traceback(cut), cut)

        sys.excepthook = hook
        raise


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback
