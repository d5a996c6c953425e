"""A web service with aiohttp: what it opens at the start, serves, and closes at the end.

A cleanup context holds what lives as long as the service: here a task that works off orders from
a queue. A middleware gives errors one form. The client makes requests side by side, reads a stream
line by line, and then the service stops while a request is still under way, which is answered.

Runs by `aioxide.run`; in a program of your own, `web.run_app(app, loop=aioxide.new_event_loop())`.
"""

from __future__ import annotations

from _support import command_line

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from aiohttp import ClientSession, web

import aioxide

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shop:
    """Orders, and the task that works them off."""

    def __init__(self) -> None:
        self.stock = {"apples": 100, "pears": 40}
        self.orders: asyncio.Queue[tuple[str, int, asyncio.Future[int]]] = asyncio.Queue()

    async def work(self) -> None:
        while True:
            fruit, count, left = await self.orders.get()
            await asyncio.sleep(0.001)
            self.stock[fruit] -= count
            if not left.done():  # whoever ordered may have gone
                left.set_result(self.stock[fruit])


SHOP = web.AppKey("shop", Shop)


async def open_shop(app: web.Application) -> AsyncIterator[None]:
    """Before the `yield`: at the start. After it: at the end, once all requests are answered."""
    app[SHOP] = shop = Shop()
    worker = asyncio.create_task(shop.work())
    print("the shop opens")
    yield
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    print(f"the shop closes, {shop.stock} are left")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text or error.reason}, status=error.status)


async def order(request: web.Request) -> web.StreamResponse:
    """POST /orders/{fruit} with {"count": n}; answers how many are left."""
    shop, fruit = request.app[SHOP], request.match_info["fruit"]
    if fruit not in shop.stock:
        raise web.HTTPNotFound(text=f"no {fruit} here")
    left: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    shop.orders.put_nowait((fruit, (await request.json())["count"], left))
    return web.json_response({"left": await left})


async def countdown(request: web.Request) -> web.StreamResponse:
    """GET /countdown: a response that is sent piece by piece."""
    response = web.StreamResponse()
    with suppress(ConnectionResetError):  # whoever asked may have gone
        await response.prepare(request)
        for number in (3, 2, 1):
            await response.write(f"{number}\n".encode())
            await asyncio.sleep(0.005)
        await response.write_eof(b"we close\n")
    return response


async def main() -> None:
    app = web.Application(middlewares=[errors_as_json])
    app.cleanup_ctx.append(open_shop)
    app.add_routes([web.post("/orders/{fruit}", order), web.get("/countdown", countdown)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    async with ClientSession(f"http://{host}:{port}") as session:

        async def buy(fruit: str, count: int) -> tuple[int, dict[str, object]]:
            async with session.post(f"/orders/{fruit}", json={"count": count}) as response:
                return response.status, await response.json()

        answers = await asyncio.gather(*(buy("apples", 1) for _ in range(50)), buy("plums", 1))
        print(
            f"50 orders at once: {len({str(body) for _, body in answers[:50]})} different answers"
        )
        print(f"one for plums: {answers[50]}")

        async with session.get("/countdown") as response:
            first = (await response.content.readline()).decode().strip()
            stopping = asyncio.create_task(runner.cleanup())  # takes no new connections
            rest = [line.decode().strip() async for line in response.content]
        await stopping
    print(f"answered while it stopped: {[first, *rest]}")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
