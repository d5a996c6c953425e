"""A web service with FastAPI on uvicorn, with a client that exercises it.

uvicorn takes a loop factory by name, `loop="aioxide:new_event_loop"`, here and on its command line,
so that the application does not know which loop it has. The lifespan opens what the service needs
and closes it at the end. uvicorn runs in a thread here, since the client wants the main one.

The client runs by `aioxide.run`: both loops are ours, and each has a thread of its own.
"""

from __future__ import annotations

from _support import no_options

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from socket import create_server
from typing import Annotated

import uvicorn
from aiohttp import ClientSession
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

import aioxide


class Reading(BaseModel):
    sensor: str
    celsius: float = Field(gt=-90, lt=60)


class Readings:
    """What was measured, and who wants to hear of it."""

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self.listeners: set[asyncio.Queue[Reading]] = set()


readings = Readings()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    loop = type(asyncio.get_running_loop())
    print(f"startup on {loop.__module__.partition('.')[0]}.{loop.__name__}")
    yield
    print(f"shutdown, the latest readings are {dict(sorted(readings.latest.items()))}")


app = FastAPI(lifespan=lifespan)


@app.post("/readings", status_code=201)
async def add(reading: Reading) -> dict[str, int]:
    readings.latest[reading.sensor] = reading.celsius
    for listener in readings.listeners:
        listener.put_nowait(reading)
    return {"sensors": len(readings.latest)}


def find(sensor: str) -> float:
    """A dependency that is a plain function: FastAPI calls it in a thread."""
    if sensor not in readings.latest:
        raise HTTPException(404, f"no sensor {sensor}")
    return readings.latest[sensor]


@app.get("/readings/{sensor}")
async def latest(celsius: Annotated[float, Depends(find)]) -> dict[str, float]:
    return {"celsius": celsius, "fahrenheit": round(celsius * 9 / 5 + 32, 1)}


@app.get("/live")
async def live(count: int) -> StreamingResponse:
    """The next so many readings, a line of JSON each, as they come."""
    queue: asyncio.Queue[Reading] = asyncio.Queue()
    readings.listeners.add(queue)

    async def lines() -> AsyncIterator[str]:
        try:
            for _ in range(count):
                yield (await queue.get()).model_dump_json() + "\n"
        finally:
            readings.listeners.discard(queue)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@contextmanager
def serving() -> Iterator[str]:
    """Run uvicorn while the block runs; gives the service's URL."""
    config = uvicorn.Config(app, loop="aioxide:new_event_loop", log_level="warning")
    server = uvicorn.Server(config)
    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True  # what a signal does in the main thread
            thread.join()


async def client(url: str) -> None:
    async with ClientSession(url) as session, session.get("/live?count=2") as live:
        print(f"GET live: {live.status} {live.content_type}")
        for sensor, celsius in (("roof", 31.5), ("cellar", 12.25), ("oven", 220)):
            body = {"sensor": sensor, "celsius": celsius}
            async with session.post("/readings", json=body) as response:
                print(f"POST {sensor}: {response.status}")
        async for line in live.content:
            print(f"live: {line.decode().strip()}")
        for sensor in ("roof", "attic"):
            async with session.get(f"/readings/{sensor}") as response:
                print(f"GET {sensor}: {response.status} {await response.text()}")


if __name__ == "__main__":
    with no_options(__doc__), serving() as url:
        aioxide.run(client(url))
