"""Servers under `aioxide run`, which choose their loop by their own rules, answer on aioxide."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from programs.serving import OURS, Program, needs

pytestmark = [pytest.mark.aioxide_only, pytest.mark.slow]

UVICORN = ["uvicorn", "app:asgi", "--port", "PORT"]
GUNICORN = ["gunicorn", "app:asgi", "--bind", "127.0.0.1:PORT", "--worker-class"]
HYPERCORN = ["hypercorn", "app:asgi", "--bind", "127.0.0.1:PORT"]
GRANIAN = ["granian", "app:asgi", "--interface", "asgi", "--port", "PORT"]


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ("uvicorn", UVICORN),
        ("uvicorn", ["-m", *UVICORN]),
        ("uvicorn", [*UVICORN, "--loop", "asyncio"]),
        ("uvicorn uvloop", [*UVICORN, "--loop", "uvloop"]),
        ("uvicorn uvloop", [*UVICORN, "--workers", "2"]),
        ("uvicorn uvloop watchfiles", [*UVICORN, "--reload"]),
        ("gunicorn uvicorn_worker uvloop", [*GUNICORN, "uvicorn_worker.UvicornWorker"]),
        ("gunicorn uvicorn_worker", [*GUNICORN, "uvicorn_worker.UvicornH11Worker"]),
        ("hypercorn", HYPERCORN),
        ("hypercorn uvloop", [*HYPERCORN, "--worker-class", "uvloop"]),
        ("hypercorn", [*HYPERCORN, "--workers", "2"]),
        ("granian", GRANIAN),
        ("granian uvloop", [*GRANIAN, "--loop", "uvloop"]),
        ("granian", [*GRANIAN, "--loop", "asyncio", "--workers", "2"]),
        ("daphne", ["daphne", "--port", "PORT", "app:asgi"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_asgi_server(tmp_path: Path, packages: str, words: list[str]) -> None:
    needs(*packages.split())
    with Program(tmp_path, words) as program:
        answer = program.ask()
        assert answer["kinds"] == OURS, program.log
        assert program.says_so(), program.log


def test_workers_of_gunicorn_with_uvicorns_own_class(tmp_path: Path) -> None:
    needs("gunicorn", "uvicorn.workers")
    words = ["-W", "ignore", *GUNICORN, "uvicorn.workers.UvicornWorker", "--workers", "2"]
    with Program(tmp_path, words) as program:
        assert program.ask()["kinds"] == OURS, program.log


def test_a_lifespan_runs(tmp_path: Path) -> None:
    needs("uvicorn")
    with Program(tmp_path, [*UVICORN, "--lifespan", "on"]) as program:
        assert program.ask()["lifespan"] is True


def test_a_reloaded_worker_runs_on_aioxide_again(tmp_path: Path) -> None:
    needs("uvicorn", "watchfiles")
    with Program(tmp_path, [*UVICORN, "--reload"]) as program:
        first = program.ask()
        source = tmp_path / "app.py"
        second = first
        while second["pid"] == first["pid"]:
            # uvicorn begins to watch after the first worker may have answered.
            source.write_text(source.read_text() + "\n# changed\n")
            second = program.ask()
        assert second["kinds"] == OURS, program.log


FASTAPI = """
from fastapi import FastAPI
from app import kinds

app = FastAPI()

@app.get("/")
async def root():
    return kinds()
"""


@pytest.mark.parametrize("command", ["run", "dev"])
def test_fastapi(tmp_path: Path, command: str) -> None:
    needs("fastapi", "fastapi_cli", "uvicorn")
    (tmp_path / "service.py").write_text(FASTAPI)
    words = ["fastapi", command, "service.py", "--host", "127.0.0.1", "--port", "PORT"]
    with Program(tmp_path, words) as program:
        assert program.ask()["kinds"] == OURS, program.log
        assert program.says_so(), program.log


SANIC = """
from sanic import Sanic, json
from app import kinds

app = Sanic("service")

@app.get("/")
async def root(request):
    return json(kinds())
"""


@pytest.mark.parametrize("words", [["--single-process"], ["--workers", "2"]])
def test_sanic(tmp_path: Path, words: list[str]) -> None:
    needs("sanic")
    (tmp_path / "service.py").write_text(SANIC)
    command = ["sanic", "service:app", "--host", "127.0.0.1", "--port", "PORT", *words]
    with Program(tmp_path, command) as program:
        assert program.ask()["kinds"] == OURS, program.log


AIOHTTP = """
import sys
from aiohttp import web
from app import kinds

async def root(request):
    return web.json_response(kinds())

app = web.Application()
app.router.add_get("/", root)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""

TORNADO = """
import asyncio, sys
import tornado.ioloop, tornado.web
from app import kinds

class Root(tornado.web.RequestHandler):
    async def get(self):
        self.write(kinds())

def serve():
    tornado.web.Application([("/", Root)]).listen(int(sys.argv[1]), "127.0.0.1")

if sys.argv[2] == "IOLoop":
    serve()
    tornado.ioloop.IOLoop.current().start()
else:
    async def main():
        serve()
        await asyncio.Event().wait()
    asyncio.run(main())
"""


# On 3.12 and 3.13 it makes its tasks by `asyncio.Task(...)`, which stays asyncio's class.
AIOHTTP_TASKS = "_asyncio" if (3, 12) <= sys.version_info < (3, 14) else "aioxide"


@pytest.mark.parametrize(
    ("package", "source", "words", "task"),
    [
        ("aiohttp", AIOHTTP, [], AIOHTTP_TASKS),
        ("tornado", TORNADO, ["IOLoop"], "aioxide"),
        ("tornado", TORNADO, ["asyncio.run"], "aioxide"),
    ],
    ids=["aiohttp", "tornado IOLoop", "tornado asyncio.run"],
)
def test_framework_with_a_server_of_its_own(
    tmp_path: Path, package: str, source: str, words: list[str], task: str
) -> None:
    needs(package)
    (tmp_path / "serve.py").write_text(source)
    with Program(tmp_path, ["serve.py", "PORT", *words]) as program:
        assert program.ask()["kinds"] == [OURS[0], task, OURS[2]], program.log
        assert program.says_so(), program.log


def test_keep_loop(tmp_path: Path) -> None:
    needs("uvicorn", "uvloop")
    words = ["--keep-loop", *UVICORN, "--loop", "uvloop", "--workers", "2"]
    with Program(tmp_path, words) as program:
        loop, _, lock = program.ask()["kinds"]
        assert (loop, lock) == ("uvloop", "aioxide.locks")
        assert "aioxide 0." not in program.log


def test_quiet(tmp_path: Path) -> None:
    needs("uvicorn")
    with Program(tmp_path, ["--quiet", *UVICORN, "--workers", "2"]) as program:
        assert program.ask()["kinds"] == OURS
        assert "aioxide" not in program.log
