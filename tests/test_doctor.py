"""`aioxide doctor`: what it reports as text and as JSON, and what it says of what is missing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import aioxide
from aioxide.doctor import kernel
from aioxide.files import backend

pytestmark = pytest.mark.aioxide_only

COMMAND = (sys.executable, "-c", "from aioxide.cli import main; main()", "doctor")
KEYS = Path(__file__).resolve().parents[1] / "docs" / "doctor.md"

# Forbid system calls in this process and its children, as containers do.
FORBID = """
import ctypes, struct, sys
def forbid(answers):
    program = [(0x20, 0, 0, 0)]  # load the number of the system call
    for number, answer in answers.items():
        program += [(0x15, 0, 1, number), (0x06, 0, 0, answer)]  # return, if it is this one
    program.append((0x06, 0, 0, 0x7FFF0000))  # let all others pass
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    kept = ctypes.create_string_buffer(code)
    filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(kept))
    prctl = ctypes.CDLL(None).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, filter, 0, 0):
        sys.exit(99)
"""
# Their numbers are the same on every architecture.
IO_URING_SETUP, PIDFD_OPEN, EPOLL_PWAIT2 = 425, 434, 441
ERRNO, KILL = 0x00050000, 0x80000000


def doctor(*words: str, **variables: str) -> tuple[int, str, str]:
    return finish([*COMMAND, *words], **variables)


def finish(command: list[str], **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def reported(*words: str, code: int = 0, **variables: str) -> dict[str, Any]:
    got, out, errors = doctor("--json", *words, **variables)
    assert (got, errors) == (code, "")
    report: dict[str, Any] = json.loads(out)
    return report


@cache
def plain_report() -> dict[str, Any]:
    """What is reported here, where nothing is changed for it. Not to be modified."""
    return reported()


def after(*prelude: str) -> dict[str, Any]:
    """What is reported in a process in which this has run."""
    program = "\n".join(map(textwrap.dedent, prelude))
    program += "\nimport sys\nfrom aioxide.doctor import main\nsys.exit(main(['--json']))\n"
    code, out, errors = finish([sys.executable, "-c", program])
    if code == 99:
        pytest.skip("a filter of system calls cannot be set here")
    assert (code, errors) == (0, "")
    report: dict[str, Any] = json.loads(out)
    return report


def paths(value: object, path: str = "") -> set[str]:
    """The keys of nested dictionaries, as `a.b.c`."""
    if not isinstance(value, dict):
        return {path}
    return {
        found for key, inner in value.items() for found in paths(inner, f"{path}.{key}".lstrip("."))
    }


def columns(text: str) -> dict[str, str]:
    """What stands behind each name in the text."""
    lines = [line for line in text.splitlines() if line]
    assert all(line[15] == " " != line[16] for line in lines), "the columns are not aligned"
    return {line[:15].strip(): line[16:] for line in lines}


def test_both_outputs_agree() -> None:
    code, out, errors = doctor()
    assert (code, errors) == (0, "")
    shown = columns(out)
    report = plain_report()
    assert shown["aioxide"] == report["aioxide"]["version"]
    for name, key in (
        ("package", "package"),
        ("extension", "extension"),
        ("built for", "built_for"),
    ):
        assert shown[name] == report["aioxide"][key]
    assert f"{report['python']['implementation']} {report['python']['version']}" in shown["Python"]
    assert shown["executable"] == report["python"]["executable"]
    assert report["system"]["kernel"] in shown["system"]
    assert (shown["io_uring"] == "available") == report["io_uring"]["available"]
    soft, hard = report["descriptors"]["soft"], report["descriptors"]["hard"]
    assert re.findall(r"\d+", shown["descriptors"]) == [str(n) for n in (soft, hard) if n]
    assert shown["default loop"] == report["asyncio"]["default_loop"]
    for name, library in report["libraries"].items():
        assert shown[name].split(maxsplit=1) == [library["version"] or "-", library["use"]]
    assert shown["self test"] == f"ok ({', '.join(report['self_test']['errors'])})"


def test_the_keys_are_those_of_the_document() -> None:
    if not KEYS.exists():
        pytest.skip("the documents are not here")
    listed = set(re.findall(r"^\| `([\w.]+)` \|", KEYS.read_text(encoding="utf-8"), re.MULTILINE))
    report = plain_report()
    assert report["format"] == 1
    found = {
        re.sub(r"^(libraries\.)[\w-]+", r"\1NAME", re.sub(r"(\.errors\.)\w+", r"\1STEP", path))
        for path in paths(report)
    }
    assert found == listed
    text = KEYS.read_text(encoding="utf-8")
    for name in (*report["libraries"], *report["self_test"]["errors"]):
        assert f"`{name}`" in text


def test_what_it_says_is_so() -> None:
    report = plain_report()
    assert report["aioxide"]["version"] == aioxide.__version__
    assert Path(report["aioxide"]["package"], "__init__.py") == Path(aioxide.__file__)
    assert Path(report["aioxide"]["extension"]).is_file()
    assert report["aioxide"]["built_for"] == report["python"]["soabi"]
    assert report["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert report["python"]["executable"] == sys.executable
    assert report["python"]["gil"] is True
    assert report["system"]["kernel"] == os.uname().release
    assert report["files"] == {"backend": backend(), "wanted": None, "error": None}
    assert report["io_uring"]["available"] == (backend() == "uring")
    assert report["libraries"]["anyio"]["version"] == metadata.version("anyio")
    assert report["self_test"]["passed"] is True
    assert set(report["self_test"]["errors"].values()) == {None}


@pytest.mark.parametrize("name", ["threads", "uring"])
def test_backend_that_the_environment_asks_for(name: str) -> None:
    if name == "uring" and backend() != "uring":
        pytest.skip("no uring here")
    report = reported(AIOXIDE_FILES=name)
    assert report["files"] == {"backend": name, "wanted": name, "error": None}
    # What the kernel can do does not depend on it.
    assert report["io_uring"]["available"] == (backend() == "uring")
    _, out, _ = doctor(AIOXIDE_FILES=name)
    assert columns(out)["files"].endswith(f", as AIOXIDE_FILES={name} says")


def test_a_self_test_that_fails() -> None:
    wrong = "AIOXIDE_FILES must be 'uring' or 'threads', not 'paper'"
    report = reported(code=1, AIOXIDE_FILES="paper")
    assert report["files"] == {"backend": None, "wanted": "paper", "error": wrong}
    errors = report["self_test"]["errors"]
    assert report["self_test"]["passed"] is False
    assert errors.pop("file") == f"ValueError: {wrong}"
    assert set(errors.values()) == {None}, "the other steps"
    code, out, said = doctor(AIOXIDE_FILES="paper")
    assert (code, said) == (1, "")
    shown = columns(out)
    assert shown["self test"] == "failed: file"
    assert shown["file"] == f"ValueError: {wrong}"


def test_no_loop_at_all() -> None:
    program = (
        "import resource, sys\n"
        "from aioxide.doctor import self_test\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "found = self_test.run()\n"
        "assert not found['passed']\n"
        "print(*set(found['errors'].values()))\n"
    )
    code, out, errors = finish([sys.executable, "-c", program])
    assert (code, errors) == (0, "")
    assert out == f"no loop: OSError: [Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}\n"


def with_step(step: str, *words: str) -> tuple[int, str, str]:
    """The doctor with this as the first step of its self test."""
    program = (
        "import asyncio, signal, sys\n"
        "from aioxide.doctor import main, self_test\n"
        f"async def step():\n    {step}\n"
        "self_test.STEPS = {'first': step} | self_test.STEPS\n"
        "self_test._PATIENCE_S = 5\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    return finish([sys.executable, "-c", program, *words])


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("raise OSError(24, 'no more')", "OSError: [Errno 24] no more"),
        ("raise RuntimeError('two\\n  lines')", "RuntimeError: two lines"),
        ("raise KeyError", "KeyError"),
        ("raise TimeoutError", "TimeoutError: not over after 5 s"),
    ],
)
def test_a_step_that_fails_is_told_in_one_line(step: str, sentence: str) -> None:
    code, out, errors = with_step(step)
    assert (code, errors) == (1, "")
    shown = columns(out)
    assert shown["self test"] == "failed: first"
    assert shown["first"] == sentence


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_ctrl_c(words: list[str]) -> None:
    result = with_step("signal.raise_signal(signal.SIGINT)\n    await asyncio.sleep(3600)", *words)
    assert result == (130, "", "aioxide doctor: interrupted\n")


@pytest.mark.skipif(backend() != "uring", reason="no uring here")
@pytest.mark.parametrize(
    ("name", "part"), [("EPERM", "by a seccomp filter"), ("ENOSYS", "a sandbox hides it")]
)
def test_io_uring_that_a_container_forbids(name: str, part: str) -> None:
    answer = ERRNO | getattr(errno, name)
    report = after(FORBID, f"forbid({{{IO_URING_SETUP}: {answer}}})")
    assert report["io_uring"]["available"] is False
    assert report["io_uring"]["error"] == name
    assert part in report["io_uring"]["reason"]
    assert report["files"]["backend"] == "threads"
    assert report["self_test"]["passed"] is True


@pytest.mark.skipif(backend() != "uring", reason="no uring here")
def test_io_uring_that_kills() -> None:
    # With threads for files, since the process that asks would be killed as the probe is.
    forbid = f"forbid({{{IO_URING_SETUP}: {KILL}}})"
    report = after("import os; os.environ['AIOXIDE_FILES'] = 'threads'", FORBID, forbid)
    assert report["io_uring"]["error"] is None
    assert report["io_uring"]["reason"] == "the attempt was killed by SIGSYS"


def test_system_calls_with_a_second_choice() -> None:
    report = after(
        FORBID,
        f"forbid({{{PIDFD_OPEN}: {ERRNO | errno.EPERM}, {EPOLL_PWAIT2}: {ERRNO | errno.ENOSYS}}})",
    )
    assert report["polling"] == {"epoll": True, "epoll_pwait2": False, "pidfd": False}
    assert report["self_test"]["passed"] is True


@pytest.mark.parametrize(
    ("error", "sysctl", "filtered", "reason"),
    [
        ("EPERM", 2, True, "switched off on this machine (sysctl kernel.io_uring_disabled = 2)"),
        ("EPERM", 1, True, "for privileged processes only (sysctl kernel.io_uring_disabled = 1)"),
        ("EPERM", 0, True, "forbidden, probably by a seccomp filter, as containers have one"),
        ("EPERM", None, False, "forbidden, probably by a security policy"),
        ("ENOMEM", 0, False, "not enough lockable memory (ulimit -l)"),
        (None, 0, False, "unsupported"),
    ],
)
def test_why_there_is_no_io_uring(
    error: str | None, sysctl: int | None, filtered: bool, reason: str
) -> None:
    told = {"name": error, "text": "unsupported"}
    assert kernel.explain(told, sysctl, filtered=filtered) == reason


def test_install_and_policies() -> None:
    assert plain_report()["asyncio"] == {
        "aioxide_installed": False,
        "uvloop_installed": False,
        "policy": None,
        "default_loop": "asyncio.unix_events._UnixSelectorEventLoop",
    }
    report = after("import aioxide; aioxide.install()")["asyncio"]
    assert report["aioxide_installed"] is True
    assert report["default_loop"] == "aioxide.events.EventLoop"


def test_uvloop_that_is_installed() -> None:
    pytest.importorskip("uvloop")
    if sys.version_info >= (3, 16):
        pytest.skip("no policies")
    report = after(
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)",
        "import uvloop; uvloop.install()",
    )["asyncio"]
    assert report.pop("policy").startswith("uvloop.")
    assert report == {
        "aioxide_installed": False,
        "uvloop_installed": True,
        "default_loop": "uvloop.Loop",
    }


def test_run_as_an_installed_program() -> None:
    for entrance in (["-m", "aioxide"], ["-c", "from aioxide.cli import main; main()", "run"]):
        command = [sys.executable, *entrance, "--quiet", "-m", "aioxide.doctor", "--json"]
        code, out, errors = finish(command)
        assert (code, errors) == (0, "")
        assert json.loads(out)["asyncio"]["aioxide_installed"] is True


@pytest.mark.parametrize("words", [["-x"], ["extra"], ["--json=1"], ["--js"]])
def test_wrong_words(words: list[str]) -> None:
    code, out, errors = doctor(*words)
    assert (code, out) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("aioxide doctor: ")


def test_paths_that_stdout_cannot_encode(tmp_path: Path) -> None:
    # A virtual environment in a folder with such a name.
    python = tmp_path / "ü\udcff" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    program = (
        f"import sys; sys.executable = {os.fsdecode(python)!r}\n"
        "from aioxide.doctor import main; sys.exit(main(sys.argv[1:]))\n"
    )
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    _, out, errors = finish([sys.executable, "-c", program], **environment)
    assert errors == ""
    assert columns(out)["executable"] == f"{tmp_path}/\\xfc\\udcff/python"
    _, out, _ = finish([sys.executable, "-c", program, "--json"], **environment)
    assert json.loads(out)["python"]["executable"] == str(python)


@pytest.fixture(params=["none", "other", "damaged"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A copy of the package whose extension cannot be imported, and part of the finding."""
    package = Path(aioxide.__file__).parent
    copy = tmp_path / "copy" / "aioxide"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    kind: str = request.param
    if kind == "none":
        return copy.parent, "was not built for this Python"
    if kind == "other":
        (copy / "_aioxide.cpython-39-x86_64-linux-gnu.so").write_bytes(b"")
        return copy.parent, "there is one for cpython-39-"
    (copy / f"_aioxide.{sysconfig.get_config_var('SOABI')}.so").write_bytes(b"no library")
    return copy.parent, "cannot be loaded: "


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]], ids=" ".join)
@pytest.mark.parametrize("entrance", ["script", "module"])
def test_an_extension_that_cannot_be_imported_is_a_finding(
    broken: tuple[Path, str], tmp_path: Path, entrance: str, words: list[str]
) -> None:
    folder, part = broken
    script = tmp_path / "bin" / "aioxide"
    script.parent.mkdir()
    script.write_text("import sys\nfrom aioxide.cli import main\nsys.exit(main())\n")
    start = ["-m", "aioxide"] if entrance == "module" else [str(script)]
    code, out, errors = finish([sys.executable, *start, *words], PYTHONPATH=str(folder))
    assert (code, errors) == (1, "")
    if "--json" in words:
        report = json.loads(out)
        assert report["format"] == 1
        assert not report["self_test"]["passed"]
        assert part in report["self_test"]["errors"]["import"]
    else:
        assert part in columns(out)["self test"]
    # Any other command says it in a line.
    code, out, errors = finish([sys.executable, *start, "run", "x.py"], PYTHONPATH=str(folder))
    assert (code, out) == (2, "")
    assert part in errors
    assert len(errors.splitlines()) == 1


def test_report_while_a_loop_runs() -> None:
    program = (
        "import aioxide, json\n"
        "from aioxide.doctor import report\n"
        "async def main():\n"
        "    return report()\n"
        "print(json.dumps(aioxide.run(main())['self_test']))\n"
    )
    code, out, errors = finish([sys.executable, "-c", program])
    assert (code, errors) == (0, "")
    assert json.loads(out)["passed"], out
