"""The MBX format of c-client: a header of 2048 octets, and before each message a line with date, size and flags."""

from __future__ import annotations

import time

from angaros.logs.times import zone
from angaros.transports.performing.copying import all_pieces, write_all
from angaros.transports.plan import Copy

HEADER_SIZE = 2048
KEYWORD_LINES = 30
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def file_header(now: float) -> bytes:
    """What a new mailbox begins with: magic, UID validity and last UID, room for keywords."""
    text = f"*mbx*\r\n{int(now):08x}00000000\r\n" + "\r\n" * KEYWORD_LINES
    return text.encode("ascii").ljust(HEADER_SIZE, b"\0")


def message_header(now: float, size: int) -> bytes:
    """`21-Nov-2026 07:09:50 +0000,332;000000000000-00000000`."""
    t = time.localtime(now)
    date = f"{t.tm_mday:2d}-{_MONTHS[t.tm_mon - 1]}-{t.tm_year} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone(t)}"
    return f"{date},{size};{'0' * 12}-{'0' * 8}\r\n".encode("ascii")


def append(fd: int, copy: Copy, body_fd: int, present: int, where: str) -> int:
    """Write one message; returns the octets added. The size must be known first, hence two passes."""
    now = time.time()
    lead = file_header(now) if present == 0 else b""
    if copy.filter:
        pieces = list(all_pieces(copy, body_fd, where))
        size = sum(map(len, pieces))
        return write_all(fd, [lead + message_header(now, size), *pieces])
    size = sum(len(piece) for piece in all_pieces(copy, body_fd))
    written = write_all(fd, [lead + message_header(now, size)])
    return written + write_all(fd, all_pieces(copy, body_fd))
