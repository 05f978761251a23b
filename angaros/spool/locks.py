"""Locks on messages: fcntl record locks on the first line of -D, as Exim takes them (Exim spec 57).

We take them as "open file description" locks: they exclude Exim's own, they exclude two deliveries in one process, and reading
the file through another descriptor does not drop them.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"


def try_lock(fd: int, length: int) -> bool:
    """Write-lock the first `length` octets of `fd`; False when somebody else holds them. Raises OSError for other reasons."""
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, length, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES (POSIX leaves the choice)
        return False
    return True


class SpoolLock:
    """A held message: the open -D file. `release` closes it, and with it ends the lock."""

    __slots__ = ("fd", "message_id", "path", "queue_name")

    def __init__(self, message_id: str, queue_name: str, path: str, fd: int) -> None:
        self.message_id = message_id
        self.queue_name = queue_name
        self.path = path
        """Of the -D file."""
        self.fd = fd

    def release(self) -> None:
        """Let others at the message. Calling it again does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> SpoolLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
