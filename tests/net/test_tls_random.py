"""Random scripts on both ends of a TLS connection: asyncio and aioxide must tell the same story.

Between the ends lies a wire that the script works by hand: what one end has sent stays there until
it is carried, in pieces, altered or not at all. So both implementations see the same at the same
moment, and what their protocols hear can be compared word for word; data as a whole, since what is
told in one call depends on how much was received at once.

`AIOXIDE_TLS_SEEDS=1000:3000` runs other seeds than the usual few.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import ssl
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from helpers import Contexts, Implementation, collect, finishing, implementation
from net.tls import Certificates
from net.tls_scripts import PIECE, SHORT, Author, Script, Wire

Entry = Any
_first, _, _last = os.environ.get("AIOXIDE_TLS_SEEDS", "0:30").partition(":")
SEEDS = range(int(_first), int(_last))


@pytest.fixture(scope="session")
def tls() -> Certificates:
    return Certificates()


class Derived(bytes):
    """Not exactly bytes."""


class Expected(Exception):
    """What a protocol of a script raises."""


class ExpectedExit(BaseException):
    """What is no Exception, and no exit either."""


def data_of(piece: tuple[str, bytes]) -> Any:
    kind, data = piece
    match kind:
        case "bytearray":
            return bytearray(data)
        case "memoryview":
            return memoryview(b"##" + data)[2:]
        case "derived":
            return Derived(data)
        case "integers":
            return memoryview(data).cast("I")
    return data


class End:
    """One end of the connection: its transport, and the story that all its protocols hear."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.story: list[Entry] = []
        self.transport: Any = None
        self.total = 0
        self.reactions: list[tuple[int, str, Any]] = []
        self.paused = False
        self.lost = False

    def tell(self, entry: Entry) -> None:
        self.story.append(entry)

    def told_data(self, data: bytes) -> None:
        assert data
        assert not self.lost, "data after the end"
        if self.story and isinstance(self.story[-1], bytearray):
            self.story[-1] += data
        else:
            self.story.append(bytearray(data))
        self.total += len(data)
        while self.reactions and self.total >= self.reactions[0][0]:
            _, deed, argument = self.reactions.pop(0)
            self.act(deed, argument)

    def act(self, kind: str, argument: Any) -> None:
        transport = self.transport
        match kind:
            case "write":
                transport.write(data_of(argument))
            case "small":
                for number in range(argument):
                    transport.write(b"%c" % (number & 255))
            case "lines":
                self.write_lines(*argument)
            case "pause":
                transport.pause_reading()
            case "resume":
                transport.resume_reading()
            case "limits":
                transport.set_write_buffer_limits(argument)
            case "read limits":
                transport.set_read_buffer_limits(argument)
            case "look":
                self.tell(
                    (
                        "look",
                        transport.is_closing(),
                        transport.is_reading(),
                        transport.get_write_buffer_limits(),
                        transport.get_extra_info("nothing", "default"),
                    )
                )
            case "react":
                amount, deed, more = argument
                self.reactions.append((self.total + amount, deed, more))
            case "protocol":
                transport.set_protocol(protocol(self, argument))
            case "close":
                transport.close()
            case "abort":
                transport.abort()
            case "raise":
                raise Expected(self.name)
            case "exit":
                raise ExpectedExit(self.name)
            case "stop":
                asyncio.get_running_loop().stop()
            case "collect":
                gc.collect()
            case _:
                raise AssertionError(kind)

    def write_lines(self, shape: str, pieces: list[tuple[str, bytes]], deed: str) -> None:
        data = [data_of(piece) for piece in pieces]

        def iterate() -> Iterator[Any]:
            for number, piece in enumerate(data):
                if number == len(data) // 2 and deed:
                    self.act(deed, None)
                yield piece

        match shape:
            case "list":
                self.transport.writelines(data)
            case "tuple":
                self.transport.writelines(tuple(data))
            case _:
                self.transport.writelines(iterate())


class Common(asyncio.BaseProtocol):
    def __init__(self, end: End) -> None:
        self.end = end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.end.transport = transport
        self.end.tell("made")

    def eof_received(self) -> bool:
        self.end.tell("eof")
        return len(self.end.story) % 2 == 0

    def pause_writing(self) -> None:
        assert not self.end.paused, "paused twice"
        assert not self.end.lost
        self.end.paused = True

    def resume_writing(self) -> None:
        assert self.end.paused, "resumed without a pause"
        assert not self.end.lost
        self.end.paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        assert not self.end.lost, "lost twice"
        self.end.lost = True
        self.end.tell(("lost", type(exc).__name__, str(exc) if type(exc) is Expected else ""))


