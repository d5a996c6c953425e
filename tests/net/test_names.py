"""getaddrinfo and getnameinfo: exactly what the standard library answers, however it is found."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("loop")

Arguments = tuple[Any, Any, Any, Any, Any, Any]


class Text(str):
    """A str of a derived class."""

    __slots__ = ()


class Number(int):
    """An int of a derived class."""


class Index:
    """Not a number, but good for one."""

    def __index__(self) -> int:
        return 1


# Nobody has to be asked about these: they are addresses, or in every machine's list of hosts.
LOCAL_HOSTS: list[Any] = [
    None,
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "2001:DB8::A:0:0:1",
    "fe80::1%1",
    "::1%1",
    "::1%lo",
    "::ffff:10.1.2.3",
    "::10.1.2.3",
    "::2",
    "127.1",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "\uff11\uff12\uff17.0.0.1",
    b"127.0.0.1",
    b"::1",
    Text("127.0.0.1"),
    "localhost",
    b"localhost",
]
# A name server would be asked about these, so they come with AI_NUMERICHOST; or they are refused.
OTHER_HOSTS: list[Any] = [
    "",
    b"",
    "127.0.0.256",
    "1.2.3.4.5",
    "127.0.0.1.",
    " 127.0.0.1",
    "[::1]",
    "1::2::3",
    "::1%nosuchlink",
    "host.invalid",
    "a..b",
    "x" * 64,
    "b\u00fccher.invalid",
    "\u0967\u0968.0.0.1",
    "127.0.0.1\0",
    b"127.0.0.1\0",
    "\udc80",
    b"\xff",
    bytearray(b"127.0.0.1"),
    memoryview(b"::1"),
    5,
    object(),
]
PORTS: list[Any] = [
    None,
    80,
    0,
    65535,
    "80",
    "080",
    65536,
    -1,
    "65536",
    " 80",
    "+80",
    "",
    b"",
    b"80",
    "http",
    "domain",
    "no-such-service",
    "8\u0660",
    "80\0",
    b"80\0",
    "\udc80",
    True,
    80.0,
    Number(80),
    Text("80"),
    10**30,
    bytearray(b"80"),
]
FAMILIES: list[Any] = [0, socket.AF_INET, socket.AF_INET6, 2, socket.AF_UNIX, 99, -1]
TYPES: list[Any] = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 5, 77]
PROTOCOLS: list[Any] = [0, 6, 17, 1, 132, -1]
FLAGS: list[Any] = [
    0,
    socket.AI_PASSIVE,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICSERV,
    socket.AI_CANONNAME,
    socket.AI_V4MAPPED,
    socket.AI_V4MAPPED | socket.AI_ALL,
    socket.AI_ADDRCONFIG,
    socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    0x40,
    1 << 20,
    -1,
]
ODD_NUMBERS: list[Any] = [None, "1", 1.0, True, Number(1), Index(), 1 << 31, -(1 << 31), 10**30]


def careful(host: Any, port: Any, *hints: Any) -> Arguments:
    """Keep a question from reaching a name server."""
    family, type_, proto, flags = hints
    harmless = any(host is known for known in LOCAL_HOSTS)
    if not harmless and isinstance(flags, int) and -(1 << 31) <= flags < 1 << 31:
        flags |= socket.AI_NUMERICHOST
    return host, port, family, type_, proto, flags


def described(value: Any) -> Any:
    """Return a value with the types of everything in it: an enumeration is no plain number."""
    if isinstance(value, (list, tuple)):
        return type(value), [described(item) for item in value]
    return type(value), value


def refused(error: BaseException) -> Any:
    """Return what identifies an exception."""
    return type(error), getattr(error, "errno", None), getattr(error, "strerror", None)


def expected(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the standard library answers, or how it refuses."""
    try:
        return described(function(*arguments))
    except Exception as error:
        return refused(error)


