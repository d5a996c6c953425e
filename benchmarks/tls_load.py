"""The load on a TLS echo server: one message in flight on each connection, every answer checked.

Driven as the load generator in Rust is: says that it is ready, then for each line on standard
input loads for a while and prints what came of it so far. It is Python's own ssl on blocking
sockets; what is measured is the server, on another core.

With `--hold` it makes the connections when a line comes, has one byte echoed on each, and keeps
them.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import time

from implementations import pin

FEW = 20


def connect(port: int) -> ssl.SSLSocket:
    """A connection that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock)


def turn(socks: list[ssl.SSLSocket], message: bytes, buffer: memoryview) -> None:
    """One message on every connection, and every answer."""
    for sock in socks:
        sock.sendall(message)
    for sock in socks:
        got = 0
        while got < len(message):
            amount = sock.recv_into(buffer[got:])
            if not amount:
                raise SystemExit("the server has hung up")
            got += amount
        if buffer != message:
            raise SystemExit("that is not what was sent")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def hold(port: int, connections: int, message: bytes, buffer: memoryview) -> None:
    """First a few, so that the server has made what it makes once; then some for each line."""
    held: list[ssl.SSLSocket] = []

    def more(count: int) -> None:
        for _ in range(count):
            sock = connect(port)
            turn([sock], message, buffer)
            held.append(sock)

    more(FEW)
    say("ready")
    for _ in sys.stdin:
        more(connections)
        say(json.dumps({"messages": len(held) - FEW}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Load on a TLS server; started by tls.py.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.2)
    parser.add_argument("--hold", action="store_true", help="make the connections when told, idle")
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    message = bytes(number * 7 % 256 for number in range(options.size))
    buffer = memoryview(bytearray(options.size))
    if options.hold:
        hold(options.port, options.connections, message, buffer)
        return
    socks = [connect(options.port) for _ in range(options.connections)]

    def load(seconds: float) -> tuple[int, float]:
        turns, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            turn(socks, message, buffer)
            turns += 1
        return turns * len(socks), time.perf_counter() - began

    load(options.warmup)
    say("ready")
    messages, seconds, used = 0, 0.0, 0
    for _ in sys.stdin:
        before = time.process_time_ns()
        more, took = load(options.seconds)
        used += time.process_time_ns() - before
        messages += more
        seconds += took
        result = {"messages": messages, "seconds": seconds, "load_cpu_us": used // 1000}
        say(json.dumps(result))


if __name__ == "__main__":
    main()
