"""Patches of asyncio are honoured: of the loop object, of classes, of functions and their code.

Each program runs in a process of its own, on stock asyncio as the control and with ours installed,
and must print the same.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

INSTALL = "import aioxide\naioxide.install()\n"
PREAMBLE = "import asyncio, functools, sys, types\n"

#: name: (what runs before install, what runs after it)
PROGRAMS: dict[str, tuple[str, str]] = {
    "instance call_soon": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            original, seen = loop.call_soon, []
            def call_soon(callback, *args, context=None):
                seen.append(type(callback).__name__ != "")
                return original(callback, *args, context=context)
            loop.call_soon = call_soon
            async def work():
                await asyncio.sleep(0)
                future = loop.create_future()
                loop.call_soon(future.set_result, 1)
                await future
            await asyncio.gather(*(work() for _ in range(3)))
            await asyncio.wait_for(work(), 10)
            async with asyncio.timeout(10):
                await work()
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
            queue = asyncio.Queue(1)
            async def produce():
                for item in range(3):
                    await queue.put(item)
            task = asyncio.create_task(produce())
            for _ in range(3):
                await queue.get()
            await task
            print(len(seen))
            del loop.call_soon
            before = len(seen)
            await asyncio.gather(*(work() for _ in range(3)))
            print(len(seen) - before)
        asyncio.run(main())
        """,
    ),
    "instance create_task": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            original, seen = loop.create_task, []
            def create_task(coro, **options):
                seen.append(coro.__qualname__)
                return original(coro, **options)
            loop.create_task = create_task
            async def child():
                await asyncio.sleep(0)
            await asyncio.create_task(child())
            await asyncio.ensure_future(child())
            await asyncio.gather(child(), child())
            await asyncio.shield(child())
            await asyncio.wait([asyncio.ensure_future(child())])
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
            for each in asyncio.as_completed([child()]):
                await each
            print(seen)
        asyncio.run(main())
        """,
    ),
    "instance call_later, call_at, time, create_future": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            seen = []
            def patch(name):
                original = getattr(loop, name)
                def wrapper(*args, **kwargs):
                    seen.append(name)
                    return original(*args, **kwargs)
                setattr(loop, name, wrapper)
            for name in ("call_later", "call_at", "create_future"):
                patch(name)
            await asyncio.sleep(0.001)
            future = asyncio.Queue().get()
            try:
                await asyncio.wait_for(future, 0.001)
            except TimeoutError:
                pass
            print([name for name in seen if name != "call_at"], "call_at" in seen)
        asyncio.run(main())
        """,
    ),
    "instance methods that other methods call": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            seen = set()
            def patch(name):
                original = getattr(loop, name)
                def wrapper(*args, **kwargs):
                    seen.add(name)
                    return original(*args, **kwargs)
                setattr(loop, name, wrapper)
            for name in ("getaddrinfo", "sock_connect", "run_in_executor", "create_connection",
                         "create_server"):
                patch(name)
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost")
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port)
            print(await reader.read())
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            print(await asyncio.to_thread(int))
            print(sorted(seen))
        asyncio.run(main())
        """,
    ),
    "instance call_exception_handler": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            seen = []
            loop.call_exception_handler = lambda context: seen.append(context["message"][:21])
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            print(seen)
        asyncio.run(main())
        """,
    ),
    "class create_task after the loop is made": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            cls, seen = type(loop), []
            original = cls.create_task
            async def child():
                await asyncio.sleep(0)
            await asyncio.create_task(child())
            def create_task(self, coro, **options):
                seen.append(coro.__qualname__)
                return original(self, coro, **options)
            cls.create_task = create_task
            await asyncio.create_task(child())
            await asyncio.gather(child())
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
            cls.create_task = original
            await asyncio.create_task(child())
            print(seen)
        asyncio.run(main())
        """,
    ),
    "class call_soon after the loop is made": (
        "",
        """
        async def main():
            loop = asyncio.get_running_loop()
            cls, seen = type(loop), []
            original = cls.call_soon
            def call_soon(self, callback, *args, context=None):
                seen.append(1)
                return original(self, callback, *args, context=context)
            cls.call_soon = call_soon
            async def child():
                await asyncio.sleep(0)
            await asyncio.gather(child(), child())
            print(len(seen))
            cls.call_soon = original
        asyncio.run(main())
        """,
    ),
    "BaseEventLoop.create_task before": (
        """
        seen = []
        def patch(cls):
            original = cls.create_task
            def create_task(self, coro, **options):
                seen.append(coro.__qualname__)
                return original(self, coro, **options)
            cls.create_task = create_task
        patch(asyncio.BaseEventLoop)
        """,
        """
        async def child():
            await asyncio.sleep(0)
            return 1
        async def main():
            await asyncio.create_task(child())
            await asyncio.gather(child(), child())
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        asyncio.run(main())
        print(seen)
        """,
    ),
    "BaseEventLoop.create_task by its code": (
        """
        seen = []
        function = asyncio.BaseEventLoop.create_task
        inner = types.FunctionType(
            function.__code__, function.__globals__, "inner",
            function.__defaults__, function.__closure__,
        )
        inner.__kwdefaults__ = function.__kwdefaults__
        function.__globals__["_inner"], function.__globals__["_seen"] = inner, seen
        if "kwargs" in function.__code__.co_varnames:
            def create_task(self, coro, **kwargs):
                _seen.append(coro.__qualname__)
                return _inner(self, coro, **kwargs)
        else:
            def create_task(self, coro, *, name=None, context=None):
                _seen.append(coro.__qualname__)
                return _inner(self, coro, name=name, context=context)
        function.__code__ = create_task.__code__.replace(
            co_filename=function.__code__.co_filename,
            co_qualname=function.__code__.co_qualname,
        )
        """,
        """
        async def child():
            await asyncio.sleep(0)
        async def main():
            await asyncio.create_task(child())
        asyncio.run(main())
        print(seen)
        """,
    ),
    "BaseEventLoop.run_forever before": (
        """
        seen = []
        original = asyncio.BaseEventLoop.run_forever
        def run_forever(self):
            seen.append("begin")
            try:
                original(self)
            finally:
                seen.append("end")
        asyncio.BaseEventLoop.run_forever = run_forever
        """,
        """
        async def main():
            await asyncio.sleep(0)
            return "result"
        print(asyncio.run(main()), seen)
        """,
    ),
    "BaseEventLoop.call_soon, call_at and call_soon_threadsafe before": (
        """
        seen = []
        def patch(name):
            original = getattr(asyncio.BaseEventLoop, name)
            @functools.wraps(original)
            def wrapper(*args, **kwargs):
                seen.append(name)
                return original(*args, **kwargs)
            setattr(asyncio.BaseEventLoop, name, wrapper)
        for name in ("call_soon", "call_at", "call_later", "call_soon_threadsafe"):
            patch(name)
        """,
        """
        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.sleep(0.001)
            never = loop.call_at(loop.time() + 0.001, seen.append, "cancelled")
            never.cancel()
            event = asyncio.Event()
            loop.call_soon_threadsafe(event.set)
            await event.wait()
            await asyncio.sleep(0.003)
        asyncio.run(main())
        print({name: seen.count(name) for name in ("call_at", "call_later", "cancelled")})
        print(seen.count("call_soon") > 5, seen.count("call_soon_threadsafe") >= 1)
        """,
    ),
    "Handle._run before": (
        """
        seen = []
        original = asyncio.events.Handle._run
        def _run(self):
            seen.append(1)
            return original(self)
        asyncio.events.Handle._run = _run
        """,
        """
        async def child():
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        async def main():
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: None)
            loop.call_later(0.001, lambda: None)
            loop.set_exception_handler(lambda loop, context: seen.append(context["message"][:9]))
            loop.call_soon(lambda: 1 / 0)
            await asyncio.gather(child(), child())
            await asyncio.sleep(0.005)
        asyncio.run(main())
        print(len(seen), "Exception" in seen)
        """,
    ),
    "Handle._run while the loop runs": (
        "",
        """
        async def main():
            seen = []
            original = asyncio.events.Handle._run
            def _run(self):
                seen.append(1)
                return original(self)
            asyncio.events.Handle._run = _run
            await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            asyncio.events.Handle._run = original
            print(len(seen) >= 5)
        asyncio.run(main())
        """,
    ),
    "TaskGroup.create_task before": (
        """
        seen = []
        original = asyncio.TaskGroup.create_task
        def create_task(self, coro, **options):
            seen.append(coro.__qualname__)
            return original(self, coro, **options)
        asyncio.TaskGroup.create_task = create_task
        """,
        """
        async def child():
            await asyncio.sleep(0)
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        asyncio.run(main())
        print(seen)
        """,
    ),
    "TaskGroup.create_task before, by an object that passes for a function": (
        """
        seen = []
        class Wrapper:
            def __init__(self, function):
                self.function = function
            __class__ = types.FunctionType
            def __getattr__(self, name):
                return getattr(self.function, name)
            def __get__(self, instance, owner):
                return functools.partial(self, instance)
            def __call__(self, *args, **kwargs):
                seen.append("wrapper")
                return self.function(*args, **kwargs)
            def __eq__(self, other):
                return self.function == other
            __hash__ = None
        asyncio.TaskGroup.create_task = Wrapper(vars(asyncio.TaskGroup)["create_task"])
        asyncio.BaseEventLoop.create_task = Wrapper(vars(asyncio.BaseEventLoop)["create_task"])
        """,
        """
        async def child():
            await asyncio.sleep(0)
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        asyncio.run(main())
        print(seen)
        """,
    ),
    "Handle._run before, and sets what the handle calls": (
        """
        seen = []
        original = asyncio.events.Handle._run
        def _run(self):
            callback, args = self._callback, self._args
            def wrapper(*args):
                seen.append(1)
                return callback(*args)
            self._callback, self._args = wrapper, tuple(list(args))
            try:
                return original(self)
            finally:
                if self._callback is wrapper:
                    self._callback = callback
        asyncio.events.Handle._run = _run
        """,
        """
        async def main():
            loop = asyncio.get_running_loop()
            loop.call_soon(print, "some", "arguments")
            loop.call_later(0.001, print, 1, 2, 3, 4, 5)
            await asyncio.sleep(0.003)
            handle = loop.call_soon(print, "never")
            handle._callback, handle._args = print, ("changed",)
            await asyncio.sleep(0)
        asyncio.run(main())
        print(len(seen))
        """,
    ),
    "functions before": (
        """
        seen = []
        def patch(name):
            original = getattr(asyncio.tasks, name)
            @functools.wraps(original)
            def wrapper(*args, **kwargs):
                seen.append(name)
                return original(*args, **kwargs)
            setattr(asyncio.tasks, name, wrapper)
            setattr(asyncio, name, wrapper)
        for name in ("gather", "create_task", "wait_for"):
            patch(name)
        """,
        """
        async def child():
            await asyncio.sleep(0)
        async def main():
            await asyncio.gather(child())
            await asyncio.create_task(child())
            await asyncio.wait_for(child(), 10)
        asyncio.run(main())
        print(seen)
        """,
    ),
    "replaced get_running_loop": (
        "",
        """
        async def main():
            original, seen = asyncio.events.get_running_loop, []
            def get_running_loop():
                seen.append(1)
                return original()
            asyncio.events.get_running_loop = get_running_loop
            async def child():
                await asyncio.sleep(0)
            await asyncio.create_task(child())
            before = len(seen)
            asyncio.events.get_running_loop = original
            await asyncio.create_task(child())
            print(before, len(seen))
        asyncio.run(main())
        """,
    ),
}

#: Wraps a function in place, as tracers do: its code is replaced by a call of the wrapper.
WRAP = """
def wrap(function, seen):
    inner = types.FunctionType(
        function.__code__, function.__globals__, function.__name__,
        function.__defaults__, function.__closure__,
    )
    inner.__kwdefaults__ = function.__kwdefaults__
    code = function.__code__
    parameters = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames
    call = [f"{name}={name}" if i >= code.co_argcount else name
            for i, name in enumerate(names[:parameters])]
    signature = list(names[: code.co_argcount])
    rest = parameters
    if code.co_flags & 4:
        signature.append("*" + names[rest])
        call.insert(code.co_argcount, "*" + names[rest])
        rest += 1
    elif code.co_kwonlyargcount:
        signature.append("*")
    signature += names[code.co_argcount : parameters]
    if code.co_flags & 8:
        signature.append("**" + names[rest])
        call.append("**" + names[rest])
    key = "_wrapped_" + function.__name__
    function.__globals__[key] = (inner, seen)
    a, w = ("async ", "await ") if code.co_flags & 128 else ("", "")
    source = (f"{a}def f({', '.join(signature)}):\\n    {key}[1].append({function.__name__!r})\\n"
              f"    return {w}{key}[0]({', '.join(call)})")
    scope = {}
    exec(source, scope)
    function.__code__ = scope["f"].__code__
