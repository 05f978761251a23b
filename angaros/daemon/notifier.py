"""The daemon's notifier socket: who accepted a message without the power to deliver it tells the daemon its id; who wants to know
the size of the queue asks.

A datagram is JSON. `{"deliver": id, "queue": name}` is a hint: when it is lost, the next queue run finds the message.
`{"ask": "queue_size"}` is answered with `{"queue_size": number}`.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

MAX_DATAGRAM = 4096
PATIENCE = 2.0
"""Seconds to wait for an answer: a worker that is busy for longer has no time for it."""


def open_notifier(path: str, uid: int, gid: int) -> socket.socket:
    """The daemon's end, for the Exim user alone."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    old = os.umask(0o177)
    try:
        channel.bind(path)
    finally:
        os.umask(old)
    if os.geteuid() == 0:
        os.chown(path, uid, gid)
    channel.setblocking(False)
    return channel


def tell(path: str, message: dict[str, Any]) -> bool:
    """Send; False when no daemon listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(json.dumps(message).encode(), path)
        except OSError:
            return False
    return True


def ask(path: str, what: str) -> Any:
    """The daemon's answer; None when there is no daemon, or none that answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.bind("")  # an address of the kernel's choice, to be answered at
            channel.settimeout(PATIENCE)
            channel.connect(path)  # only that socket may answer
            channel.send(json.dumps({"ask": what}).encode())
            return json.loads(channel.recv(MAX_DATAGRAM)).get(what)
        except (OSError, ValueError, AttributeError):
            return None


def answer(channel: socket.socket, address: Any, what: str, value: Any) -> None:
    """The daemon's side of `ask`."""
    try:
        channel.sendto(json.dumps({what: value}).encode(), address)
    except OSError:
        pass  # who asked is gone


def hear(channel: socket.socket) -> tuple[dict[str, Any], Any] | None:
    """One datagram and who sent it, None when there is none or it makes no sense."""
    try:
        data, address = channel.recvfrom(MAX_DATAGRAM)
        found = json.loads(data)
    except (BlockingIOError, ValueError):
        return None
    return (found, address) if isinstance(found, dict) else None
