"""The daemon's notifier socket: who accepted a message without the power to deliver it tells the daemon its id.

A datagram is JSON, `{"deliver": id, "queue": name}`. It is a hint: when it is lost, the next queue run finds the message.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

MAX_DATAGRAM = 4096


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


def hear(channel: socket.socket) -> dict[str, Any] | None:
    """One datagram, None when there is none or it makes no sense."""
    try:
        found = json.loads(channel.recv(MAX_DATAGRAM))
    except (BlockingIOError, ValueError):
        return None
    return found if isinstance(found, dict) else None