"""
CODE = (
    WRAP,
    """
    seen = []
    functions = (asyncio.gather, asyncio.create_task, asyncio.ensure_future, asyncio.sleep,
                 asyncio.wait_for, asyncio.wait, asyncio.TaskGroup.create_task)
    codes = [function.__code__ for function in functions]
    for function in functions:
        wrap(function, seen)
    async def child():
        await asyncio.sleep(0)
        return 1
    async def main():
        print(await asyncio.gather(child(), child()))
        print(await asyncio.create_task(child(), name="a name"))
        print(await asyncio.ensure_future(child()))
        print(await asyncio.wait_for(child(), timeout=10))
        print(len(await asyncio.wait([asyncio.create_task(child())], timeout=10)))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(child())
        print(task.result())
    asyncio.run(main())
    print(sorted(set(seen)), seen.count("sleep"))
    del seen[:]
    for function, code in zip(functions, codes):
        function.__code__ = code
    asyncio.run(main())
    print(seen)
    """,
)
PROGRAMS["code of functions after"] = CODE


def run(tmp_path: Path, before: str, after: str, *, install: bool) -> str:
    parts = [PREAMBLE, textwrap.dedent(before), INSTALL if install else "", textwrap.dedent(after)]
    program = tmp_path / ("ours.py" if install else "stock.py")
    program.write_text("\n".join(parts))
    ran = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return ran.stdout


@pytest.mark.aioxide_only
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_patch_is_seen(name: str, tmp_path: Path) -> None:
    before, after = PROGRAMS[name]
    expected = run(tmp_path, before, after, install=False)
    assert expected
    assert run(tmp_path, before, after, install=True) == expected


@pytest.mark.aioxide_only
def test_patches_are_seen_when_aioxide_was_imported_first(tmp_path: Path) -> None:
    for name, (before, after) in PROGRAMS.items():
        if "before" in name:
            expected = run(tmp_path, before, after, install=False)
            got = run(tmp_path, "import aioxide\n" + textwrap.dedent(before), after, install=True)
            assert got == expected, name


@pytest.mark.aioxide_only
def test_code_that_cannot_be_replaced_is_refused() -> None:
    import aioxide

    code = (lambda: None).__code__
    for function in (aioxide.Queue.get, aioxide.Lock.acquire, aioxide.EventLoop.sock_recv):
        with pytest.raises(AttributeError, match="runs natively, so its __code__ cannot be set"):
            function.__code__ = code
        assert function.__globals__["__name__"].startswith("asyncio.")
        assert function.__closure__ is None


@pytest.mark.aioxide_only
def test_patched_class_is_left_alone(tmp_path: Path) -> None:
    before = "asyncio.Lock.release = lambda self: None"
    after = """
    print(asyncio.Lock.__module__, asyncio.Queue.__module__)
    aioxide.uninstall()
    print(asyncio.Lock.__module__, asyncio.Queue.__module__)
    """
    expected = "asyncio.locks aioxide.queues\nasyncio.locks asyncio.queues\n"
    assert run(tmp_path, before, after, install=True) == expected
