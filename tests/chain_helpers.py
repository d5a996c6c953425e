"""Programs that make chains, rings and trees of tasks, each run in an interpreter of its own.

A program runs in a thread with a stack of 256 KiB, since a mistake ends the process. Where asyncio
gets through with a shallow one, aioxide must print the same. Where its recursion ends in a
RecursionError or in a crash of the interpreter's own C code, aioxide runs alone and prints the text
given here.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

STACK = 256 * 1024

PREAMBLE = """
    import asyncio, faulthandler, gc, sys, threading, warnings
    faulthandler.enable()
    warnings.simplefilter("ignore")
    name, n, stack = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if name == "asyncio":
        lib, new_event_loop = asyncio, asyncio.SelectorEventLoop
    else:
        import aioxide as lib
        from aioxide import new_event_loop

    def without_traceback(error):
        # The traceback of one exception that has crossed every task is the interpreter's to free.
        error.__traceback__ = None
        return error

    async def wait_for_it(box):
        try:
            await box[0]
        except asyncio.CancelledError as error:
            raise without_traceback(error)

    async def wait_for_all(children):
        try:
            await lib.gather(*children)
        except asyncio.CancelledError as error:
            raise without_traceback(error)

    def iterate(loop, times=1):
        for _ in range(times):
            loop.call_soon(loop.stop)
            loop.run_forever()

    def forget(loop, tasks):
        loop.set_exception_handler(lambda loop, context: None)
        for task in tasks:
            task._log_destroy_pending = False

    def make_chain(loop):
        last = loop.create_future()
        tasks = []
        for _ in range(n):
            last = loop.create_task(wait_for_it([last]))
            tasks.append(last)
        iterate(loop, 2)
        return tasks

    def finish(loop, tasks):
        while not tasks[-1].done():
            iterate(loop)
        print(all(task.cancelled() for task in tasks), {task.cancelling() for task in tasks})

    def make_nest():
        coroutine = lib.sleep(3600)
        for _ in range(n):
            coroutine = lib.wait_for(coroutine, 3600)
        return coroutine

    def begin(coroutine):
        try:
            coroutine.send(None)
        except RecursionError:
            print("RecursionError")
        return coroutine
"""

EPILOGUE = """
    def run():
        loop = new_event_loop()
        program(loop)
        if not loop.is_closed():
            loop.close()
        del loop
        gc.collect()
        print("end")

    threading.stack_size(stack)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
