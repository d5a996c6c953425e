"""Draw the pictures of the guide into docs/figures: boxes, arrows and timelines, as SVG.

A picture is as wide as a telephone, and follows the colours of the page: see the style below, and
docs/stylesheets/extra.css for pages with a switch of their own.

Usage: python scripts/figures.py [--check]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FIGURES = Path(__file__).resolve().parent.parent / "docs/figures"
WIDTH = 420

STYLE = """\
.drawing{--ink:#1f2933;--soft:#52606d;--paper:#fff;--box:#eef1f5;--line:#7b8794;--work:#c2500c;\
--wait:#c5ced8;--other:#2563a8}
@media (prefers-color-scheme:dark){.drawing{--ink:#e8ecf1;--soft:#aab6c4;--paper:#1e2129;\
--box:#2c313c;--line:#8592a3;--work:#f08a4b;--wait:#4a5464;--other:#7ab2f0}}
.drawing text{fill:var(--ink);font-family:system-ui,sans-serif;font-size:13px}
.drawing .soft{fill:var(--soft);font-size:12px}
.drawing .code{font-family:ui-monospace,monospace;font-size:12px}
.drawing .bold{font-weight:600}
.drawing .on{fill:var(--paper)}
.drawing .paper{fill:var(--paper)}
.drawing .box{fill:var(--box);stroke:var(--line)}
.drawing .work{fill:var(--work)}
.drawing .other{fill:var(--other)}
.drawing .wait{fill:var(--wait)}
.drawing .line{fill:none;stroke:var(--line);stroke-width:1.5}
.drawing .head{fill:var(--line)}"""


@dataclass
class Drawing:
    """A picture that grows downwards."""

    title: str
    height: int
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Write words with their baseline at ``y``."""
        style = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box") -> None:
        """A rectangle; a ``box`` has round corners."""
        corner = ' rx="6"' if kind == "box" else ' rx="2"'
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{corner} '
            f'class="{kind}"/>'
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through the points, with a head at the last."""
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        self.parts.append(f'<path d="{path}" class="line"/>')
        (from_x, from_y), (x, y) = points[-2:]
        across, down = (x > from_x) - (x < from_x), (y > from_y) - (y < from_y)
        corners = [
            (x, y),
            (x - 8 * across - 4 * down, y - 8 * down - 4 * across),
            (x - 8 * across + 4 * down, y - 8 * down + 4 * across),
        ]
        head = " ".join(f"{a:g},{b:g}" for a, b in corners)
        self.parts.append(f'<polygon points="{head}" class="head"/>')

    def svg(self) -> str:
        """The file."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" '
            f'viewBox="0 0 {WIDTH} {self.height}">\n<title>{escape(self.title)}</title>\n'
            f"<style>\n{STYLE}\n</style>\n"
            f'<rect class="paper" width="{WIDTH}" height="{self.height}" rx="8"/>\n{body}\n</svg>\n'
        )


# --- timelines: four requests, each a moment of work, a wait for the peer, a moment of work -----

REQUESTS = 4
WORK, WAIT = 1.0, 6.0


@dataclass
class Bar:
    """What one row does for some time: works, waits, or stands in the queue for the processor."""

    row: int
    start: float
    end: float
    kind: str


def one_by_one() -> list[Bar]:
    """One thread, blocking: each request begins when the last has ended."""
    bars = []
    for request in range(REQUESTS):
        start = request * (WORK + WAIT + WORK)
        bars += [
            Bar(request, start, start + WORK, "work"),
            Bar(request, start + WORK, start + WORK + WAIT, "wait"),
            Bar(request, start + WORK + WAIT, start + WORK + WAIT + WORK, "work"),
        ]
    return bars


def interleaved(*, switch: float) -> list[Bar]:
    """Requests that wait side by side and work in turn; each turn begins with a switch."""
    bars = []
    free = 0.0
    asked = []
    for request in range(REQUESTS):
        start = free + switch
        free = start + WORK
        bars.append(Bar(request, start, free, "work"))
        asked.append(free)
    for request, since in enumerate(asked):
        answered = since + WAIT
        start = max(free, answered) + switch
        bars += [
            Bar(request, since, start, "wait"),
            Bar(request, start, start + WORK, "work"),
        ]
        free = start + WORK
    return bars


def timelines() -> Drawing:
    """The same four requests in three ways."""
    ways = [
        ("Blocking, one by one", "one thread, which waits most of the time", one_by_one()),
        ("Threads", "one to a request; the system switches", interleaved(switch=0.3)),
        (
            "Tasks on an event loop",
            "one thread; it switches where it awaits",
            interleaved(switch=0),
        ),
    ]
    longest = max(bar.end for _, _, bars in ways for bar in bars)
    scale = (WIDTH - 40) / longest
    row, block = 16, 138
    drawing = Drawing(
        "Four requests over time: one after the other, in threads, and as tasks of an event loop",
        len(ways) * block + 44,
    )
    for number, (name, what, bars) in enumerate(ways):
        top = 12 + number * block
        drawing.text(20, top + 14, name, "bold")
        drawing.text(20, top + 32, what, "soft")
        for bar in bars:
            drawing.box(
                20 + bar.start * scale,
                top + 42 + bar.row * row,
                (bar.end - bar.start) * scale,
                row - 4,
                bar.kind,
            )
        end = max(bar.end for bar in bars)
        drawing.arrow((20, top + 113), (20 + end * scale, top + 113))
    base = len(ways) * block + 26
    drawing.box(20, base - 10, 22, 12, "work")
    drawing.text(48, base, "works")
    drawing.box(110, base - 10, 22, 12, "wait")
    drawing.text(138, base, "waits for the other side")
    drawing.text(WIDTH - 20, base, "time →", "soft", "end")
    return drawing


# --- the loop ------------------------------------------------------------------------------------


def loop() -> Drawing:
    """What an event loop does, over and over."""
    drawing = Drawing(
        "An event loop: it asks the kernel, moves what is due to the ready queue, runs what is "
        "ready, and begins again",
        384,
    )
    steps = [
        ("1  ask the kernel", "which descriptors are ready?", "sleeps here if nothing else is"),
        ("2  look at the timers", "which are due by now?", "sleep, call_later, timeout"),
        ("3  run what is ready", "callbacks, and steps of tasks", "as many as there are now"),
    ]
    for number, (name, what, more) in enumerate(steps):
        top = 20 + number * 108
        drawing.box(96, top, 300, 76)
        drawing.text(246, top + 24, name, "bold", "middle")
        drawing.text(246, top + 44, what, "", "middle")
        drawing.text(246, top + 62, more, "soft", "middle")
        if number < 2:
            drawing.arrow((246, top + 76), (246, top + 106))
            drawing.text(258, top + 96, "into the ready queue", "soft")
    drawing.arrow((96, 274), (70, 274), (70, 58), (94, 58))
    drawing.text(62, 170, "again", "soft", "end")
    drawing.text(210, 344, "A step runs until the task awaits something that is not", "", "middle")
    drawing.text(210, 364, "there yet. Then the next one has its turn.", "", "middle")
    return drawing


# --- how aioxide is built ------------------------------------------------------------------------


def layers() -> Drawing:
    """From the kernel to the program."""
    rows = [
        ("the kernel", "sockets, pipes, signals, files", "readiness, or completion for files"),
        ("aioxide-driver", "epoll, io_uring, name resolver", "system calls; no Python"),
        ("aioxide-core", "ready queue, timers, flow control", "no system calls; no Python"),
        ("_aioxide", "loop, task, future, transports", "the extension: both meet here"),
        ("aioxide", "asyncio's names, connections, run", "Python, on asyncio's hooks"),
        ("your program", "async def, await", "unchanged"),
    ]
    drawing = Drawing("The layers of aioxide, from the kernel to the program", len(rows) * 62 + 22)
    for number, (name, what, rule) in enumerate(rows):
        top = 16 + number * 62
        drawing.box(20, top, WIDTH - 40, 46)
        drawing.text(34, top + 20, name, "code bold" if 0 < number < 5 else "bold")
        drawing.text(WIDTH - 34, top + 20, what, "", "end")
        drawing.text(WIDTH - 34, top + 37, rule, "soft", "end")
        if number:
            drawing.arrow((70, top - 16), (70, top - 2))
    return drawing


def byte() -> Drawing:
    """What happens between a packet and the line after `await reader.read()`."""
    steps = [
        ("kernel", "a packet fills the socket's buffer", "other"),
        ("driver", "epoll_wait reports the descriptor", "other"),
        ("loop", "runs the transport from its ready queue", "work"),
        ("transport", "recv into one buffer that it reuses", "work"),
        ("reader", "the waiting read gets a bytes of it", "work"),
        ("future", "what the task waits on is done", "work"),
        ("task", "its step goes into the ready queue", "work"),
        ("coroutine", "goes on in the next turn", "other"),
    ]
    drawing = Drawing(
        "The way of a byte from the socket to the coroutine that awaits it", len(steps) * 46 + 20
    )
    for number, (who, what, kind) in enumerate(steps):
        top = 16 + number * 46
        drawing.box(20, top, 6, 32, kind)
        drawing.box(30, top, WIDTH - 50, 32)
        drawing.text(42, top + 21, who, "bold")
        drawing.text(132, top + 21, what)
        if number:
            drawing.arrow((80, top - 14), (80, top - 2))
    return drawing


DRAWINGS = {"timelines": timelines, "loop": loop, "layers": layers, "byte": byte}


def main() -> int:
    """Write the pictures, or tell which are not what would be written."""
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: python scripts/figures.py [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, draw in DRAWINGS.items():
        path = FIGURES / f"{name}.svg"
        made = draw().svg()
        if not path.exists() or path.read_text(encoding="utf-8") != made:
            stale.append(name)
        if not sys.argv[1:]:
            path.write_text(made, encoding="utf-8")
    if sys.argv[1:] and stale:
        print(f"out of step: {', '.join(stale)}: python scripts/figures.py", file=sys.stderr)
    return bool(sys.argv[1:] and stale)


if __name__ == "__main__":
    sys.exit(main())