async def answered(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return what the loop answers, or how it refuses."""
    try:
        return described(await call())
    except Exception as error:
        return refused(error)


async def same(arguments: Arguments) -> None:
    """Ask the loop and the standard library the same question."""
    loop = asyncio.get_running_loop()
    host, port, family, type_, proto, flags = arguments
    found = await answered(
        lambda: loop.getaddrinfo(host, port, family=family, type=type_, proto=proto, flags=flags)
    )
    assert found == expected(socket.getaddrinfo, *arguments), arguments


def usual() -> Iterator[Arguments]:
    """Every host with every port, and every numeric question with every hint."""
    hosts = [*LOCAL_HOSTS, *OTHER_HOSTS]
    for host, port in itertools.product(hosts, PORTS):
        yield careful(host, port, 0, 0, 0, 0)
        yield careful(host, port, 0, socket.SOCK_STREAM, 0, 0)
    few = [None, "127.0.0.1", "::1", "::ffff:10.1.2.3", "127.1", "localhost"]
    for host, *hints in itertools.product(few, FAMILIES, TYPES, PROTOCOLS[:4], FLAGS[:9]):
        if host in {"127.0.0.1", "::1"} or not hints[2]:
            yield careful(host, 80, *hints)


def odd() -> Iterator[Arguments]:
    """Hints of the wrong type or size."""
    for host, number in itertools.product(["127.0.0.1", "localhost", 5], ODD_NUMBERS):
        for position in range(4):
            hints: list[Any] = [0, 0, 0, 0]
            hints[position] = number
            yield careful(host, 80, *hints)


def at_random(count: int) -> Iterator[Arguments]:
    """Any arguments with any others, always the same ones."""
    choose = random.Random(1211).choice
    hosts = [*LOCAL_HOSTS, *OTHER_HOSTS]
    for _ in range(count):
        hints = [choose(FAMILIES), choose(TYPES), choose(PROTOCOLS), choose(FLAGS)]
        yield careful(choose(hosts), choose(PORTS), *hints)


@pytest.mark.aioxide_only
async def test_hosts_ports_and_hints_are_answered_as_the_standard_library_does() -> None:
    count = 0
    for arguments in usual():
        await same(arguments)
        count += 1
    assert count > 6000


@pytest.mark.aioxide_only
async def test_odd_hints_are_answered_as_the_standard_library_does() -> None:
    for arguments in odd():
        await same(arguments)


@pytest.mark.aioxide_only
async def test_random_questions_are_answered_as_the_standard_library_does() -> None:
    for arguments in at_random(5000):
        await same(arguments)


@pytest.mark.aioxide_only
async def test_random_addresses_are_answered_as_the_standard_library_does() -> None:
    """As the C library writes them: it shortens, and puts in dotted quads, by its own rules."""
    chance = random.Random(2410)
    for _ in range(3000):
        parts = [chance.choice([0, 0, 0, 1, 0xFFFF, chance.getrandbits(16)]) for _ in range(8)]
        if chance.random() < 0.3:
            parts[:5] = [0] * 5
        raw = b"".join(part.to_bytes(2, "big") for part in parts)
        short = socket.inet_ntop(socket.AF_INET6, raw)
        whole = ":".join(f"{part:x}" for part in parts)
        quad = socket.inet_ntoa(raw[:4])
        for host in (short, whole, quad):
            await same((host, 443, 0, socket.SOCK_STREAM, 0, 0))


async def test_a_few_answers() -> None:
    """The same through both loops, without asking the standard library."""
    loop = asyncio.get_running_loop()
    (info,) = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert info == (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    assert [type(part) for part in info[:2]] == [socket.AddressFamily, socket.SocketKind]
    (info,) = await loop.getaddrinfo("::1%1", "http", type=socket.SOCK_STREAM)
    assert info[4] == ("::1", 80, 0, 1)
    with pytest.raises(socket.gaierror) as caught:
        await loop.getaddrinfo("127.0.0.1", 80, family=socket.AF_INET6)
    assert caught.value.errno == socket.EAI_ADDRFAMILY
    with pytest.raises(UnicodeError):
        await loop.getaddrinfo("a..b", 80)


SOCKADDRS: list[Any] = [
    ("127.0.0.1", 80),
    ("127.0.0.1", 0),
    ("127.0.0.1", 65536),
    ("127.0.0.1", -1),
    ("127.0.0.1", "80"),
    ("127.0.0.1", 80, 0, 0),
    ("127.0.0.1",),
    ("::1", 80),
    ("::1", 53, 0, 0),
    ("::1", 80, 5, 1),
    ("fe80::1", 80, 0, 1),
    ("fe80::1%1", 80, 0, 0),
    ("::1", 80, 1 << 20, 0),
    ("::1", 80, -1, 0),
    ("::1", 80, 0, 1 << 32),
    ("::1", 80, 0),
    ("127.1", 80),
    ("localhost", 80),
    ("", 80),
    (b"127.0.0.1", 80),
    (None, 80),
    ("127.0.0.1\0", 80),
    (),
    ["127.0.0.1", 80],
    None,
    "127.0.0.1",
    5,
]
NAME_FLAGS: list[Any] = [
    0,
    socket.NI_NUMERICHOST | socket.NI_NUMERICSERV,
    socket.NI_NUMERICHOST,
    socket.NI_NUMERICHOST | socket.NI_DGRAM,
    socket.NI_NUMERICHOST | socket.NI_NUMERICSERV | socket.NI_NAMEREQD,
    1 << 20,
    None,
    "0",
    True,
    10**30,
]


@pytest.mark.parametrize("flags", NAME_FLAGS, ids=repr)
async def test_names_of_addresses(flags: Any) -> None:
    loop = asyncio.get_running_loop()
    for sockaddr in SOCKADDRS:
        numeric = isinstance(flags, int) and flags & socket.NI_NUMERICHOST
        if not numeric and "fe80" in str(sockaddr):
            continue  # not in the machine's list of hosts: it would be looked up in the network
        found = await answered(lambda: loop.getnameinfo(sockaddr, flags))  # noqa: B023
        assert found == expected(socket.getnameinfo, sockaddr, flags), (sockaddr, flags)
    assert await loop.getnameinfo(("127.0.0.1", 80), 3) == ("127.0.0.1", "80")


async def test_the_flags_of_getnameinfo_may_be_left_out() -> None:
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", 80)
    assert await loop.getnameinfo(address) == socket.getnameinfo(address, 0)
    numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert await loop.getnameinfo(sockaddr=address, flags=numbers) == ("127.0.0.1", "80")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_what_is_given_back_is_a_coroutine(host: str) -> None:
    loop = asyncio.get_running_loop()
    call: Any = loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    assert asyncio.iscoroutine(call)
    assert not asyncio.isfuture(call)
    assert call.__name__ == "getaddrinfo"
    answer = await call
    assert answer == socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    with pytest.raises(RuntimeError):
        await call
    task = loop.create_task(loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM))
    assert await asyncio.wait_for(task, 60) == answer
    both = await asyncio.gather(
        loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM),
        loop.getnameinfo(("127.0.0.1", 80), 3),
    )
    assert list(both) == [answer, ("127.0.0.1", "80")]
    loop.getaddrinfo(host, 80).close()  # type: ignore[attr-defined]
    loop.getnameinfo(("127.0.0.1", 80)).close()  # type: ignore[attr-defined]


def test_a_call_that_nobody_awaits_is_complained_about(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.warns(RuntimeWarning, match="getaddrinfo' was never awaited"):
        loop.getaddrinfo("127.0.0.1", 80)  # type: ignore[unused-coroutine]


@pytest.mark.parametrize("name", ["getaddrinfo", "getnameinfo"])
@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ((), {}),
        (("127.0.0.1", 80, 0), {}),
        (("127.0.0.1", 80), {"kind": 1}),
        (("127.0.0.1", 80), {"host": "127.0.0.1"}),
        (("127.0.0.1", 80), {"flags": 3, "sockaddr": ("127.0.0.1", 80)}),
    ],
)
def test_wrong_arguments_are_refused_at_the_call(
    loop: asyncio.AbstractEventLoop, name: str, given: Any, keywords: Any
) -> None:
    with pytest.raises(TypeError):
        getattr(loop, name)(*given, **keywords)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", 5])
def test_lookups_of_a_closed_loop(loop: asyncio.AbstractEventLoop, host: Any) -> None:
    calls: list[Any] = [loop.getaddrinfo(host, 80), loop.getnameinfo((host, 80), 3)]
    loop.close()
    for call in [*calls, loop.getaddrinfo(host, 80), loop.getnameinfo((host, 80))]:
        with pytest.raises(RuntimeError, match="closed"):
            call.send(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost"])
async def test_lookups_after_the_executor_was_shut_down(host: str) -> None:
    """asyncio's own are over then, so nobody counts on more."""
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    with pytest.raises(RuntimeError, match="shutdown"):
        await loop.getaddrinfo(host, 80)
    with pytest.raises(RuntimeError, match="shutdown"):
        await loop.getnameinfo(("127.0.0.1", 80), 3)


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
@pytest.mark.parametrize("where", ["socket", "_socket"])
async def test_a_replaced_getaddrinfo_is_obeyed(
    monkeypatch: pytest.MonkeyPatch, host: str, where: str
) -> None:
    import _socket

    asked = []
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.9.8.7", 1))]

    def replacement(*arguments: Any) -> Any:
        asked.append(arguments)
        return list(answer)

    monkeypatch.setattr(socket if where == "socket" else _socket, "getaddrinfo", replacement)
    loop = asyncio.get_running_loop()
    assert await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM) == answer
    assert asked == [(host, 80, 0, socket.SOCK_STREAM, 0, 0)]
    monkeypatch.undo()
    assert await loop.getaddrinfo("127.0.0.1", 80) == socket.getaddrinfo("127.0.0.1", 80)
    assert len(asked) == 1


