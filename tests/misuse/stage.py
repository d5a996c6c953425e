"""One loop, what a call needs around it, and what is seen of the call afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
import threading
import warnings
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from helpers import Contexts, Implementation, Recorder, collect, tcp_pair

# So many turns of the loop see the end of everything that needs nobody else, and what the kernel
# tells in between: aioxide asks it every 16 turns.
TURNS = 20
# What has not ended after so many short waits waits for something.
PATIENCE = 40


def described(value: Any) -> Any:
    """Return what must be the same on both loops: never an identity, never an address."""
    if isinstance(value, float):
        return "float"  # a time
    if isinstance(value, str):
        return "str", re.sub(r"Task-\d+", "Task-", value)
    if value is None or isinstance(value, (bool, int, bytes, bytearray)):
        return type(value).__name__, value
    if isinstance(value, (tuple, list)):
        return type(value).__name__, [described(item) for item in value]
    if isinstance(value, BaseException):
        return "exception", problem(value)
    kinds: list[tuple[str, type]] = [
        ("timer", asyncio.TimerHandle),
        ("handle", asyncio.Handle),
        ("task", asyncio.Task),
        ("future", asyncio.Future),
        ("stream transport", asyncio.Transport),
        ("datagram transport", asyncio.DatagramTransport),
        ("subprocess transport", asyncio.SubprocessTransport),
        ("read pipe", asyncio.ReadTransport),
        ("write pipe", asyncio.WriteTransport),
        ("server", asyncio.AbstractServer),
        ("loop", asyncio.AbstractEventLoop),
        ("socket", socket.socket),
    ]
    for name, kind in kinds:
        if isinstance(value, kind):
            return name
    if callable(value):
        return "callable", getattr(value, "__name__", None)
    return "other", type(value).__name__


def problem(error: BaseException) -> Any:
    """Return what identifies an exception: its class, and the kernel's number if it has one."""
    if isinstance(error, OSError):
        return type(error), error.errno
    return type(error), None


def reported(context: dict[str, Any]) -> Any:
    """Return what must be the same of what came to the exception handler."""
    kind = context["message"].split("<")[0].split("(")[0]
    if kind.startswith("Exception in callback"):
        kind = "Exception in callback"
    return kind, problem(context["exception"]) if "exception" in context else None


def truth(value: Any) -> Any:
    """Return whether something counts as true, or that it does not say."""
    try:
        return bool(value)
    except Exception as error:
        return type(error)


@dataclass
class Seen:
    """What a call did, as far as both loops can be asked."""

    # "call" and an exception, "await" and an exception, "pending", or "returned" and a value.
    how: str
    what: Any = None
    effects: dict[str, Any] = field(default_factory=dict)
    unraisable: list[Any] = field(default_factory=list)

    def differences(self, other: Seen) -> list[str]:
        """Say what is not the same in another one."""
        found = []
        if (self.how, self.what) != (other.how, other.what):
            found.append(f"{self.how} {self.what} / {other.how} {other.what}")
        for name, value in self.effects.items():
            if value != other.effects.get(name):
                found.append(f"{name}: {value} / {other.effects.get(name)}")
        # What asyncio's finalizers trip over is not asked of ours.
        if other.unraisable and not self.unraisable:
            found.append(f"unraisable: {other.unraisable}")
        return found


