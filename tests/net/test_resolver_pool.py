"""Lookups that hang: nobody else waits for them, and nobody has to wait until they end.

For the native threads a library is put in front of the C library, in processes of their own: names
that begin with ``hang`` are not answered before they are released. For the Python threads
``socket.getaddrinfo`` is replaced.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from helpers import open_fds, turns, until

LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging, begun, released;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if (host && !strncmp(host, "hang", 4)) {
        if (hints && (hints->ai_flags & AI_NUMERICHOST))
            return EAI_NONAME;
        pthread_mutex_lock(&lock);
        hanging++;
        begun++;
        while (!released)
            pthread_cond_wait(&changed, &lock);
        hanging--;
        pthread_mutex_unlock(&lock);
        host = "127.0.0.1";
    }
    return ((lookup *)dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, found);
}

int lookups_hanging(void)
{
    pthread_mutex_lock(&lock);
    int count = hanging;
    pthread_mutex_unlock(&lock);
    return count;
}

int lookups_begun(void)
{
    pthread_mutex_lock(&lock);
    int count = begun;
    pthread_mutex_unlock(&lock);
    return count;
}

void release_lookups(void)
{
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
"""

PREAMBLE = """
import asyncio, ctypes, gc, os, socket, sys, threading
from pathlib import Path
import aioxide

c = ctypes.CDLL(None)
hanging, begun, release = c.lookups_hanging, c.lookups_begun, c.release_lookups

def threads():
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            names.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return names.count("aioxide-names")

async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)

def look_up(name="hang", count=1):
    loop = asyncio.get_running_loop()
    calls = [loop.getaddrinfo(f"{name}{n}", 80, type=1) for n in range(count)]
    return [loop.create_task(call) for call in calls]

def fds():
    return set(os.listdir("/proc/self/fd"))

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that makes lookups hang."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("hanging")
    source, built = folder / "hanging.c", folder / "hanging.so"
    source.write_text(LIBRARY)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", built, source, "-ldl", "-lpthread"], check=True
    )
    return built


Run = Callable[[str], str]


@pytest.fixture
def run(library: Path) -> Run:
    """Return a function that runs a program in which lookups hang, and returns what it prints."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", PREAMBLE + textwrap.dedent(program)],
            env={**os.environ, "LD_PRELOAD": str(library), "PYTHONMALLOC": "debug"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


pytestmark = pytest.mark.aioxide_only


def test_native_lookups_wait_for_no_executor_and_no_executor_for_them(run: Run) -> None:
    printed = run(
        """
        async def main():
            loop = asyncio.get_running_loop()
            gate = threading.Event()
            jobs = [loop.run_in_executor(None, gate.wait) for _ in range(50)]
            print((await loop.getaddrinfo("localhost", 80, family=2, type=1)) == ANSWER)
            gate.set()
            await asyncio.gather(*jobs)

            tasks = look_up(count=50)
            await until(lambda: hanging() == 32)
            print(threads(), await loop.run_in_executor(None, lambda: "done"))
            print(await loop.getaddrinfo("127.0.0.1", 80, type=1) == ANSWER)
            release()
            print(await asyncio.gather(*tasks) == [ANSWER] * 50, threads() <= 32)

        aioxide.run(main())
        """
    )
    assert printed.split("\n")[:-1] == ["True", "32 done", "True", "True True"]


def test_cancelled_native_lookups(run: Run) -> None:
    """Those that wait are never begun, the answers of the others are dropped."""
    printed = run(
        """
        async def main():
            loop = asyncio.get_running_loop()
            tasks = look_up(count=40)
            await until(lambda: hanging() == 32)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            print(all(task.cancelled() for task in tasks), loop._lookups, loop._counts())
            release()
            await until(lambda: not hanging())
            (task,) = look_up()
            print(await task == ANSWER, begun(), loop._counts())

        aioxide.run(main())
        """
    )
    first, second = printed.splitlines()
    assert first.startswith("True {} ")
    assert second.startswith("True 33 ")
    assert first.split("(")[1] == second.split("(")[1], "a watcher was left"


def test_closing_a_loop_with_native_lookups_in_flight(run: Run) -> None:
    """It waits for nobody; what comes late comes to nobody, and no descriptor is left."""
    printed = run(
        """
        before = fds()
        loop = aioxide.new_event_loop()
        async def begin():
            global tasks
            tasks = look_up(count=3)
            await until(lambda: hanging() == 3)
        loop.run_until_complete(begin())
        loop.close()
        print(hanging(), fds() == before, [task.done() for task in tasks])

        async def again():
            return await asyncio.get_running_loop().getaddrinfo("localhost", 80, family=2, type=1)
        print(aioxide.run(again()) == ANSWER, hanging())
        release()
        while threads():
            pass
        print(fds() == before, [task.done() for task in tasks])
        for task in tasks:
            task._log_destroy_pending = False
        del tasks
        """
    )
    assert printed.splitlines() == [
        "3 True [False, False, False]",
        "True 3",
        "True [False, False, False]",
    ]


@pytest.mark.parametrize("how", ["closed", "cancelled", "open", "exit"])
def test_the_interpreter_ends_with_native_lookups_in_flight(run: Run, how: str) -> None:
    printed = run(
        f"""
        how = {how!r}
        async def begin():
            global tasks
            tasks = look_up(count=40)
            await until(lambda: hanging() == 32)
            if how == "cancelled":
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        """
        """
        loop = aioxide.new_event_loop()
        loop.run_until_complete(begin())
        if how in {"closed", "cancelled"}:
            loop.close()
        for task in tasks:
            task._log_destroy_pending = False
        print(hanging(), flush=True)
        if how == "exit":
            loop.close()
            sys.exit()
        if how == "open":
            import warnings
            warnings.simplefilter("ignore")
        """
    )
    assert printed == "32\n"


def test_a_fork_has_lookups_of_its_own(run: Run) -> None:
    """While all of its parent's hang; and the parent's go on after it."""
    printed = run(
        """
        async def look():
            loop = asyncio.get_running_loop()
            return await loop.getaddrinfo("localhost", 80, family=2, type=1)

        async def main():
            tasks = look_up(count=40)
            await until(lambda: hanging() == 32)
            child = os.fork()
            if not child:
                status = 1
                try:
                    status = 0 if aioxide.run(look()) == ANSWER else 2
                finally:
                    os._exit(status)
            print(os.waitpid(child, 0)[1], hanging())
            release()
            print(await asyncio.gather(*tasks) == [ANSWER] * 40)

        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads
        aioxide.run(main())
        """
    )
    assert printed.splitlines() == ["0 32", "True"]


def test_a_fork_closes_its_copy_of_a_loop(run: Run) -> None:
    """It waits for no lock that only a thread of its parent could give back."""
    printed = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        loop = aioxide.new_event_loop()
        async def begin():
            global tasks
            tasks = look_up(count=3)
            await until(lambda: hanging() == 3)
        async def finish():
            return await asyncio.gather(*tasks)
        loop.run_until_complete(begin())
        child = os.fork()
        if not child:
            status = 1
            try:
                resolver = loop._resolver
                try:
                    resolver.look_up_addresses(99, "localhost", 80, 0, 0, 0, 0)
                except RuntimeError:
                    loop.close()
                    status = 0 if not resolver.take() and not resolver.threads else 2
            finally:
                os._exit(status)
        print(os.waitpid(child, 0)[1])
        release()
        print(loop.run_until_complete(finish()) == [ANSWER] * 3)
        loop.close()
        """
    )
    assert printed.splitlines() == ["0", "True"]


def test_several_loops_do_not_share_their_threads(run: Run) -> None:
    printed = run(
        """
        first, second = aioxide.new_event_loop(), aioxide.new_event_loop()
        async def begin():
            global tasks
            tasks = look_up(count=40)
            await until(lambda: hanging() == 32)
        async def look():
            return await asyncio.get_running_loop().getaddrinfo("localhost", 80, family=2, type=1)
        async def finish():
            return await asyncio.gather(*tasks)
        first.run_until_complete(begin())
        print(second.run_until_complete(look()) == ANSWER, threads())
        second.close()
        release()
        print(first.run_until_complete(finish()) == [ANSWER] * 40)
        first.close()
        while threads():
            pass
        """
    )
    assert printed.splitlines() == ["True 33", "True"]


class Slow:
    """A `getaddrinfo` that answers when it is told to."""

    ANSWER: ClassVar[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[Any] = []

    def __call__(self, host: Any, *rest: Any) -> Any:
        self.asked.append(host)
        assert self.gate.wait(60)
        return list(self.ANSWER)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """Replace `socket.getaddrinfo` by one that hangs until the test is over."""
    function = Slow()
    monkeypatch.setattr(socket, "getaddrinfo", function)
    yield function
    function.gate.set()


@pytest.fixture(autouse=True)
def idle_threads() -> Iterator[None]:
    """Until they are idle, Python threads hold the loop that they work for."""
    yield
    from aioxide import names

    threads = names._python_threads()
    while threads._jobs or threads._idle < len(threads._threads):
        time.sleep(0.001)


@contextmanager
def full_executor(loop: asyncio.AbstractEventLoop) -> Iterator[list[asyncio.Future[Any]]]:
    """Keep all threads of the default executor busy."""
    gate = threading.Event()
    jobs = [loop.run_in_executor(None, gate.wait, 60) for _ in range(50)]
    try:
        yield jobs
    finally:
        gate.set()


def python_threads() -> int:
    """Return how many threads there are for Python functions."""
    return sum(thread.name == "aioxide-names" for thread in threading.enumerate())


async def test_lookups_past_a_saturated_executor(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_executor(loop) as jobs, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "localhost", port, family=socket.AF_INET
        )
        transport.abort()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: list(Slow.ANSWER))
        assert await loop.getaddrinfo("some.name", 80) == Slow.ANSWER
        monkeypatch.undo()
        loop.set_debug(True)
        assert await loop.getaddrinfo("127.0.0.1", 80, type=1) == Slow.ANSWER
        loop.set_debug(False)
        assert not any(job.done() for job in jobs)
    await asyncio.gather(*jobs)


async def test_an_executor_past_hanging_lookups(
    loop: asyncio.AbstractEventLoop, slow: Slow
) -> None:
    tasks = [loop.create_task(loop.getaddrinfo(f"name{n}", 80)) for n in range(40)]
    await until(lambda: len(slow.asked) == 32)
    assert python_threads() == 32
    assert await loop.run_in_executor(None, lambda: "done") == "done"
    assert await asyncio.to_thread(lambda: "done") == "done"
    slow.gate.set()
    assert await asyncio.gather(*tasks) == [Slow.ANSWER] * 40
    assert len(slow.asked) == 40
    assert python_threads() <= 32


async def test_cancelled_lookups_in_python_threads(
    loop: asyncio.AbstractEventLoop, slow: Slow
) -> None:
    tasks = [loop.create_task(loop.getaddrinfo(f"name{n}", 80)) for n in range(40)]
    await until(lambda: len(slow.asked) == 32)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 40
    slow.gate.set()
    assert await loop.getaddrinfo("one more", 80) == Slow.ANSWER
    assert len(slow.asked) == 33


async def test_a_lookup_that_raises(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise ZeroDivisionError(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        await loop.getaddrinfo("host", 80, proto=6)
    assert caught.value.args == ("host", 80, 0, 0, 6, 0)
    del caught


def test_closing_a_loop_with_lookups_in_python_threads(
    loop: asyncio.AbstractEventLoop, slow: Slow
) -> None:
    async def begin() -> None:
        tasks.append(loop.create_task(loop.getaddrinfo("name", 80)))
        await until(lambda: slow.asked)

    tasks: list[Any] = []
    loop.run_until_complete(begin())
    loop.close()
    slow.gate.set()
    other = asyncio.Event()

    async def again() -> Any:
        other.set()
        return await asyncio.get_running_loop().getaddrinfo("another", 80)

    import aioxide

    assert aioxide.run(again()) == Slow.ANSWER
    assert not tasks[0].done()
    tasks.pop()._log_destroy_pending = False


@pytest.mark.parametrize("count", [1, 40])
def test_the_interpreter_ends_with_lookups_in_python_threads(count: int) -> None:
    program = f"""
    import asyncio, socket, threading, aioxide
    asked = []
    gate = threading.Event()
    def slow(*arguments):
        asked.append(arguments)
        gate.wait()
    socket.getaddrinfo = slow
    async def main():
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(loop.getaddrinfo("name", 80)) for _ in range({count})]
        while len(asked) < min({count}, 32):
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print("cancelled", len(asked), flush=True)
    aioxide.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cancelled {min(count, 32)}\n", "")


