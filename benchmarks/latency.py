"""How long an answer takes while the server is half busy: quantiles of the latency, side by side.

    python benchmarks/latency.py
    python benchmarks/latency.py --rate 20000      messages per second, the same for each row

An open loop: messages leave at a fixed rate, whether the server keeps up or not, and the time of a
message begins when it was due. The rate is half of what asyncio's own loop takes in a closed loop,
measured once for each row; every column then has the same one.

A virtual machine stands still for milliseconds now and then, and whoever is measured then has the
tail of it, a bare server in Rust as well. So the 99 % quantile is that of each slice alone, and the
lower quartile of them counts, what a calm moment gives; the 99.9 % quantile is of all answers of a
round, and has those stops in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from typing import TYPE_CHECKING

import served
from benchmark import Setting, main
from child import PATIENCE
from options import positive
from served import MODES, SIZES, Row, Session, size_text
from spread import Detail

if TYPE_CHECKING:
    import argparse

    import harness
    from child import Child

CONNECTIONS = 100
CAPACITY_SECONDS = 0.5


@functools.cache
def half_of_capacity(row: Row, cpu: int | None, load_cpu: int | None) -> float:
    """Half of the messages per second that asyncio's own loop takes, in two digits."""
    import argparse

    setting = Setting(CAPACITY_SECONDS, 1, cpu, load_cpu, argparse.Namespace())
    closed = dataclasses.replace(row, load=("load", *row.load))
    with contextlib.ExitStack() as stack:
        session = served.open_session(stack, setting, closed, "asyncio")
        session.slice()
        return float(f"{session.result()['operations_per_second'] / 2:.1e}")


def open_session(
    stack: contextlib.ExitStack, setting: Setting, row: Row, column: str
) -> harness.Session:
    rate = setting.options.rate or half_of_capacity(row, setting.cpu, setting.load_cpu)
    server, where = served.start_server(stack, row, column, setting)
    command = [served.loadgen(), "paced", "--rate", str(rate), *row.load, *where]
    command += [*served.timing(setting), *served.pinned(setting.load_cpu)]
    return PacedSession(server, served.start_load(stack, command), setting.slice_seconds + PATIENCE)


class PacedSession(Session):
    """Keeps the quantile of each slice."""

    def __init__(self, server: Child, load: Child, limit: float) -> None:
        super().__init__(server, load, limit)
        self._p99_us: list[float] = []

    def slice(self) -> None:
        super().slice()
        self._p99_us.append(self.answer["run_p99_ns"] / 1000)

    def result(self) -> harness.Values:
        result = super().result()
        calm = sorted(self._p99_us)[len(self._p99_us) // 4]
        return {**result, "p99_us": calm, "all_p99_us": result["p99_us"]}


def row(mode: str, size: int) -> Row:
    return Row(
        name=f"{mode}-{SIZES[size]}",
        title=f"latency, {MODES[mode]}, {CONNECTIONS} x {size_text(size)}",
        server=("echo_server", mode),
        load=("--size", str(size), "--connections", str(CONNECTIONS)),
        floor=("serve",) if mode == "protocol" else None,
        short=size == 64,
    )


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=positive,
        help="messages per second for the latency rows (half of asyncio's capacity)",
    )


BENCHMARK = served.benchmark(
    name="latency",
    title="Latency of a half-busy server",
    about=(
        "Messages leave at a fixed rate, half of what asyncio's loop takes at most, and their time "
        "begins when they were due: nothing is left out because the server was slow."
    ),
    rows=[row(mode, size) for mode in ("protocol", "streams") for size in (64, 10240)],
    open_session=open_session,
    key="p99_us",
    legend=(
        "99 % of a slice's answers came within, lower quartile of the slices (half of all "
        "answers, 99.9 % of them; messages per second)"
    ),
    seconds=2.0,
    quick_seconds=0.5,
    slices=lambda _row, usual: 4 * usual,
    detail=Detail("{}, {}; {}/s", ("p50_us", "p999_us", "rate")),
    arguments=arguments,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