class Plain(Common, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.end.told_data(data)


class Buffered(Common, asyncio.BufferedProtocol):
    def __init__(self, end: End, size: int) -> None:
        super().__init__(end)
        self.buffer = bytearray(size)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.end.told_data(bytes(self.buffer[:nbytes]))


def protocol(end: End, buffer: int) -> Common:
    return Buffered(end, buffer) if buffer else Plain(end)


class Warned(logging.Handler):
    """What asyncio's logger warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith("Executing "):
            self.messages.append(record.getMessage())


class Play:
    """A script on one implementation."""

    def __init__(self, script: Script, tls: Certificates, loops: Implementation) -> None:
        self.script = script
        self.loops = loops
        # While something is ready, aioxide does not poll every time.
        self.turns = 8 if loops.name == "asyncio" else 18
        self.server, self.client = tls.server, tls.new_client()
        self.client.minimum_version = self.client.maximum_version = script.version
        self.near, self.far = End("near"), End("far")
        self.ends = [self.near, self.far]
        self.contexts = Contexts()
        self.wire = Wire()
        self.remembered: list[weakref.ref[Any]] = []

    def perform(self) -> dict[str, Any]:
        warned = Warned()
        logger = logging.getLogger("asyncio")
        logger.addHandler(warned)
        try:
            with finishing(self.loops.new_event_loop()) as loop:
                loop.set_debug(self.script.debug)
                loop.slow_callback_duration = 100
                loop.set_exception_handler(self.contexts)
                playing = loop.create_task(self.play())
                playing.add_done_callback(lambda _: loop.stop())
                while not playing.done():
                    loop.run_forever()
                playing.result()
        finally:
            logger.removeHandler(warned)
            self.wire.close()
        contexts = [
            (context["message"], type(context.get("exception")).__name__)
            for context in self.contexts.take()
        ]
        return {
            "near": self.near.story,
            "far": self.far.story,
            "paused": [end.paused and not end.lost for end in self.ends],
            "contexts": contexts,
            "warned": warned.messages,
        }

    async def breathe(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)

    async def digest(self) -> None:
        """Let the ends hear what they have received."""
        heard = -1
        while heard != (heard := self.heard()):
            await self.breathe()

    async def settle(self, piece: int = PIECE, keep: int = 0) -> None:
        """Carry all there is until nothing more comes."""
        quiet = 0
        while quiet < 2:
            await self.digest()
            moved = self.wire.carry(piece, keep)
            if not moved and not keep:
                moved = self.wire.pass_ends_on()
            quiet = 0 if moved else quiet + 1

    def heard(self) -> int:
        return sum(end.total + len(end.story) for end in self.ends)

    async def settled(self, *tasks: asyncio.Future[Any]) -> None:
        while not all(task.done() for task in tasks):
            await self.settle()

    def connecting(self) -> list[asyncio.Task[Any]]:
        loop = asyncio.get_running_loop()
        script = self.script
        return [
            loop.create_task(
                loop.create_connection(
                    lambda: protocol(self.near, script.buffered[0]),
                    sock=self.wire.ends[0],
                    ssl=self.client,
                    server_hostname="localhost",
                    ssl_shutdown_timeout=script.patience,
                )
            ),
            loop.create_task(
                loop.connect_accepted_socket(
                    lambda: protocol(self.far, script.buffered[1]),
                    self.wire.ends[1],
                    ssl=self.server,
                    ssl_shutdown_timeout=script.patience,
                )
            ),
        ]

    async def connect(self) -> None:
        tasks = self.connecting()
        await self.settled(*tasks)
        for task in tasks:
            task.result()
        self.remember()

    def upgrading(self) -> list[asyncio.Task[Any]]:
        """TLS over TLS."""
        loop, script = asyncio.get_running_loop(), self.script
        return [
            loop.create_task(
                loop.start_tls(
                    end.transport,
                    end.transport.get_protocol(),
                    context,
                    server_side=server,
                    server_hostname=None if server else "localhost",
                    ssl_shutdown_timeout=script.patience,
                )
            )
            for end, context, server in (
                (self.near, self.client, False),
                (self.far, self.server, True),
            )
        ]

    async def upgrade(self) -> None:
        tasks = self.upgrading()
        await self.settled(*tasks)
        for end, task in zip(self.ends, tasks, strict=True):
            end.transport = task.result()
        self.remember()

    def remember(self) -> None:
        for end in self.ends:
            tls = end.transport._ssl_protocol
            things = (end.transport, tls, tls._transport, tls._app_protocol)
            self.remembered += [weakref.ref(thing) for thing in things]

    async def play(self) -> None:
        await self.connect()
        for _ in range(self.script.upgrades):
            await self.upgrade()
        for step in self.script.steps:
            for number, kind, argument in step.actions:
                self.act(self.ends[number], kind, argument)
            how, amount = step.delivery
            if how == "all":
                await self.settle(amount)
            elif how == "but":
                await self.settle(keep=amount)
            else:
                await self.digest()
        await self.end()
        for end in self.ends:
            end.transport = None

    def act(self, end: End, kind: str, argument: Any) -> None:
        try:
            end.act(kind, argument)
        except (Expected, ExpectedExit, AttributeError, RuntimeError, TypeError) as exc:
            # asyncio's transport forgets its protocol when it is closed twice; an abort inside of a
            # close is a state that it cannot switch to; and TLS over TLS cannot be aborted with an
            # error up to 3.12.1 (cpython#113214).
            end.tell((kind, type(exc).__name__))

    def all(self, *kinds: str) -> None:
        for kind in kinds:
            for end in self.ends:
                self.act(end, kind, None)

    async def end(self) -> None:
        await self.settle()
        near, far, wire = self.near, self.far, self.wire
        words = ("bytes", b"last words")
        match self.script.ending:
            case "close":
                self.act(far, "resume", None)
                self.act(near, "close", None)
            case "close both":
                self.all("resume", "close")
            case "abort":
                self.act(near, "abort", None)
            case "abort both":
                self.all("abort")
            case "cut":
                self.act(near, "write", words)
                wire.cut(0)
            case "cut both":
                self.all("resume")
                await self.settle()
                wire.cut(0)
                wire.cut(1)
            case "hang up":
                wire.close()
            case "garble":
                self.act(near, "write", words)
                wire.garble = True
            case "close and cut":
                self.act(near, "write", words)
                self.act(near, "close", None)
                wire.cut(1)
            case "write, close, write":
                self.act(near, "write", words)
                for _ in range(3):
                    self.act(near, "close", None)
                    self.act(near, "write", words)
            case "paused, cut":
                self.act(far, "pause", None)
                self.act(near, "write", words)
                await self.settle()
                wire.cut(1)
                await self.settle()
                self.act(far, "resume", None)
            case "mute":
                self.act(near, "write", words)
                self.act(near, "close", None)
                await asyncio.sleep(SHORT * 2)
        await self.settle()
        self.all("look")
        self.all("abort")
        await self.settle()
        for end in self.ends:
            end.tell(("over", end.lost))


def unlike(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Say where two stories part; of data only how much it is, and a checksum."""
    lines = []
    for key in one:
        if one[key] != other[key]:
            for name, told in (("asyncio", one), ("aioxide", other)):
                lines.append(f"{key}, {name}:")
                lines += [f"    {brief(entry)}" for entry in told[key]]
    return "\n".join(lines)


def brief(entry: Entry) -> str:
    if isinstance(entry, bytearray):
        return f"{len(entry)} bytes, {zlib.crc32(entry):08x}"
    return str(entry)


def compare(seed: int, tls: Certificates, write: Callable[[int], Script]) -> None:
    plays = [Play(write(seed), tls, implementation(name)) for name in ("asyncio", "aioxide")]
    told, ours = (play.perform() for play in plays)
    assert told == ours, f"seed {seed}: {plays[0].script.ending}\n{unlike(told, ours)}"
    remembered = [ref for play in plays for ref in play.remembered]
    plays.clear()
    collect()
    left = [ref() for ref in remembered if ref() is not None]
    assert not left, f"seed {seed}: {left}"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_story(seed: int, tls: Certificates) -> None:
    compare(seed, tls, lambda seed: Author(seed).write())


class Cancelled(Play):
    """A handshake that somebody gives up after so many rounds of the wire."""

    def __init__(self, *args: Any, who: tuple[int, ...], rounds: int) -> None:
        super().__init__(*args)
        self.who, self.rounds = who, rounds

    async def play(self) -> None:
        for _ in range(self.script.upgrades):
            await (self.upgrade() if self.near.transport else self.connect())
        tasks = self.upgrading() if self.near.transport else self.connecting()
        for _ in range(self.rounds):
            await self.breathe()
            self.wire.carry(PIECE)
        await self.breathe()
        for number in self.who:
            self.ends[number].tell(("cancelled", tasks[number].cancel()))
        await self.settled(*tasks)
        for end, task in zip(self.ends, tasks, strict=True):
            exc = None if task.cancelled() else task.exception()
            end.tell(("outcome", task.cancelled(), type(exc).__name__))
            if end.transport:
                self.act(end, "look", None)
                end.transport.abort()
        await self.settle()
        for end in self.ends:
            end.tell(("over", end.lost))
            end.transport = None


@pytest.mark.parametrize("who", [(0,), (1,), (0, 1)], ids=["client", "server", "both"])
@pytest.mark.parametrize("rounds", range(5))
@pytest.mark.parametrize("before", [0, 1, 2], ids=["connection", "over TLS", "over TLS over TLS"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_is_cancelled(
    version: ssl.TLSVersion, before: int, rounds: int, who: tuple[int, ...], tls: Certificates
) -> None:
    script = Script(0, version, (0, 0), False, before, False)
    plays = [
        Cancelled(script, tls, implementation(name), who=who, rounds=rounds)
        for name in ("asyncio", "aioxide")
    ]
    told, ours = (play.perform() for play in plays)
    assert told == ours, unlike(told, ours)
