"""Looking up names: what `getaddrinfo` and `getnameinfo` do when they have to wait.

asyncio waits in the default executor, where lookups and other people's jobs stand in each other's
way. A loop of ours has threads for names alone, in two kinds. The native ones call the C library
and never touch Python. Where the question is for Python (somebody has replaced
``socket.getaddrinfo``, the arguments are odd, debug mode logs the lookup), a thread of `Threads`
calls the function.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import sys
import threading
from asyncio import base_events
from typing import TYPE_CHECKING, Any

from . import _aioxide
from ._base import LoopPart

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# As many as asyncio's executor has at most.
MAX_THREADS = 32
IDLE_SECONDS = 10.0

Job = tuple[Any, "asyncio.Future[Any]", "Callable[..., Any]", tuple[Any, ...]]


class Threads:
    """A few threads that call Python functions for event loops; they end when they are idle.

    They are daemons: a function that hangs keeps no interpreter from exiting.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._jobs: collections.deque[Job] = collections.deque()
        self._work = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._calling: set[threading.Thread] = set()
        self._idle = 0

    def is_ours(self) -> bool:
        """Tell whether this process has made it, and not the parent of a fork."""
        return self._process == os.getpid()

    def submit(self, job: Job) -> None:
        """Have a thread do a job: a loop, its future, a function and arguments."""
        with self._work:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or len(self._threads) >= MAX_THREADS:
                self._work.notify()
                return
            thread = threading.Thread(target=self._run, name="aioxide-names", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            with self._work:
                self._threads.discard(thread)
                if not self._threads:
                    self._jobs.clear()
                    raise

    def end_idle(self, loop: Any) -> None:
        """Forget the jobs of a loop that is closed; end the threads that call no function, and wait
        until they are gone.

        While jobs of other loops are queued, the threads stay: one may just have been started, or
        woken, for them. Without jobs, other loops get new threads when they need them.
        """
        with self._work:
            kept = [job for job in self._jobs if job[0] is not loop]
            dropped, self._jobs = self._jobs, collections.deque(kept)
            if kept:
                return
            leaving = {thread for thread in self._threads - self._calling if thread.is_alive()}
            self._threads -= leaving
            self._idle = 0
            self._work.notify_all()
        del dropped  # outside of the lock: what it holds may have finalizers
        leaving.discard(threading.current_thread())  # collects a loop that nobody has closed
        if sys.is_finalizing():
            return  # they never run again
        for thread in leaving:
            thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(*job)
            del job  # it holds a loop, while this thread waits for another

    def _next(self) -> Job | None:
        """Wait for a job; return None if the thread has to end."""
        this = threading.current_thread()
        with self._work:
            while this in self._threads:
                if self._jobs:
                    self._calling.add(this)
                    return self._jobs.popleft()
                self._idle += 1
                came = self._work.wait(IDLE_SECONDS)
                if this not in self._threads:
                    break  # `end_idle()` has counted it out
                self._idle -= 1
                if not came and not self._jobs:
                    self._threads.discard(this)
        return None

    def _do(
        self,
        loop: Any,
        future: asyncio.Future[Any],
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        result = error = None
        try:
            if not future.cancelled():
                result = function(*arguments)
        except BaseException as caught:
            error = caught
        this = threading.current_thread()
        with self._work:
            self._calling.discard(this)
            if loop.is_closed() and not self._jobs:
                self._threads.discard(this)  # as `end_idle()` would have done
        # A loop that has been closed in the meantime wants to know nothing any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, future, result, error)
        # Its traceback leads to this frame.
        del error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Give a future its end, unless somebody has cancelled it."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_threads = Threads()


def _python_threads() -> Threads:
    """Return this process's threads for Python functions."""
    global _threads
    if not _threads.is_ours():
        # Of the parent's there is nothing here but the locks, in whatever state.
        _threads = Threads()
    return _threads


class Names(LoopPart):
    """The event loop's lookups that wait."""

    _resolver: _aioxide.Resolver | None = None
    _names_in_threads = False

    def _close_names(self) -> None:
        """End the threads. Lookups in flight stay unanswered, and their threads end after them."""
        if self._names_in_threads and _threads.is_ours():
            _threads.end_idle(self)
        if self._resolver is not None:
            self._resolver.close()

    async def _look_up_addresses(
        self, host: Any, port: Any, family: Any, kind: Any, proto: Any, flags: Any
    ) -> Any:
        """Do the `getaddrinfo` that could not be answered at once."""
        self._check_default_executor()
        if self._debug:
            function = self._getaddrinfo_debug
        else:
            resolver = self._open_resolver()
            number = next(self._numbers)
            if resolver.look_up_addresses(number, host, port, family, kind, proto, flags):
                return await self._answer(number)
            function = base_events.socket.getaddrinfo  # type: ignore[attr-defined]
        return await self._call_in_thread(function, host, port, family, kind, proto, flags)

    async def _look_up_name(self, sockaddr: Any, flags: Any) -> Any:
        """Do the `getnameinfo` that could not be answered at once."""
        self._check_default_executor()
        resolver = self._open_resolver()
        number = next(self._numbers)
        if resolver.look_up_name(number, sockaddr, flags):
            return await self._answer(number)
        function = base_events.socket.getnameinfo  # type: ignore[attr-defined]
        return await self._call_in_thread(function, sockaddr, flags)

    def _open_resolver(self) -> _aioxide.Resolver:
        if self._resolver is None:
            self._resolver = _aioxide.Resolver()
            self._numbers = itertools.count()
            self._lookups: dict[int, asyncio.Future[Any]] = {}
        return self._resolver

    async def _answer(self, number: int) -> Any:
        """Wait for what a native thread finds out."""
        assert self._resolver is not None
        if not self._lookups:
            self.add_reader(self._resolver.fileno(), self._take_answers)
        future = self._lookups[number] = self.create_future()
        try:
            return await future
        finally:
            if self._lookups.pop(number, None) is not None:
                self._resolver.forget(number)
            if not self._lookups and not self.is_closed():
                self.remove_reader(self._resolver.fileno())
            del future  # its exception leads to this frame

    def _take_answers(self) -> None:
        assert self._resolver is not None
        for number, result, error in self._resolver.take():
            future = self._lookups.pop(number, None)
            if future is not None:
                _settle(future, result, error)

    async def _call_in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Wait for what a function says that blocks."""
        future = self.create_future()
        self._names_in_threads = True
        _python_threads().submit((self, future, function, arguments))
        try:
            return await future
        finally:
            del future  # its exception leads to this frame
