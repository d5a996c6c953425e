"""Daemon threads that are inside aioxide when the interpreter ends.

CPython stops a daemon thread where it next asks for the GIL, and up to 3.13 it does so by
unwinding the thread's stack. Each program starts a daemon thread which blocks in Python code
that an object of ours has called; the main thread ends, and wakes the daemon thread during
finalization. The process must exit with status 0, as it does with asyncio's own classes.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.aioxide_only  # asyncio runs in each of them, as the control

# `block()` returns control to nobody: it reads from a pipe that is written to when `sys` is taken
# down.
PREAMBLE = """
    import asyncio, contextvars, gc, os, queue, sys, threading, time, traceback, weakref
    if sys.argv[1] == "asyncio":
        new_event_loop = asyncio.SelectorEventLoop
    else:
        import aioxide
        aioxide.install()
        new_event_loop = aioxide.new_event_loop

    blocked = threading.Event()
    reading, writing = os.pipe()

    def block(*args, **kwargs):
        sys.slow_end.thread = f"/proc/self/task/{threading.get_native_id()}"
        blocked.set()
        os.read(reading, 1)
        return 0

    class SlowEnd:
        # Runs while the interpreter is being finalized. A thread that is ended is gone at once;
        # one that
        # hangs for ever is given 100 ms to prove that it does.
        def __del__(self, write=os.write, exists=os.path.exists, sleep=time.sleep, end=writing):
            write(end, b"x")
            for _ in range(100):
                if not exists(self.thread):
                    break
                sleep(0.001)

    class Blocking:
        __lt__ = __eq__ = __repr__ = block

    class BlocksWhenDropped:
        def __del__(self):
            block()

    class BlockingError(Exception):
        def __init__(self):
            block()

    class Suspended:
        # An awaitable that suspends once.
        def __await__(self):
            yield

    sys.slow_end = SlowEnd()

    def start(target, *args):
        threading.Thread(target=target, args=args, daemon=True).start()
        if not blocked.wait(30):
            sys.exit("nothing has called block()")

    def run_in_loop(body, factory=new_event_loop):
        def run():
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(body())
        start(run)

    def call(function):
        # A loop that is not running: the thread needs none.
        start(function, new_event_loop())
