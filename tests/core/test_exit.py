"""The end of the interpreter: whatever a program leaves behind, it is quiet and ends well.

Each program runs in an interpreter of its own, on stock asyncio and on aioxide. What asyncio says
there (debug mode warns of what was not closed), aioxide says too, and nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from functools import cache

import pytest

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

# The second: asyncio's debug mode, all warnings, the debug hooks of Python's malloc, faulthandler.
MODES: dict[str, list[str]] = {"plain": [], "dev": ["-X", "dev"]}
PREAMBLE = """
    import asyncio, atexit, gc, os, signal, socket, sys, threading, time
    if sys.argv[1] == "asyncio":
        new_event_loop = asyncio.SelectorEventLoop
    else:
        from aioxide import new_event_loop

    class SlowEnd:
        # The interpreter is being taken down when this runs, and other threads get their turn.
        def __del__(self, sleep=time.sleep):
            sleep(0.05)

    sys.slow_end = SlowEnd()
"""
PROGRAMS = {
    "a loop that never ran": "loop = new_event_loop()",
    "a loop that ran": """
        loop = new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "a loop in a cycle": """
        loop = new_event_loop()
        loop.itself = loop
        loop.call_soon(loop.stop)
        loop.call_later(3600, print, loop)
    """,
    "callbacks and timers that wait": """
        loop = new_event_loop()
        for delay in range(100):
            loop.call_later(3600 + delay, print, "never")
            loop.call_soon(print, "never")
    """,
    "a future nobody looks at": """
        loop = new_event_loop()
        future = loop.create_future()
        future.add_done_callback(print)
        done = loop.create_future()
        done.set_result(1)
    """,
    "a task that has not begun": """
        loop = new_event_loop()
        async def never():
            await asyncio.sleep(3600)
        coroutine = never()
        task = loop.create_task(coroutine)
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "a task that waits": """
        loop = new_event_loop()
        async def wait():
            try:
                await asyncio.sleep(3600)
            finally:
                ends.append(1)
        ends = []
        task = loop.create_task(wait())
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "an exception nobody has asked for": """
        loop = new_event_loop()
        async def fail():
            raise ValueError("nobody looks")
        task = loop.create_task(fail())
        loop.run_until_complete(asyncio.sleep(0))
        task.exception()
    """,
    "an asynchronous generator half way": """
        loop = new_event_loop()
        async def numbers():
            try:
                for number in range(10):
                    yield number
            finally:
                await asyncio.sleep(0)
        async def body():
            generator = numbers()
            await anext(generator)
            return generator
        kept = loop.run_until_complete(body())
        loop.run_until_complete(kept.aclose())
    """,
    "signal handlers": """
        loop = new_event_loop()
        loop.add_signal_handler(signal.SIGTERM, print)
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "a signal on the way": """
        loop = new_event_loop()
        loop.add_signal_handler(signal.SIGUSR1, print, "never")
        os.kill(os.getpid(), signal.SIGUSR1)
    """,
    "watched descriptors": """
        loop = new_event_loop()
        one, other = socket.socketpair()
        loop.add_reader(one, print, loop)
        loop.add_writer(other, print, loop)
    """,
    "an open connection": """
        loop = new_event_loop()
        async def body():
            def connected(reader, writer):
                kept.append((reader, writer))
            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            kept.append(await asyncio.open_connection(*server.sockets[0].getsockname()))
            while len(kept) < 2:
                await asyncio.sleep(0.001)
            kept.append(server)
        kept = []
        loop.run_until_complete(body())
        for reader, writer in kept[:2]:
            writer.transport.abort()
        kept[2].close()
        loop.run_until_complete(asyncio.sleep(0.01))
    """,
    "closed by an exit handler": """
        loop = new_event_loop()
        loop.call_later(3600, print, "never")
        atexit.register(loop.close)
    """,
    "run by an exit handler": """
        loop = new_event_loop()
        async def body():
            await asyncio.sleep(0.001)
            return sys.is_finalizing()
        def run():
            assert loop.run_until_complete(body()) is False
            loop.close()
        atexit.register(run)
    """,
    "made by an exit handler": """
        async def body():
            await asyncio.sleep(0.001)
            one, other = socket.socketpair()
            with one, other:
                one.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(one, b"x")
        def run():
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(body())
        atexit.register(run)
    """,
    "an exit handler with a loop that runs in another thread": """
        loop = new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        async def body():
            await asyncio.sleep(0.001)
            return 5
        def stop():
            assert asyncio.run_coroutine_threadsafe(body(), loop).result(10) == 5
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        atexit.register(stop)
    """,
    "a destructor that uses a loop": """
        class Last:
            def __del__(self):
                self.loop.call_soon(len, ())
                self.loop.call_later(1, len, ())
                self.loop.create_future()
                self.loop.close()
        last = Last()
        last.loop = new_event_loop()
        sys.last_of_all = last
        del last
    """,
    "a thread whose loop sleeps": """
        def run():
            loop = new_event_loop()
            loop.call_soon(started.set)
            loop.run_forever()
        started = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        started.wait()
    """,
    "a thread whose loop has timers": """
        def tick(loop):
            loop.call_later(0.0005, tick, loop)
            started.set()
        def run():
            loop = new_event_loop()
            loop.call_soon(tick, loop)
            loop.run_forever()
        started = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        started.wait()
    """,
    "a thread whose loop is busy with callbacks": """
        def tick(loop):
            for _ in range(1000):
                pass
            loop.call_soon(tick, loop)
            started.set()
        def run():
            loop = new_event_loop()
            loop.call_soon(tick, loop)
            loop.run_forever()
        started = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        started.wait()
    """,
    "a thread whose loop is busy with a task": """
        async def spin():
            while True:
                for _ in range(1000):
                    pass
                started.set()
                await asyncio.sleep(0)
        def run():
            asyncio.Runner(loop_factory=new_event_loop).run(spin())
        started = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        started.wait()
    """,
    "a thread whose loop runs a loop": """
        async def spin():
            while True:
                for _ in range(1000):
                    pass
                started.set()
                await asyncio.sleep(0)
        def within():
            asyncio._set_running_loop(None)
            inner = new_event_loop()
            inner.run_until_complete(spin())
        def run():
            loop = new_event_loop()
            loop.call_soon(within)
            loop.run_forever()
        started = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        started.wait()
    """,
    "threads that call in": """
        def call():
            while True:
                loop.call_soon_threadsafe(len, ())
                started.set()
        loop = new_event_loop()
        started = threading.Event()
        for _ in range(3):
            threading.Thread(target=call, daemon=True).start()
        started.wait()
        loop.run_until_complete(asyncio.sleep(0.01))
    """,
    "threads that call into a loop of another": """
        def call():
            while True:
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.0001), loop).result()
                started.set()
        loop = new_event_loop()
        started = threading.Event()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        for _ in range(3):
            threading.Thread(target=call, daemon=True).start()
        started.wait()
    """,
    "a thread that is waited for": """
        def run():
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(asyncio.sleep(0.05))
        threading.Thread(target=run).start()
    """,
    "work in the executor": """
        loop = new_event_loop()
        loop.run_in_executor(None, time.sleep, 0.02)
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "an exit from inside": """
        loop = new_event_loop()
        loop.call_later(3600, print, "never")
        loop.call_soon(sys.exit, 0)
        loop.run_forever()
    """,
    "several loops one after another": """
        for _ in range(20):
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(asyncio.sleep(0))
        left = [new_event_loop() for _ in range(5)]
    """,
}


def normal(said: str) -> str:
    """Blank what differs between two runs, and between the names of the two loops."""
    said = re.sub(r"(?m)^Executing .* took .* seconds\n", "", said)  # on a machine that is busy
    said = re.sub(r"0x[0-9a-f]+", "0x..", said)
    said = re.sub(r"\bfd=\d+|port=\d+|\d{5,}", "N", said)
    return re.sub(r"<(asyncio\.unix_events\.)?_?(Unix)?(Selector)?EventLoop", "<Loop", said)


@cache
def run(program: str, implementation: str, mode: str) -> tuple[int, str, str]:
    """Return status, stdout and stderr of a program."""
    source = textwrap.dedent(PREAMBLE) + textwrap.dedent(PROGRAMS[program])
    done = subprocess.run(
        [sys.executable, *MODES[mode], "-c", source, implementation],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, normal(done.stderr)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_end_is_quiet(program: str, mode: str) -> None:
    assert run(program, "aioxide", mode) == (0, "", run(program, "asyncio", mode)[2])
