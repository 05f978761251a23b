"""Scanners that do what a test says: a server in a thread that hears one client at a time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Talk = Callable[[socket.socket], None]


@dataclass
class Scanner:
    """A running server."""

    address: str
    """`/path` or `127.0.0.1 port`."""
    heard: list[bytes] = field(default_factory=list)


def read_until(channel: socket.socket, end: bytes) -> bytes:
    """All up to and with `end`; what there is when the client stops."""
    data = b""
    while not data.endswith(end):
        more = channel.recv(1)
        if not more:
            break
        data += more
    return data


def read_all(channel: socket.socket) -> bytes:
    """Until the client ends its half."""
    data = b""
    while more := channel.recv(65536):
        data += more
    return data


def read_exactly(channel: socket.socket, count: int) -> bytes:
    """So many octets."""
    data = b""
    while len(data) < count and (more := channel.recv(count - len(data))):
        data += more
    return data


@contextmanager
def serving(talk: Callable[[socket.socket, list[bytes]], None], path: Path | None = None) -> Iterator[Scanner]:
    """Run `talk(channel, heard)` for each client, over TCP or the Unix socket `path`."""
    if path is not None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        scanner = Scanner(str(path))
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        scanner = Scanner(f"127.0.0.1 {listener.getsockname()[1]}")
    listener.listen()

    def serve() -> None:
        while True:
            try:
                channel, _ = listener.accept()
            except OSError:
                return
            with channel:
                try:
                    talk(channel, scanner.heard)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield scanner
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