"""

OUTSIDE = {
    "a comparison of queue items": """
        items = asyncio.PriorityQueue()
        items.put_nowait(Blocking())
        start(items.put_nowait, Blocking())
    """,
    "a comparison of callbacks": """
        def remove(loop):
            future = loop.create_future()
            future.add_done_callback(Blocking())
            future.remove_done_callback(print)
        call(remove)
    """,
    "the representation of a result": """
        def represent(loop):
            future = loop.create_future()
            future.set_result(Blocking())
            repr(future)
        call(represent)
    """,
    "the representation of a callback": """
        class Callback:
            __repr__ = __call__ = block
        call(lambda loop: repr(loop.call_soon(Callback())))
    """,
    "a class of exceptions": """
        call(lambda loop: loop.create_future().set_exception(BlockingError))
    """,
    "arguments that are dropped": """
        def drop(loop):
            loop.call_soon(print, BlocksWhenDropped()).cancel()
        call(drop)
    """,
    "a result that is dropped": """
        def drop(loop):
            loop.create_future().set_result(BlocksWhenDropped())
        call(drop)
    """,
    "a weak reference's callback": """
        def drop(loop):
            future = loop.create_future()
            kept.append(weakref.ref(future, block))
            del future
        kept = []
        call(drop)
    """,
    "an attribute that is dropped": """
        def drop(loop):
            future = loop.create_future()
            future.attribute = BlocksWhenDropped()
            del future
        call(drop)
    """,
    "a cycle that is collected": """
        def collect(loop):
            future = loop.create_future()
            future.set_result([future, BlocksWhenDropped()])
            del future
            gc.collect()
        call(collect)
    """,
    "an exception handler": """
        def fail(loop):
            loop.set_exception_handler(block)
            loop.call_exception_handler({"message": "m"})
        call(fail)
    """,
    "the exception handler of a future that is dropped": """
        def fail(loop):
            loop.set_exception_handler(block)
            loop.create_future().set_exception(ValueError())
        call(fail)
    """,
    "a delay": """
        class Delay:
            __add__ = __radd__ = __gt__ = __lt__ = __eq__ = __bool__ = __float__ = block
        call(lambda loop: loop.call_later(Delay(), print))
    """,
    "a task factory": """
        async def nothing():
            pass
        def create(loop):
            loop.set_task_factory(block)
            coroutine = nothing()
            loop.create_task(coroutine)
        call(create)
    """,
    "a subclass's method": """
        class Loop(type(new_event_loop())):
            call_soon = block
        def schedule(loop):
            future = asyncio.Future(loop=Loop())
            future.add_done_callback(print)
            future.set_result(1)
        call(schedule)
    """,
    "a stream's limit": """
        class Limit:
            __le__ = __mul__ = __rmul__ = __index__ = __gt__ = __lt__ = block
        def feed(loop):
            reader = asyncio.StreamReader(limit=Limit(), loop=loop)
            reader.feed_data(b"x")
        call(feed)
    """,
    "an import": """
        class Finder:
            find_spec = block
        def load(loop):
            for name in [name for name in sys.modules if name.partition(".")[0] == "aioxide"]:
                del sys.modules[name]
            sys.modules.pop("concurrent.futures", None)
            sys.meta_path.insert(0, Finder)
            import aioxide
        call(load)
    """,
}

INSIDE = {
    "a callback": "asyncio.get_running_loop().call_soon(block); await asyncio.sleep(0)",
    "a timer": "asyncio.get_running_loop().call_later(0, block); await asyncio.sleep(1)",
    "a step of a task": "await asyncio.create_task(blocking())",
    "a callback of a future": """
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(block)
        future.set_result(None)
        await asyncio.sleep(0)
    """,
    "a native coroutine that is closed": """
        async def hold():
            try:
                await asyncio.sleep(10)
            finally:
                block()
        coroutine = asyncio.wait_for(hold(), 10)
        coroutine.send(None)
        coroutine.close()
    """,
    "wait_for": "await asyncio.wait_for(blocking(), 10)",
    "wait_for, after it was suspended": "await asyncio.wait_for(later(), 10)",
    "shield": "await asyncio.shield(later())",
    "gather": "await asyncio.gather(later(), later())",
    "wait": "await asyncio.wait([asyncio.create_task(later())])",
    "as_completed": "[await one for one in asyncio.as_completed([later()])]",
    "a task group": """
        async with asyncio.TaskGroup() as group:
            group.create_task(later())
    """,
    "a timeout": """
        async with asyncio.timeout(10):
            await later()
    """,
    "a context": """
        contextvars.copy_context().run(asyncio.create_task, later())
        await asyncio.sleep(1)
    """,
    "a condition's predicate": """
        condition = asyncio.Condition()
        async with condition:
            await condition.wait_for(block)
    """,
    "a reader": """
        one, other = os.pipe()
        os.write(other, b"x")
        asyncio.get_running_loop().add_reader(one, block)
        await asyncio.sleep(1)
    """,
    "a protocol": """
        class Protocol(asyncio.Protocol):
            connection_made = block
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
        await asyncio.open_connection(*server.sockets[0].getsockname())
        await asyncio.sleep(1)
    """,
    "received data": """
        class Protocol(asyncio.Protocol):
            data_received = block
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        await asyncio.sleep(1)
    """,
    "a stream's handler": """
        async def serve(reader, writer):
            await reader.readline()
            block()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x\\n")
        await asyncio.sleep(1)
    """,
}
HELPERS = """
    async def blocking():
        block()

    async def later():
        await Suspended()
        block()
"""


def loop_class(name: str) -> str:
    """Return the source of a loop factory."""
    return {
        "own loop": "new_event_loop",
        "stock loop": "asyncio.SelectorEventLoop",
        "uvloop": "__import__('uvloop').new_event_loop",
    }[name]


def run(source: str, implementation: str) -> tuple[int, str, str]:
    """Return the status, stdout and stderr of a program."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE) + source, implementation],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("whose", ["asyncio", "aioxide"])
@pytest.mark.parametrize("program", OUTSIDE)
def test_a_thread_without_a_loop(program: str, whose: str) -> None:
    assert run(textwrap.dedent(OUTSIDE[program]), whose) == (0, "", "")


@pytest.mark.parametrize(
    ("program", "factory"),
    [
        *((program, factory) for program in INSIDE for factory in ("own loop", "stock loop")),
        *((program, "uvloop") for program in INSIDE if "wait_for" in program),
    ],
)
def test_a_thread_that_runs_a_loop(program: str, factory: str) -> None:
    if factory == "uvloop":
        pytest.importorskip("uvloop")
    body = textwrap.indent(textwrap.dedent(INSIDE[program]), "    ")
    source = f"{textwrap.dedent(HELPERS)}\nasync def body():\n{body}\n"
    source += f"run_in_loop(body, {loop_class(factory)})\n"
    assert run(source, "aioxide") == (0, "", "")
