"""Native types behind asyncio's bases: nothing of a base reaches memory that is not there.

A member of the base that we forgot to override would work on the base's own C fields, which our
objects do not keep up. So every member is either overridden or named here with the reason why the
inherited one is right.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from helpers import attach, implementation

pytestmark = [pytest.mark.usefixtures("loop"), pytest.mark.aioxide_only]

# What the interpreter itself puts on a class: it says nothing about behaviour.
STRUCTURE = {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__classdictcell__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__slots__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}

# 3.14: kept by asyncio's own functions in the fields of the base, where `python -m asyncio ps`
# reads it from outside.
FUTURE = {"_asyncio_awaited_by": "the base's field is the one that is kept up"}
# Written in Python upon attributes and methods which ours have: they see our state.
HANDLE = {
    "__repr__": "Python, reads _repr and _repr_info",
    "_repr_info": "Python, reads _cancelled, _callback, _args and _source_traceback",
}
TIMER_HANDLE = HANDLE | dict.fromkeys(
    ("__eq__", "__ge__", "__gt__", "__hash__", "__le__", "__lt__"),
    "Python, compares _when, _callback, _args and _cancelled",
)
TRANSPORT: dict[str, str] = {}
# asyncio's own is a Transport as well, without anything behind it.
DATAGRAM_TRANSPORT = dict.fromkeys(
    ("can_write_eof", "write", "write_eof", "writelines"),
    "not for datagrams: raises NotImplementedError as asyncio's does",
)

_SET_UP = "runs once for a connection or an endpoint, upon hooks that are overridden"
_RARE = "runs once for a loop, or when something went wrong"
_CHECK = "a check of arguments in Python, called by other inherited methods"
_NOT_YET = "not provided yet: raises NotImplementedError as BaseEventLoop does"
EVENT_LOOP = {
    "__del__": "warns of an unclosed loop by is_closed() and close()",
    "__repr__": "Python, upon is_running(), is_closed() and get_debug()",
    "_add_callback_signalsafe": "calls our _add_callback and _write_to_self",
    "_asyncgen_finalizer_hook": _RARE,
    "_asyncgen_firstiter_hook": _RARE,
    "_check_callback": _CHECK,
    "_check_closed": _CHECK,
    "_check_default_executor": _CHECK,
    "_check_running": _CHECK,
    "_check_sendfile_params": _CHECK,
    "_check_thread": _CHECK,
    "_connect_sock": _SET_UP,
    "_create_connection_transport": _SET_UP,
    "_create_server_getaddrinfo": _SET_UP,
    "_do_shutdown": _RARE,
    "_ensure_resolved": _SET_UP,
    "_getaddrinfo_debug": _SET_UP,
    "_log_subprocess": _RARE,
    "_process_events": "a hook of BaseEventLoop's own _run_once, which never runs here",
    "_run_forever_cleanup": "runs once for a run (from 3.13 on; before, it is ours)",
    "_run_forever_setup": "runs once for a run (from 3.13 on; before, it is ours)",
    "_sendfile_fallback": _SET_UP,
    "_set_coroutine_origin_tracking": _RARE,
    "_sock_sendfile_fallback": _SET_UP,
    "_timer_handle_cancelled": "counts for the heap of BaseEventLoop, where nothing is",
    "call_exception_handler": _RARE,
    "connect_accepted_socket": _SET_UP,
    "connect_read_pipe": _SET_UP,
    "connect_write_pipe": _SET_UP,
    "create_datagram_endpoint": _SET_UP,
    "create_server": _SET_UP,
    "default_exception_handler": _RARE,
    "get_exception_handler": _RARE,
    "get_task_factory": _RARE,
    "run_in_executor": "the thread costs more than the call",
    "run_until_complete": "runs once for a run, upon our run_forever",
    "sendfile": _SET_UP,
    "set_debug": _RARE,
    "set_default_executor": _RARE,
    "set_exception_handler": _RARE,
    "set_task_factory": _RARE,
    "shutdown_asyncgens": _RARE,
    "shutdown_default_executor": _RARE,
    "sock_sendfile": _SET_UP,
    "subprocess_exec": _SET_UP,
    "subprocess_shell": _SET_UP,
}


def owner(cls: type, name: str) -> type:
    """Return the class of the resolution order that a member comes from."""
    return next(base for base in cls.__mro__ if name in vars(base))


def inherited(cls: type, base: type) -> set[str]:
    """Return the members of `base` that `cls` takes over as they are."""
    return {
        name
        for name in dir(base)
        if name not in STRUCTURE
        and owner(base, name) is not object
        and owner(cls, name) is owner(base, name)
    }


async def stream_transport() -> type:
    protocol, far = await attach()
    protocol.transport.close()
    await protocol.lost
    far.close()
    return type(protocol.transport)


async def datagram_transport() -> type:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.close()
    await asyncio.sleep(0)
    return type(transport)


async def test_every_member_is_overridden_or_listed(loop: asyncio.AbstractEventLoop) -> None:
    import aioxide

    cases: list[tuple[type, type, dict[str, str]]] = [
        (aioxide.Future, asyncio.Future, FUTURE),
        (aioxide.Task, asyncio.Task, FUTURE),
        (type(loop.call_soon(len, ())), asyncio.Handle, HANDLE),
        (type(loop.call_later(0, len, ())), asyncio.TimerHandle, TIMER_HANDLE),
        (aioxide.EventLoop, asyncio.BaseEventLoop, EVENT_LOOP),
        (await stream_transport(), asyncio.Transport, TRANSPORT),
        (await datagram_transport(), asyncio.DatagramTransport, {}),
        (await datagram_transport(), asyncio.Transport, DATAGRAM_TRANSPORT),
    ]
    for cls, base, listed in cases:
        assert issubclass(cls, base)
        left = inherited(cls, base) - set(listed)
        assert not left, f"{cls.__name__} inherits unlisted members of {base}: {sorted(left)}"


async def test_the_lists_are_not_out_of_date(loop: asyncio.AbstractEventLoop) -> None:
    """A listed member that is overridden by now loses its entry."""
    import aioxide

    cases: list[tuple[type, type, dict[str, str]]] = [
        (aioxide.Handle, asyncio.Handle, HANDLE),
        (aioxide.TimerHandle, asyncio.TimerHandle, TIMER_HANDLE),
        (aioxide.EventLoop, asyncio.BaseEventLoop, EVENT_LOOP),
        (await stream_transport(), asyncio.Transport, TRANSPORT),
        (await datagram_transport(), asyncio.DatagramTransport, {}),
        (await datagram_transport(), asyncio.Transport, DATAGRAM_TRANSPORT),
    ]
    for cls, base, listed in cases:
        present = {name for name in listed if hasattr(base, name)}
        assert present <= inherited(cls, base) | _ours_on_old_pythons()


def _ours_on_old_pythons() -> set[str]:
    return {"_run_forever_cleanup", "_run_forever_setup"}


# Run in a process of its own, each member in a forked child: the standard library's own objects
# crash here and there when they were never initialised.
PROBE = """
    import asyncio, json, os, sys, warnings
    warnings.simplefilter("ignore")
    if sys.argv[1] == "aioxide":
        import aioxide as module
    else:
        module = asyncio
    if sys.argv[3] == "fresh":
        loop = asyncio.SelectorEventLoop() if module is asyncio else module.new_event_loop()
        asyncio.set_event_loop(loop)

    async def coroutine(): pass

    def make():
        cls = getattr(module, sys.argv[2])
        if sys.argv[3] == "empty":
            return cls.__new__(cls)
        return {
            "Future": lambda: cls(loop=loop),
            "Task": lambda: cls(coroutine(), loop=loop),
            "Handle": lambda: loop.call_soon(len, ()),
            "TimerHandle": lambda: loop.call_later(1000, len, ()),
        }[sys.argv[2]]()

    def attempt(name):
        thing = make()
        try:
            got = getattr(thing, name)
            if callable(got) and not isinstance(got, type):
                got = got()
            return "returned"
        except BaseException as exc:
            return type(exc).__name__

    skipped = {"__init__", "__class__", "__init_subclass__", "__subclasshook__", "print_stack"}
    results = {}
    for name in dir(getattr(asyncio, sys.argv[2])):
        if name in skipped:
            continue
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(write, attempt(name).encode())
            os._exit(0)
        os.close(write)
        told = os.read(read, 1000).decode()
        os.close(read)
        status = os.waitpid(pid, 0)[1]
        results[name] = told if status == 0 else f"crashed ({status})"
    print(json.dumps(results))
