"""One implementation under one workload, in a process of its own.

Says how many operations a slice has, then runs one slice for each line on standard input and prints
its times, until that ends. The number of operations is chosen here so that a slice lasts about as
long as asked; finding it is the warm-up. CPU time of the whole process is taken, its helper threads
included. The garbage collector works as in any program; it is only run once by hand before the
first slice, so that nobody pays for the warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from implementations import IMPLEMENTATIONS, Environment, environment, new_loop, pin

if TYPE_CHECKING:
    from workload import Workload

MAXIMUM = 50_000_000


class Failures:
    """Exceptions that went to the loop's handler instead of to the workload."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.seen.append(f"{context.get('message')}: {context.get('exception')!r}")


def timed(run: Callable[[], object]) -> dict[str, int]:
    """What a slice took: CPU and wall time in nanoseconds, the kernel's split in microseconds."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    run()
    cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_ns": cpu,
        "wall_ns": wall,
        "user_us": round((after.ru_utime - before.ru_utime) * 1e6),
        "system_us": round((after.ru_stime - before.ru_stime) * 1e6),
        "preempted": after.ru_nivcsw - before.ru_nivcsw,
    }


def operations(env: Environment, workload: Workload, n: int) -> dict[str, int]:
    """What n operations of the workload took."""
    return timed(lambda: env.loop.run_until_complete(workload.run(env, n)))


def calibrate(env: Environment, workload: Workload, seconds: float) -> int:
    """How many operations last about `seconds`."""
    unit = workload.unit
    if workload.operations is not None:
        operations(env, workload, max(unit, workload.operations // 10))
        return workload.operations
    n = unit
    while n < MAXIMUM:
        cpu = operations(env, workload, n)["cpu_ns"]
        if cpu > seconds * 1e9 / 8:
            n = int(n * seconds * 1e9 / cpu)
            if n > unit:
                operations(env, workload, n // unit * unit)
            break
        n *= 4
    return max(unit, min(n, MAXIMUM) // unit * unit)


def say(message: Mapping[str, int | str]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(workload: Workload, name: str, seconds: float, port: int | None = None) -> None:
    """Calibrate, then a slice for each line; raises where the workload found a wrong result."""
    implementation = IMPLEMENTATIONS[name]
    loop = new_loop(implementation)
    failures = Failures()
    loop.set_exception_handler(failures)
    try:
        env = environment(implementation, loop, port)
        n = calibrate(env, workload, seconds)
        gc.collect()
        say({"operations": n})
        for _ in sys.stdin:
            took = operations(env, workload, n)
            if failures.seen:
                raise RuntimeError(f"errors in callbacks, first {failures.seen[0]}")
            say(took)
    finally:
        loop.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Slices of a workload; started by looped.py.")
    parser.add_argument("module", help="where the table WORKLOADS is")
    parser.add_argument("workload")
    parser.add_argument("implementation", choices=IMPLEMENTATIONS)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of a slice")
    parser.add_argument("--port", type=int, help="where a server for the workload is")
    parser.add_argument(
        "--install", action="store_true", help="aioxide in place of asyncio, for a library"
    )
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    if not gc.isenabled():
        sys.exit("the garbage collector is off: not what users have")
    try:
        if options.install:
            importlib.import_module("aioxide").install()
        workload = importlib.import_module(options.module).WORKLOADS[options.workload]
        serve(workload, options.implementation, options.seconds, options.port)
    except Exception as error:
        # Said here and not left to the traceback: what a loop leaves behind complains after it.
        say({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
