"""What test_tls_random.py plays: scripts for both ends of a connection, and the wire between."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

PIECE = 60_000
"""What is carried at once: less than any implementation receives at once."""
SHORT, LONG = 0.05, 100.0
"""Time limits of a shutdown: one that is waited for, and one that is not."""


@dataclass
class Step:
    """What is done without a turn of the loop in between, and what the wire does then."""

    actions: list[tuple[int, str, Any]]
    delivery: tuple[str, int]


@dataclass
class Script:
    """All that is random about a run."""

    seed: int
    version: ssl.TLSVersion
    buffered: tuple[int, int]
    debug: bool
    upgrades: int
    big: bool
    steps: list[Step] = field(default_factory=list)
    ending: str = "close"

    @property
    def patience(self) -> float:
        return SHORT if self.ending == "mute" else LONG


class Author:
    """Writes a script. Nothing is decided later, so that each implementation plays the same."""

    endings = (
        "close",
        "close both",
        "abort",
        "abort both",
        "cut",
        "cut both",
        "hang up",
        "garble",
        "close and cut",
        "write, close, write",
        "paused, cut",
        "mute",
        "leave",
    )

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        chance = self.chance
        self.big = chance.random() < 0.15
        self.buffers = chance.random() < 0.5
        self.script = Script(
            seed,
            chance.choice([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]),
            (self.buffer(), self.buffer()),
            chance.random() < 0.2,
            chance.choice([0, 0, 0, 0, 1, 2]),
            self.big,
        )
        # The records of a list are not the same, so that they cannot be carried by the byte.
        self.lines = chance.random() < 0.5
        self.room = 0

    def buffer(self) -> int:
        """Return a buffered protocol's size of buffer; 0 for a protocol without."""
        return self.chance.choice([0, 100, 1000, 16_384, 70_000]) if self.buffers else 0

    def write(self) -> Script:
        script, chance = self.script, self.chance
        script.ending = chance.choice(["close", "close both"] if self.big else self.endings)
        # Where the end is a matter of time, it has not begun before.
        self.calm = self.big or script.ending == "mute"
        for _ in range(chance.randrange(1, 9)):
            self.room = 400_000 if self.big else 50_000
            actions = [self.action() for _ in range(chance.choice([1, 1, 2, 3, 8]))]
            script.steps.append(Step(actions, self.delivery()))
        return script

    def delivery(self) -> tuple[str, int]:
        if self.lines or self.big:
            return self.chance.choice([("all", PIECE), ("all", PIECE), ("none", 0)])
        return self.chance.choice(
            [
                ("all", PIECE),
                ("all", self.chance.choice([100, 1000, 17_000])),
                ("but", self.chance.choice([1, 5, 20, 100])),
                ("none", 0),
            ]
        )

    def action(self) -> tuple[int, str, Any]:
        chance = self.chance
        kinds = ["write"] * 6 + ["lines"] * 3 + ["pause", "resume", "resume"]
        kinds += ["limits", "read limits", "look", "collect", "small"]
        if not self.calm:
            kinds += ["react"] * 3 + ["protocol"]
            if chance.random() < 0.1:
                kinds += ["close", "abort", "close"]
        kind = chance.choice(kinds)
        return chance.randrange(2), kind, self.argument(kind)

    def argument(self, kind: str) -> Any:
        chance = self.chance
        match kind:
            case "write":
                return self.piece()
            case "small":
                # Each costs the kernel as much as many bytes: more would not all fit.
                return chance.randrange(1, 25)
            case "lines":
                pieces = [self.piece(3000) for _ in range(chance.randrange(6))]
                shape = chance.choice(["list", "tuple", "iterator"] if self.lines else ["iterator"])
                deeds = ["", "raise"] if self.calm else ["", "", "", "close", "raise"]
                return shape, pieces, chance.choice(deeds)
            case "limits":
                return chance.choice([0, 1, 5000, 100_000, None])
            case "read limits":
                # A low mark pauses the connection below. Its end is then heard of while a buffered
                # protocol reads, buffer by buffer, and asyncio loses what it has not read; and with
                # a mark of 0 it matters how much is received at once.
                usual = [100_000, None]
                return chance.choice(usual if self.big or self.buffers else [0, 1, 5000, *usual])
            case "react":
                deeds = ["write", "write", "close", "abort", "pause", "raise", "exit", "stop"]
                deeds += ["protocol", "lines", "look", "collect"]
                deed = chance.choice(deeds)
                return chance.choice([1, 10, 1000, 20_000]), deed, self.argument(deed)
            case "protocol":
                return self.buffer()
        return None

    def piece(self, most: int = 40_000) -> tuple[str, bytes]:
        chance = self.chance
        kind = chance.choice(["bytes"] * 4 + ["bytearray", "memoryview", "derived", "integers"])
        sizes = [0, 1, 1, 10, 100, 1000, 16_384, 16_385, chance.randrange(most)]
        if self.big:
            sizes += [200_000, 400_000]
        size = min(chance.choice(sizes), self.room)
        self.room -= size
        if kind == "integers":
            size -= size % 4
        return kind, chance.randbytes(size)


class Wire:
    """Two connections, of which the ends have one side each; the other sides are worked here."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []
        self.socks: list[socket.socket] = []
        for _ in range(2):
            end, sock = socket.socketpair()
            for each in (end, sock):
                each.setblocking(False)
            self.ends.append(end)
            self.socks.append(sock)
        self.waiting = [bytearray(), bytearray()]
        self.finished = [False, False]
        self.passed_on = [False, False]
        self.garble = False

    def fetch(self) -> None:
        """Take what the ends have sent."""
        for sock, waiting, number in zip(self.socks, self.waiting, range(2), strict=True):
            try:
                while data := sock.recv(1 << 18):
                    waiting += data
            except BlockingIOError:
                continue
            except OSError:
                pass
            self.finished[number] = True

    def carry(self, piece: int, keep: int = 0) -> bool:
        """Hand over a piece each way; whether there was anything."""
        self.fetch()
        moved = False
        for number, waiting in enumerate(self.waiting):
            amount = min(piece, len(waiting) - keep)
            if amount <= 0:
                continue
            if self.garble and len(waiting) > 5:
                waiting[min(len(waiting) - 1, 12)] ^= 1
                self.garble = False
            try:
                amount = self.socks[1 - number].send(waiting[:amount])
            except BlockingIOError:
                continue
            except OSError:
                # Nobody is there any more.
                amount = len(waiting)
            del waiting[:amount]
            moved = True
        return moved

    def pass_ends_on(self) -> bool:
        """An end that is over is over for the other one too, once all is carried."""
        moved = False
        for number in range(2):
            if self.finished[number] and not self.waiting[number] and not self.passed_on[number]:
                self.cut(1 - number)
                self.passed_on[number] = moved = True
        return moved

    def cut(self, number: int) -> None:
        """Say to this end that nothing more comes."""
        with contextlib.suppress(OSError):
            self.socks[number].shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for sock in self.socks:
            sock.close()