"""


def probe(*arguments: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROBE), *arguments],
        capture_output=True,
        check=True,
    )
    results: dict[str, str] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("state", ["fresh", "empty"])
@pytest.mark.parametrize("kind", ["Future", "Task", "Handle", "TimerHandle"])
def test_every_getter_answers(kind: str, state: str) -> None:
    """On a new object as asyncio's; on one that only `__new__` saw, at least never a crash."""
    ours, theirs = probe("aioxide", kind, state), probe("asyncio", kind, state)
    crashes = {name: told for name, told in ours.items() if told.startswith("crashed")}
    assert crashes == {}
    # An object without a loop may say so, or answer as if it were new.
    excuses = {"empty": {"returned", "RuntimeError", "AttributeError"}, "fresh": set[str]()}[state]
    different = {
        name: (told, theirs[name])
        for name, told in ours.items()
        if told not in {theirs[name], *excuses}
    }
    assert different == {}


def test_a_panic_is_an_exception() -> None:
    from aioxide import _aioxide

    with pytest.raises(Exception, match="panic") as info:
        _aioxide._panic_for_tests()
    assert not isinstance(info.value, AssertionError)
    # And the module goes on working.
    assert implementation("aioxide").Future is not None
    _run_something()


def _run_something() -> None:
    import aioxide

    async def body() -> int:
        await asyncio.sleep(0)
        return 1

    assert aioxide.run(body()) == 1


def test_types_cannot_be_mixed_up() -> None:
    """Methods of one native type refuse the objects of another."""
    import aioxide

    pairs: list[tuple[Any, Any]] = [
        (aioxide.Task.get_name, aioxide.Future.__new__(aioxide.Future)),
        (aioxide.Future.done, object()),
        (aioxide.Future.done, asyncio.Future.__new__(asyncio.Future)),
        (aioxide.Handle.cancel, aioxide.Future.__new__(aioxide.Future)),
        (aioxide.TimerHandle.when, aioxide.Handle.__new__(aioxide.Handle)),
        (aioxide.Handle.cancel, asyncio.Handle.__new__(asyncio.Handle)),
    ]
    for method, wrong in pairs:
        with pytest.raises(TypeError):
            method(wrong)