"""

# Each: the source of `program(loop)`, and what a deep one prints on aioxide before "end".
PROGRAMS: dict[str, tuple[str, str]] = {
    "a chain of tasks is cancelled": (
        """
        def program(loop):
            tasks = make_chain(loop)
            print(tasks[-1].cancel())
            finish(loop, tasks)
        """,
        "True\nTrue {1}",
    ),
    "a chain of tasks is cancelled before its last step": (
        """
        def program(loop):
            tasks = make_chain(loop)

            async def cancel_then_wait():
                asyncio.current_task().cancel()
                await wait_for_it([tasks[-1]])

            async def main():
                task = loop.create_task(cancel_then_wait())
                await asyncio.wait([task])
                tasks.append(task)

            loop.run_until_complete(main())
            finish(loop, tasks)
        """,
        "True {1}",
    ),
    "a chain of gatherings is cancelled": (
        """
        def program(loop):
            last = loop.create_future()
            tasks = []
            for _ in range(n):
                last = loop.create_task(wait_for_all([last]))
                tasks.append(last)
            iterate(loop, 2)
            print(tasks[-1].cancel())
            finish(loop, tasks)
        """,
        "True\nTrue {1}",
    ),
    "a tree of gatherings is cancelled": (
        """
        def program(loop):
            future = loop.create_future()
            level = [loop.create_task(wait_for_it([future])) for _ in range(n)]
            tasks = list(level)
            while len(level) > 1:
                pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
                level = [loop.create_task(wait_for_all(pair)) for pair in pairs]
                tasks += level
                iterate(loop)
            print(level[0].cancel())
            finish(loop, tasks)
        """,
        "True\nTrue {1}",
    ),
    "a chain of waiting tasks is dropped": (
        """
        def program(loop):
            tasks = make_chain(loop)
            forget(loop, tasks)
        """,
        "",
    ),
    "nested coroutines are closed, thrown into and dropped": (
        """
        def program(loop):
            async def main():
                begin(make_nest()).close()
                try:
                    begin(make_nest()).throw(ValueError())
                except BaseException as error:
                    print(type(error).__name__)
                begin(make_nest())
                make_nest().close()
                make_nest()
            loop.run_until_complete(main())
        """,
        # The outermost has ended with the RecursionError.
        "RecursionError\nRecursionError\nRuntimeError\nRecursionError",
    ),
    "futures that own each other are freed": (
        """
        def program(loop):
            last = None
            for _ in range(n):
                future = loop.create_future()
                future.set_result(last)
                last = future
        """,
        "",
    ),
    "futures that own each other by callbacks are freed": (
        """
        def program(loop):
            last = None
            for _ in range(n):
                future = loop.create_future()
                future.add_done_callback([last].__contains__)
                last = future
        """,
        "",
    ),
    "timers that own each other are freed": (
        """
        def program(loop):
            last = None
            for _ in range(n):
                last = loop.call_later(3600, print, last)
            loop.close()
        """,
        "",
    ),
    "exceptions that own futures are freed": (
        """
        def program(loop):
            last = None
            for _ in range(n):
                future = loop.create_future()
                future.set_exception(ValueError(last))
                future.exception()
                last = future
        """,
        "",
    ),
    "a chain is shown": (
        """
        def program(loop):
            tasks = make_chain(loop)
            try:
                print(repr(tasks[-1]).count("wait_for=") == n)
            except RecursionError:
                print("RecursionError")
            tasks[-1].cancel()
            finish(loop, tasks)
        """,
        "RecursionError\nTrue {1}",
    ),
}
# On asyncio these end in a RecursionError with a large stack, and in a crash with a small one.
RINGS: dict[str, tuple[str, str]] = {
    "a ring of tasks is cancelled": (
        """
        def program(loop):
            boxes = [[None] for _ in range(n)]
            tasks = [loop.create_task(wait_for_it(box)) for box in boxes]
            for i, box in enumerate(boxes):
                box[0] = tasks[(i + 1) % n]
            iterate(loop, 2)
            for _ in range(2):
                try:
                    tasks[0].cancel()
                except RecursionError:
                    print("RecursionError", {task.cancelling() for task in tasks})
            forget(loop, tasks)
        """,
        "RecursionError {1}\nRecursionError {2}",
    ),
    "a task that gathers itself is cancelled": (
        """
        def program(loop):
            async def main():
                for _ in range(n):
                    others.append(loop.create_task(lib.Event().wait()))
                await lib.sleep(0)
                await lib.gather(*others, asyncio.current_task())

            others = []
            task = loop.create_task(main())
            iterate(loop, 3)
            try:
                task.cancel()
            except RecursionError:
                print("RecursionError", {other.cancelling() for other in others})
            forget(loop, [task])
            iterate(loop, 2)
        """,
        "RecursionError {1}",
    ),
    "tasks of a derived class wait for each other": (
        """
        class DerivedTask(lib.Task):
            pass

        def program(loop):
            loop.set_task_factory(lambda loop, coro, **kw: DerivedTask(coro, loop=loop, **kw))
            tasks = make_chain(loop)
            try:
                tasks[-1].cancel()
            except RecursionError:
                print("RecursionError")
            forget(loop, tasks)
        """,
        "RecursionError",
    ),
    "a handle runs a handle": (
        """
        def program(loop):
            errors = []
            loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))

            def run(depth):
                if depth:
                    lib.Handle(run, (depth - 1,), loop)._run()

            run(n)
            print({type(error).__name__ for error in errors})
        """,
        "{'RecursionError'}",
    ),
}


def run_program(name: str, source: str, size: int, timeout: float = 120) -> tuple[int, str]:
    """Run one in a new interpreter; return its exit code and what it printed."""
    program = textwrap.dedent(PREAMBLE) + textwrap.dedent(source) + textwrap.dedent(EPILOGUE)
    arguments = [sys.executable, "-c", program, name, str(size), str(STACK)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout + done.stderr
