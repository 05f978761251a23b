"""What master and workers say to each other: one JSON object a line over a socket pair.

master -> worker: {"do": "run", ...QueueRun fields}, {"do": "retire"}, {"do": "deliver", "id": ...}
worker -> master: {"say": "ready"}, {"say": "notify", ...}
End of file from the master means: the master is gone, retire.
"""

from __future__ import annotations

import json
import socket
from typing import Any

MAX_LINE = 64 * 1024
"""No message between our own processes comes near this; a longer one is a fault."""


class Channel:
    """One end. Sending blocks (messages are tiny); receiving is by `feed` with what was read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = bytearray()

    def fileno(self) -> int:
        return self.connection.fileno()

    def send(self, message: dict[str, Any]) -> bool:
        """False when the other side is gone."""
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Whole messages in what has come so far."""
        self._buffer += data
        if len(self._buffer) > MAX_LINE:
            raise ValueError("control message too long")
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        return [json.loads(line) for line in lines]

    def receive(self) -> list[dict[str, Any]] | None:
        """Read once; None at the end of file."""
        try:
            data = self.connection.recv(MAX_LINE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self.feed(data) if data else None

    def close(self) -> None:
        self.connection.close()


def pair() -> tuple[Channel, Channel]:
    """Master's end and worker's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(ours), Channel(theirs)