class Stage:
    """A loop with everything that was made for one call. Used once."""

    def __init__(
        self, implementation: Implementation, *, debug: bool = False, thorough: bool = False
    ) -> None:
        self.implementation = implementation
        self._thorough = thorough
        self.loop: Any = implementation.new_event_loop()
        self.loop.set_debug(debug)
        self.loop.slow_callback_duration = 3600.0  # a slow machine is no difference
        self.contexts = Contexts()
        self.loop.set_exception_handler(self.contexts)
        self._leaving = contextlib.ExitStack()
        self._sockets: list[socket.socket] = []
        self._futures: list[Any] = []
        self._transports: list[Any] = []
        self._foreign: Any = None
        self._busy: socket.socket | None = None
        self.busy_transport: Any = None
        self.subject: Any = None

    # What a call may be given.

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two connected sockets."""
        return self.keep(*tcp_pair())

    def keep(self, *socks: Any) -> Any:
        """Close sockets at the end; what the call does to them is compared."""
        for sock in socks:
            self._leaving.callback(sock.close)
            self._sockets.append(sock)
        return socks

    def enter(self, manager: Any) -> Any:
        """Enter a context until the end."""
        return self._leaving.enter_context(manager)

    def future(self) -> Any:
        """Return a future of this loop."""
        future = self.loop.create_future()
        self._futures.append(future)
        return future

    def foreign_future(self) -> Any:
        """Return a future of another loop of the same kind."""
        if self._foreign is None:
            self._foreign = self.implementation.new_event_loop()
            self._leaving.callback(self._foreign.close)
        future = self._foreign.create_future()
        self._futures.append(future)
        return future

    def coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """Close a coroutine at the end that nobody may have awaited."""
        self._leaving.callback(quietly, coroutine.close)
        return coroutine

    def task(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return a task, to be cancelled at the end."""
        task = self.loop.create_task(coroutine)
        self._leaving.callback(quietly, task.cancel)
        self._futures.append(task)
        return task

    def later(self, put_away: Callable[[], object]) -> None:
        """Have something put away at the end."""
        self._leaving.callback(quietly, put_away)

    def transport(self, transport: Any) -> Any:
        """Abort a transport at the end; what the call does to it is compared."""
        self._leaving.callback(quietly, transport.abort)
        self._transports.append(transport)
        return transport

    @property
    def busy(self) -> socket.socket:
        """The socket of a transport. There is one for each call that wants one."""
        assert self._busy is not None
        return self._busy

    async def prepare(self) -> None:
        """Make what takes a running loop."""
        sock, _ = self.pair()
        self._busy = sock
        transport, _ = await self.loop.create_connection(Recorder, sock=sock)
        self.busy_transport = transport
        self._leaving.callback(quietly, transport.abort)

    # What is seen.

    def registered(self) -> int:
        """Return how many descriptors the loop watches, without its own."""
        if self.implementation.name == "aioxide":
            # Other than asyncio's, its descriptor for signals is there only while it is needed.
            return int(self.loop._counts()[2]) - bool(self.loop._signal_sockets)
        selector = self.loop._selector
        return 0 if selector is None else len(selector.get_map()) - 1

    def effects(self) -> dict[str, Any]:
        """Return everything that both loops can be asked about."""
        if self._thorough:
            # What a call that failed has half made is finalized: the one loop's sooner than the
            # other's.
            collect()
        loop = self.loop
        closed = loop.is_closed()
        return {
            # A callback for a descriptor comes once in a turn, and not every loop polls as often.
            "reported": list(dict.fromkeys(map(reported, self.contexts))),
            "loop": (closed, truth(loop.get_debug()), loop.get_task_factory() is None),
            "registered": None if closed else self.registered(),
            "sockets": [
                (sock.fileno() < 0, sock.fileno() >= 0 and sock.gettimeout())
                for sock in self._sockets
            ],
            "futures": [
                (future.done(), future.cancelled(), bool(future._callbacks))
                for future in self._futures
            ],
            "transports": [
                (transport.is_closing(), transport.get_protocol().events)
                for transport in self._transports
            ],
        }

    async def settle(self) -> None:
        """Let the loop do what the call has set going."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def outcome(self, call: Callable[[], Any], *, waits: bool) -> Seen:
        """Make a call in the running loop, await what it gives back, and look."""
        try:
            result = call()
        except Exception as error:
            seen = Seen("call", problem(error))
        else:
            seen = await self._awaited(result, waits=waits)
        await self.settle()
        seen.effects = self.effects()
        return seen

    async def _awaited(self, result: Any, *, waits: bool) -> Seen:
        if not asyncio.iscoroutine(result):
            self._dispose(result)
            return Seen("returned", described(result))
        task = asyncio.ensure_future(result)
        if waits:
            for _ in range(PATIENCE):
                await asyncio.sleep(0.0005)
                if task.done():
                    break
        else:
            await asyncio.wait([task], timeout=30)
        if not task.done():
            seen = Seen("pending")
            seen.effects = self.effects()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return Seen("pending", [seen.effects["registered"], seen.effects["sockets"]])
        if task.cancelled():
            return Seen("await", asyncio.CancelledError)
        error = task.exception()
        if error is not None:
            return Seen("await", problem(error))
        self._dispose(task.result())
        await self._reap(task.result())
        return Seen("returned from await", described(task.result()))

    async def _reap(self, result: Any) -> None:
        """Kill a child and wait until the loop knows of its end."""
        if not isinstance(result, tuple) or not isinstance(result[0], asyncio.SubprocessTransport):
            return
        with contextlib.suppress(ProcessLookupError):
            result[0].kill()
        while result[0].get_returncode() is None:
            await asyncio.sleep(0.001)

    def outcome_when_closed(self, call: Callable[[], Any]) -> Seen:
        """Make a call after the loop was closed; of a coroutine only the first step."""
        try:
            result = call()
        except Exception as error:
            seen = Seen("call", problem(error))
        else:
            seen = self._stepped(result)
        seen.effects = self.effects()
        return seen

    def _stepped(self, result: Any) -> Seen:
        if not asyncio.iscoroutine(result):
            self._dispose(result)
            return Seen("returned", described(result))
        # Else asyncio would make a loop for what needs a running one.
        asyncio._set_running_loop(self.loop)
        try:
            result.send(None)
        except StopIteration as stop:
            self._dispose(stop.value)
            return Seen("returned from await", described(stop.value))
        except Exception as error:
            return Seen("await", problem(error))
        finally:
            asyncio._set_running_loop(None)
        quietly(result.close)
        return Seen("pending")

    def _dispose(self, result: Any) -> None:
        """Put away what a call has given back."""
        if isinstance(result, (tuple, list)):
            for item in result:
                self._dispose(item)
        elif isinstance(result, asyncio.BaseTransport):
            self._leaving.callback(quietly, getattr(result, "abort", result.close))
        elif isinstance(result, asyncio.Task):
            self._leaving.callback(quietly, result.cancel)
            self._futures.append(result)
        elif isinstance(result, asyncio.Future):
            self._futures.append(result)
        elif isinstance(result, (asyncio.Handle, asyncio.TimerHandle)):
            self._leaving.callback(quietly, result.cancel)
        elif isinstance(result, (asyncio.AbstractServer, socket.socket, io.IOBase)):
            self._leaving.callback(quietly, result.close)

    # From the beginning to the end.

    def run(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on this loop."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.loop.run_until_complete(body)

    def leave(self) -> None:
        """Put everything away."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.loop.set_debug(False)
                if not self.loop.is_closed():
                    # A call may have broken asyncio's loop for good: a timer that is no number.
                    with contextlib.suppress(Exception):
                        self.loop.run_until_complete(self._left())
                self._leaving.close()
            finally:
                self.loop.close()
                for future in self._futures:
                    future._log_traceback = False

    async def _left(self) -> None:
        self._leaving.close()
        await self.settle()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
            # One that was given no good context can neither run nor end.
            task._log_destroy_pending = False
        await self.settle()
        self.loop.remove_signal_handler(10)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()


def quietly(put_away: Callable[[], object]) -> None:
    """Put something away that may be gone already, or whose loop is."""
    with contextlib.suppress(Exception):
        put_away()


def in_thread(call: Callable[[], Any]) -> Any:
    """Make a call in another thread, which is not the loop's; return or raise what it does."""
    found: list[Any] = []
    raised: list[Exception] = []

    def work() -> None:
        try:
            found.append(call())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if raised:
        raise raised.pop()
    return found.pop()
