"""Starts a real program under `aioxide run`, asks it over HTTP which loop it has, and ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest

#: The module that every program gets as `app`.
APP = """\
import asyncio, json, os
from contextlib import asynccontextmanager


def kinds():
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    modules = [type(thing).__module__ for thing in (loop, task)]
    return {"kinds": [*modules, asyncio.Lock.__module__], "pid": os.getpid()}


started = False


async def asgi(scope, receive, send):
    global started
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            started = True
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await asyncio.sleep(0)
    body = json.dumps(kinds() | {"lifespan": started}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

#: The modules of the classes of loop, task and lock on aioxide.
OURS = ["aioxide.events", "aioxide", "aioxide.locks"]
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def needs(*packages: str) -> None:
    """Skip the test if one of these packages is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (the extra 'programs')")


def entry(folder: Path) -> list[str]:
    """Return the words that start the console script `aioxide`, also where it is not installed."""
    script = folder / "aioxide-script"
    if not script.exists():
        script.write_text("import sys\nfrom aioxide.cli import main\nsys.exit(main())\n")
    return [sys.executable, str(script), "run"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Program:
    """A program that serves on a port of the loopback device."""

    def __init__(self, folder: Path, words: list[str], **environment: str) -> None:
        self.port = free_port()
        (folder / "app.py").write_text(APP)
        self._log = folder / "log"
        command = [*entry(folder), *(word.replace("PORT", str(self.port)) for word in words)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | ENVIRONMENT | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # Workers that outlive their parent: they are in the session that we have started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ask(self, path: str = "/") -> dict[str, Any]:
        """Return the answer to a request, as soon as the program serves."""
        end = time.monotonic() + 50
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                with contextlib.closing(connection):
                    connection.request("GET", path)
                    answer: dict[str, Any] = json.loads(connection.getresponse().read())
                    return answer
            except (OSError, http.client.HTTPException) as error:
                code = self.process.poll()
                if code is not None or time.monotonic() > end:
                    pytest.fail(f"no answer ({error!r}), exit code {code}:\n{self.log}")
                time.sleep(0.02)  # it starts: nothing tells when it listens

    def says_so(self) -> bool:
        """Tell whether the log names aioxide's loop, and no other."""
        return "aioxide 0." in self.log and "is not used" not in self.log