def test_a_fork_has_python_threads_of_its_own(
    loop: asyncio.AbstractEventLoop, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    import aioxide
    from aioxide import names

    async def begin() -> asyncio.Task[Any]:
        task = loop.create_task(loop.getaddrinfo("name", 80))
        await until(lambda: slow.asked)
        return task

    async def look() -> Any:
        return await asyncio.get_running_loop().getaddrinfo("name", 80)

    async def finish() -> Any:
        return await task

    task = loop.run_until_complete(begin())
    # Held, as if by a thread that is not in the child.
    with names._threads._work, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if not child:
            status = 1
            try:
                slow.gate.set()
                status = 0 if aioxide.run(look()) == Slow.ANSWER else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    slow.gate.set()
    assert loop.run_until_complete(finish()) == Slow.ANSWER


async def test_nothing_stays_registered(loop: Any) -> None:
    """One descriptor for all lookups of a loop, watched only while there are any."""
    await loop.getaddrinfo("127.0.0.1", 80)
    assert loop._resolver is None, "no threads for numbers"
    counts = loop._counts()
    await loop.getaddrinfo("localhost", 80)
    with_resolver = set(open_fds())
    await asyncio.gather(*(loop.getaddrinfo("localhost", port) for port in range(100)))
    assert loop._counts()[2] == counts[2]
    assert set(open_fds()) == with_resolver
    task = loop.create_task(loop.getaddrinfo("localhost", 80))
    await turns(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop._counts()[2] == counts[2]
    del task
    gc.collect()


def test_a_loop_that_closes_takes_no_thread_from_another(implementation: Any) -> None:
    """A job that is queued for another loop is done, although its thread has not begun with it."""
    from aioxide import names

    threads = names.Threads()
    ours, closed = implementation.new_event_loop(), implementation.new_event_loop()
    begins, done = threading.Event(), threading.Event()
    future = ours.create_future()

    def run() -> None:
        begins.wait(30)
        threads._run()

    thread = threading.Thread(target=run)
    threads._threads.add(thread)
    threads._jobs.append((ours, future, done.set, ()))
    thread.start()
    closing = threading.Thread(target=threads.end_idle, args=(closed,))
    closing.start()
    begins.set()
    closing.join()
    assert done.wait(30)
    ours.run_until_complete(future)
    threads.end_idle(ours)
    assert not thread.is_alive()
    closed.close()
    ours.close()
