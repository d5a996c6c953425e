"""Processes: a pipeline with backpressure, exit codes, timeouts, and none left behind.

`producer | consumer` is two processes and a pipe between them, which the kernel stops and starts.
Where the program itself stands in between, `drain` does that: it reads no more than the next
process takes. A process that is too slow is ended by terminate, and by kill if that does not help.

Runs by `aioxide.run` with asyncio's names: the loop starts the processes and waits for them.
"""

from __future__ import annotations

from _support import command_line

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import aioxide

LINES = 200_000


async def by_the_kernel() -> None:
    """`seq | gzip | gunzip | wc -l`: data does not pass through this program."""
    commands = [("seq", str(LINES)), ("gzip", "-1"), ("gunzip",), ("wc", "-l")]
    processes: list[Process] = []
    source: int | None = None
    for command in commands:
        is_last = command == commands[-1]
        reading, writing = (None, PIPE) if is_last else os.pipe()
        try:
            processes.append(
                await asyncio.create_subprocess_exec(*command, stdin=source, stdout=writing)
            )
        finally:
            # The child has its own; a pipe ends when nobody holds its writing end.
            if source is not None:
                os.close(source)
            if not is_last:
                os.close(writing)
        source = reading
    output, _ = await processes[-1].communicate()
    codes = await asyncio.gather(*(process.wait() for process in processes))
    print(f"seq | gzip | gunzip | wc: {output.decode().strip()} lines, exit codes {codes}")


async def through_the_program() -> None:
    """Read lines of one process, change some, write them to the next."""
    seq = await asyncio.create_subprocess_exec("seq", str(LINES // 10), stdout=PIPE)
    sort = await asyncio.create_subprocess_exec("sort", "-rn", stdin=PIPE, stdout=PIPE)
    assert seq.stdout
    assert sort.stdin
    assert sort.stdout

    async def feed(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        async for line in source:
            if int(line) % 2:
                target.write(line)
                await target.drain()  # waits while the pipe is full
        target.close()

    # Both at once: each waits for the other when its pipe is full.
    _, output = await asyncio.gather(feed(seq.stdout, sort.stdin), sort.stdout.read())
    lines, codes = output.split(), await asyncio.gather(seq.wait(), sort.wait())
    print(f"seq | odd ones | sort: {len(lines)} lines, first {lines[0]!r}, exit codes {codes}")


async def how_it_ended() -> None:
    shell = await asyncio.create_subprocess_shell(
        "echo fine; echo broken >&2; exit 3", stdout=PIPE, stderr=PIPE
    )
    out, err = await shell.communicate()
    print(f"shell: {out!r}, {err!r}, exit code {shell.returncode}")


async def too_slow(grace: float, *command: str) -> None:
    """Wait a while, ask it to end, wait `grace` seconds more, end it."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout
    try:
        await process.stdout.readline()  # it is up, and has set its signal handlers
        async with asyncio.timeout(0.05):
            await process.wait()
    except TimeoutError:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    finally:
        # However this ends: the process does, and somebody waits for it.
        if process.returncode is None:
            process.kill()
        code = await process.wait()
    print(f"too slow: ended by {signal.Signals(-code).name}")


async def main() -> None:
    print("pipelines of processes")
    await by_the_kernel()
    await through_the_program()
    await how_it_ended()
    await too_slow(5, "sh", "-c", "echo up; exec sleep 60")
    await too_slow(0.05, "sh", "-c", "trap '' TERM; echo up; exec sleep 60")


if __name__ == "__main__":
    with command_line(__doc__) as loop_factory:
        aioxide.run(main(), loop_factory=loop_factory)
