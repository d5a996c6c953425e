"""The report as text: a name, then what was found, in two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 15


def as_text(report: dict[str, Any]) -> str:
    """The whole report, from the versions to the outcome of the self test."""
    sections = (_software(report), _system(report), _asyncio(report), _libraries(report))
    parts = ["\n".join(_line(name, text) for name, text in section) for section in sections]
    parts.append("\n".join(_self_test(report["self_test"])))
    return "\n\n".join(parts) + "\n"


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}} {text}"


def _software(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ours, python = report["aioxide"], report["python"]
    version = ours["version"]
    if ours["installed_version"] is None:
        version += ", a copy that was not installed"
    elif ours["installed_version"] != version:
        version += f", but what is installed calls itself {ours['installed_version']}"
    yield "aioxide", version
    yield "package", ours["package"]
    yield "extension", ours["extension"]
    yield "built for", ours["built_for"]
    yield "Python", f"{python['implementation']} {python['version']} ({', '.join(_build(python))})"
    yield "executable", python["executable"] or "unknown"


def _build(python: dict[str, Any]) -> Iterator[str]:
    yield "debug build" if python["debug"] else "release build"
    yield "GIL" if python["gil"] else "no GIL"
    for key in ("pgo", "lto"):
        known = {True: "", False: "no ", None: "unknown whether "}[python[key]]
        yield known + key.upper()


def _system(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    system, polling, limits = report["system"], report["polling"], report["descriptors"]
    yield (
        "system",
        f"{system['name']} {system['kernel']} {system['machine']}, {system['cpus']} CPUs",
    )
    yield "C library", system["libc"] or "unknown"
    yield "io_uring", _io_uring(report["io_uring"])
    yield "files", _files(report["files"])
    precision = {
        True: "epoll_pwait2, timers in nanoseconds",
        False: "epoll_wait, timers in milliseconds",
        None: "unknown whether by epoll_pwait2",
    }
    yield "polling", precision[polling["epoll_pwait2"]]
    yield "processes", "pidfd" if polling["pidfd"] else "no pidfd: a thread waits for each"
    soft, hard = ("no limit" if limit is None else str(limit) for limit in limits.values())
    yield "descriptors", f"{soft}, can be raised to {hard}"


def _io_uring(io_uring: dict[str, Any]) -> str:
    if io_uring["available"]:
        return "available"
    error = f" ({io_uring['error']})" if io_uring["error"] else ""
    return f"not available: {io_uring['reason']}{error}"


def _files(files: dict[str, Any]) -> str:
    if files["backend"] is None:
        return f"none: {files['error']}"
    decided = f", as AIOXIDE_FILES={files['wanted']} says" if files["wanted"] else ""
    return f"{'io_uring' if files['backend'] == 'uring' else files['backend']}{decided}"


def _asyncio(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    asyncio = report["asyncio"]
    yield "install()", "in force" if asyncio["aioxide_installed"] else "not in force"
    yield "default loop", asyncio["default_loop"]
    policy = asyncio["policy"] or "none was set"
    yield "loop policy", f"{policy} (uvloop.install())" if asyncio["uvloop_installed"] else policy


def _libraries(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    libraries = report["libraries"]
    versions = [library["version"] or "-" for library in libraries.values()]
    width = max(map(len, versions))
    for (name, library), version in zip(libraries.items(), versions, strict=True):
        yield name, f"{version:<{width}}  {library['use']}"


def _self_test(self_test: dict[str, Any]) -> Iterator[str]:
    errors = self_test["errors"]
    if self_test["passed"]:
        yield _line("self test", f"ok ({', '.join(errors)})")
        return
    failed = {name: error for name, error in errors.items() if error is not None}
    yield _line("self test", f"failed: {', '.join(failed)}")
    for name, error in failed.items():
        yield _line(f"  {name}", error)
