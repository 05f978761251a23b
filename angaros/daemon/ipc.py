"""Typed messages between our processes: a length, JSON, and passed descriptors (SCM_RIGHTS). Blocking ends; no pickle.

Mail text is latin-1 `str`; JSON carries it unharmed (each octet is one character).
"""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

LENGTH = struct.Struct("=I")
MAX_MESSAGE = 64 * 1024 * 1024
"""Headers of one message and its recipients fit many times over; a longer frame is a fault, not a request."""
MAX_FDS = 16
"""Descriptors of one message."""


class Closed(ConnectionError):
    """The other side is gone."""


def pack(message: dict[str, Any]) -> bytes:
    """One frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def send(channel: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send all, blocking. Raises OSError."""
    data = pack(message)
    if fds:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = channel.sendmsg([data], rights)
        if sent < len(data):
            channel.sendall(data[sent:])
    else:
        channel.sendall(data)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One message and its descriptors, blocking. Raises Closed at the end."""
    fds: list[int] = []
    head = _read(channel, LENGTH.size, fds)
    (size,) = LENGTH.unpack(head)
    if size > MAX_MESSAGE:
        raise Closed(f"message of {size} octets")
    message: dict[str, Any] = json.loads(_read(channel, size, fds))
    return message, fds


def _read(channel: socket.socket, size: int, fds: list[int]) -> bytes:
    parts: list[bytes] = []
    while size:
        data, ancillary, _, _ = channel.recvmsg(min(size, 1 << 20), socket.CMSG_LEN(MAX_FDS * 4))
        fds.extend(received_fds(ancillary))
        if not data:
            raise Closed("end of file")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Descriptors in ancillary data; they are not inherited by programs we start."""
    import os

    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    for fd in found:
        os.set_inheritable(fd, False)
    return list(found)


class Frames:
    """Frames out of chunks, for an end that is read by an event loop."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Whole messages that have come."""
        self._buffer += data
        found = []
        while len(self._buffer) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._buffer)
            if size > MAX_MESSAGE:
                raise Closed(f"message of {size} octets")
            end = LENGTH.size + size
            if len(self._buffer) < end:
                break
            found.append(json.loads(bytes(self._buffer[LENGTH.size : end])))
            del self._buffer[:end]
        return found