async def test_a_replaced_getnameinfo_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    def replacement(sockaddr: Any, flags: int) -> Any:
        raise ZeroDivisionError(sockaddr, flags)

    monkeypatch.setattr(socket, "getnameinfo", replacement)
    loop = asyncio.get_running_loop()
    for flags in (0, 3):
        with pytest.raises(ZeroDivisionError) as caught:
            await loop.getnameinfo(("127.0.0.1", 80), flags)
        assert caught.value.args == (("127.0.0.1", 80), flags)


class Watched:
    """An audit hook, which cannot be removed: it only listens while it is told to."""

    def __init__(self) -> None:
        self.heard: list[Any] | None = None
        self.refuse = False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: Any) -> None:
        if self.heard is not None and event in {"socket.getaddrinfo", "socket.getnameinfo"}:
            self.heard.append((event, arguments, [type(argument) for argument in arguments]))
            if self.refuse:
                raise PermissionError(event)

    async def during(self, call: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Return what is heard while a call is awaited."""
        heard: list[Any] = []
        self.heard = heard
        try:
            await call()
        finally:
            self.heard = None
        return heard

    def during_plain(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return what is heard while the standard library is called."""
        heard: list[Any] = []
        self.heard = heard
        try:
            function(*arguments)
        finally:
            self.heard = None
        return heard


@pytest.fixture(scope="module")
def hook() -> Watched:
    """The one audit hook of this module."""
    return Watched()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", b"::1", None])
async def test_audit_hooks_hear_of_lookups(hook: Watched, host: Any) -> None:
    loop = asyncio.get_running_loop()
    hints = (socket.AF_UNSPEC, socket.SOCK_STREAM, 0, 0)
    keywords = dict(zip(("family", "type", "proto", "flags"), hints, strict=True))
    heard = await hook.during(lambda: loop.getaddrinfo(host, 80, **keywords))  # type: ignore[arg-type]
    assert len(heard) == 1
    assert heard == hook.during_plain(socket.getaddrinfo, host, 80, *hints)
    hook.refuse = True
    try:
        with pytest.raises(PermissionError):
            await hook.during(lambda: loop.getaddrinfo(host, 80))
    finally:
        hook.refuse = False


@pytest.mark.parametrize("flags", [0, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV])
async def test_audit_hooks_hear_of_lookups_of_names(hook: Watched, flags: int) -> None:
    loop = asyncio.get_running_loop()
    heard = await hook.during(lambda: loop.getnameinfo(("127.0.0.1", 80), flags))
    assert len(heard) == 1
    assert heard == hook.during_plain(socket.getnameinfo, ("127.0.0.1", 80), flags)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_debug_mode_logs_lookups(caplog: pytest.LogCaptureFixture, host: str) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        answer = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    assert answer == socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    messages = [record.getMessage() for record in caplog.records]
    assert any(f"Get address info {host}:80" in message for message in messages)
    assert any(f"Getting address info {host}:80" in message for message in messages)


async def test_connecting_looks_up_by_name_and_by_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through create_connection and sock_connect, whose ports may be names."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        for target in [(host, port), (host, str(port)), ("127.1", port)]:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, *target, family=socket.AF_INET
            )
            assert transport.get_extra_info("peername") == (host, port)
            transport.abort()
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, target)
                assert sock.getpeername() == (host, port)
        await asyncio.sleep(0)


async def test_zones_are_kept_on_the_way_to_a_connection() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        asked: list[Any] = []
        original = loop.getaddrinfo

        async def noted(*arguments: Any, **keywords: Any) -> Any:
            asked.append(await original(*arguments, **keywords))
            return asked[-1]

        loop.getaddrinfo = noted  # type: ignore[method-assign]
        try:
            transport, _ = await loop.create_connection(asyncio.Protocol, "::1%1", port)
        finally:
            del loop.getaddrinfo
        assert [info[4] for info in asked[0]] == [("::1", port, 0, 1)]
        assert transport.get_extra_info("peername")[:2] == ("::1", port)
        sock = transport.get_extra_info("socket")
        assert transport.get_extra_info("peername") == sock.getpeername()
        transport.abort()
        await asyncio.sleep(0)
