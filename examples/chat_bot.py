"""A chat bot over WebSocket, whose answers come out of order.

The client logs in, and shows the token when it connects. Each question has an id, and a future
waits under that id for the answer. The server answers each question in a task, and has a process
pool think, so that its loop stays free. When the connection breaks, the client connects again, and
repeats what has not been answered.

Runs by `aioxide.run` with asyncio's names, as aiohttp does itself.
"""

from __future__ import annotations

from _support import command_line, process_pool

import asyncio
import hashlib
import itertools
import secrets
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, web

import aioxide
from _web import serving

ANSWERS = ("Yes.", "No.", "Ask again.", "Without a doubt.", "It depends.", "Why do you ask?")
IDS = itertools.count(1)
QUESTIONS = [f"Is {number} a lucky number{'?' * (1 + number % 3)}" for number in range(1, 13)]


def think(question: str) -> str:
    """The model: takes CPU time, more for more question marks, and always decides alike."""
    digest = hashlib.pbkdf2_hmac("sha256", question.encode(), b"", 10_000 * question.count("?"))
    return ANSWERS[digest[0] % len(ANSWERS)]


class Bot:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool
        self.token = secrets.token_urlsafe()
        self.questions = self.connections = 0

    async def login(self, request: web.Request) -> web.Response:
        return web.json_response({"token": self.token})

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = await socket.receive_json()
        if not secrets.compare_digest(hello["token"], self.token):
            await socket.close(code=4401, message=b"wrong token")
            return socket
        self.connections += 1
        async with asyncio.TaskGroup() as group:
            async for message in socket:
                group.create_task(self.answer(socket, message.json()))
                self.questions += 1
                if self.questions == len(QUESTIONS) // 2 and request.transport:
                    request.transport.abort()  # somebody pulls the cable
        return socket

    async def answer(self, socket: web.WebSocketResponse, message: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self.pool, think, message["question"])
        with suppress(ConnectionError):  # whoever asked may have gone, and will ask again
            await socket.send_json({"id": message["id"], "answer": answer})


class Client:
    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.waiting: dict[int, tuple[str, asyncio.Future[str]]] = {}
        self.socket: ClientWebSocketResponse | None = None

    async def ask(self, question: str) -> str:
        request_id, answer = next(IDS), asyncio.get_running_loop().create_future()
        self.waiting[request_id] = question, answer
        if self.socket is not None:
            with suppress(ConnectionError):  # it will be repeated
                await self.socket.send_json({"id": request_id, "question": question})
        return str(await answer)

    async def stay_connected(self) -> None:
        while True:
            async with self.session.post("/login") as response:
                token = await response.json()
            with suppress(ConnectionError, ClientError):
                async with self.session.ws_connect("/chat") as self.socket:
                    await self.socket.send_json(token)
                    for request_id, (question, _) in list(self.waiting.items()):
                        await self.socket.send_json({"id": request_id, "question": question})
                    async for message in self.socket:
                        reply = message.json()
                        self.waiting.pop(reply["id"])[1].set_result(reply["answer"])
            self.socket = None
            await asyncio.sleep(0.01)  # a server that is down is not asked all the time


async def main() -> None:
    with process_pool(2) as pool:
        bot, app = Bot(pool), web.Application()
        app.add_routes([web.post("/login", bot.login), web.get("/chat", bot.chat)])
        print(f"{len(QUESTIONS)} questions at once, to a bot on loopback")
        async with serving(app) as url, ClientSession(url) as session:
            client = Client(session)
            async with asyncio.TaskGroup() as group:
                connection = group.create_task(client.stay_connected())
                answers = await asyncio.gather(*map(client.ask, QUESTIONS))
                connection.cancel()
    for question, answer in zip(QUESTIONS, answers, strict=True):
        print(f"{question:<26} {answer}")
    print(f"all answered, over {bot.connections} connections")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
