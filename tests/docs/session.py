"""What runs the blocks of one page: a folder, a Python child, and the servers it has started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.pages import PRINTS, SERVER, Block, begins, commands, fits

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

# The port that the pages use, and what stands for a host of the web in README.md.
PORT = "8000"
_WEB = '"example.org", 80'
# README.md shows two fixtures without the import that every test file has.
_BEFORE = {"README.md": "import pytest"}
# The commands there build, install and run everything.
_NOT_THE_GUIDE = {"README.md"}


class Session:
    """Use it with `with`: at the end nothing that it started is left."""

    def __init__(self, page: str, folder: Path, web: tuple[str, int]) -> None:
        self.page = page
        self.folder = folder
        self._web = f'"{web[0]}", {web[1]}'
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._servers: list[subprocess.Popen[str]] = []
        scripts = sysconfig.get_path("scripts")
        self._environ = {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),
            # It imports all of hypothesis in each run.
            "PYTEST_ADDOPTS": "-p no:hypothesispytest",
        }
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._python = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", Path(__file__).with_name("child.py")],
            cwd=folder,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        if page in _BEFORE:
            self._ask(_BEFORE[page], 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.close()
        if error is not None:
            self._python.kill()  # what the rest of the page would have ended may still run in it
        self._python.wait()
        self._python.stdout.close()
        self._stderr.seek(0)
        complaints = self._stderr.read()
        self._stderr.close()
        for server in self._servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()
        assert error is not None or not complaints, complaints

    def run(self, block: Block) -> None:
        """Do with a block what its language and title ask for."""
        if block.language == "#":
            self._end_servers()
        elif block.is_read_only:
            if block.language == "python":
                compile(block.text, self.page, "exec")
        elif block.is_file:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._adapted(block.text), encoding="utf-8")
        elif block.language == "python":
            self.printed = self._ask(block.text, block.line)
        elif block.title == PRINTS:
            assert fits(block.lines, self.printed), f"{self.printed!r}, line {block.line}"
        elif block.title == SERVER:
            self._start_server(block)
        elif block.language == "console":
            if self.page in _NOT_THE_GUIDE:
                return
            for command, shown in commands(block):
                self._call(command, shown, block.line)
        else:
            assert block.language in {"text", "rust"}, f"line {block.line}: {block.language!r}?"

    def _adapted(self, text: str) -> str:
        return text.replace(_WEB, self._web).replace(PORT, self._port)

    def _ask(self, source: str, line: int) -> str:
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        request = {"source": self._adapted(source), "line": line, "page": self.page}
        self._python.stdin.write(json.dumps(request) + "\n")
        self._python.stdin.flush()
        answer: dict[str, Any] = json.loads(self._python.stdout.readline())
        assert not answer["error"], answer["error"]
        return str(answer["printed"])

    def _call(self, command: str, shown: list[str], line: int) -> None:
        done = subprocess.run(
            ["bash", "-c", self._adapted(command)],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"line {line}: {command}\n{done.stdout}"
        printed = done.stdout.replace(self._port, PORT)
        assert not shown or fits(shown, printed), f"line {line}: {command}\n{printed}"

    def _start_server(self, block: Block) -> None:
        ((command, shown),) = commands(block)
        server = subprocess.Popen(
            ["bash", "-c", f"exec {self._adapted(command)}"],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        printed = ""
        for line in server.stdout:
            printed += line.replace(self._port, PORT)
            if begins(shown, printed):
                return
        raise AssertionError(f"line {block.line}: {command} ended:\n{printed}")

    def _end_servers(self) -> None:
        while self._servers:
            server = self._servers.pop()
            # As a terminal does: to the server and whatever it has started.
            os.killpg(server.pid, signal.SIGINT)
            printed, _ = server.communicate()
            assert "Traceback" not in printed, printed
            assert server.returncode in {0, 130, -signal.SIGINT}, (server.returncode, printed)
