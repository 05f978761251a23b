"""Where log lines end: files that are reopened when somebody rotates them, and syslog."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

SYSLOG_LIMIT = 870
"""Data characters in one syslog line: leaves room for what syslog adds within the 1024 of RFC 3164 (Exim spec 53.4)."""

PRIORITIES = {"main": 6, "reject": 5, "panic": 1, "debug": 7}
"""LOG_INFO, LOG_NOTICE, LOG_ALERT, LOG_DEBUG."""

FACILITIES = {
    name: code << 3
    for name, code in {
        "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
        "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
    }.items()
}  # fmt: skip


class LogFile:
    """One open log file. Each `append` is one write with O_APPEND, so that lines of many processes never mix."""

    __slots__ = ("path", "_fd", "_inode", "_mode", "_owner", "tried_as")

    def __init__(self, path: str, *, mode: int, owner: tuple[int, int]) -> None:
        self.path = path
        self._fd = -1
        self._inode = (0, 0)
        self._mode = mode
        self._owner = owner
        self.tried_as = (-1, -1)
        """uid and gid that the file was last opened with."""

    def append(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError."""
        if self._fd < 0 or self._rotated():
            self._reopen()
        written = os.write(self._fd, data)
        while written < len(data):
            written += os.write(self._fd, data[written:])

    def close(self) -> None:
        """Close; the next line opens again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotated(self) -> bool:
        try:
            found = os.stat(self.path)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._inode

    def _reopen(self) -> None:
        self.close()
        self.tried_as = (os.geteuid(), os.getegid())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self.path, flags)
        except FileNotFoundError:
            fd = self._create(flags | os.O_CREAT)
        found = os.fstat(fd)
        self._fd = fd
        self._inode = (found.st_dev, found.st_ino)

    def _create(self, flags: int) -> int:
        """Create the file, and its directory, as the mail user even when we are root."""
        uid, gid = self._owner
        if os.geteuid() != 0 or uid <= 0:
            return self._create_here(flags)
        egid = os.getegid()
        os.setegid(gid)
        os.seteuid(uid)
        try:
            return self._create_here(flags)
        finally:
            os.seteuid(0)
            os.setegid(egid)

    def _create_here(self, flags: int) -> int:
        self.tried_as = (os.geteuid(), os.getegid())
        try:
            return os.open(self.path, flags, self._mode)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
            return os.open(self.path, flags, self._mode)


class Syslog:
    """syslog(3), or in Exim's test mode lines on stderr."""

    __slots__ = ("_facility", "_ident", "_log_pid", "_to_stderr", "_opened")

    def __init__(self, *, facility: str | None, ident: str, log_pid: bool, to_stderr: bool) -> None:
        self._facility = facility_code(facility)
        self._ident = ident
        self._log_pid = log_pid
        self._to_stderr = to_stderr
        self._opened = False

    def write(self, kind: str, text: str) -> None:
        """Send one entry, split at newlines and after SYSLOG_LIMIT characters, numbered when split."""
        for line in split_for_syslog(text):
            if self._to_stderr:
                sys.stderr.write(f"SYSLOG: '{line}'\n")
                sys.stderr.flush()
            else:
                self._send(PRIORITIES[kind], line)

    def _send(self, priority: int, line: str) -> None:
        import syslog

        if not self._opened:
            syslog.openlog(self._ident, (syslog.LOG_PID if self._log_pid else 0) | syslog.LOG_CONS, self._facility)
            self._opened = True
        with suppress(ValueError, OSError):
            syslog.syslog(priority, line.replace("\0", "?"))


def facility_code(name: str | None) -> int:
    """Number of a facility name, with or without `log_` before it; LOG_MAIL for None. KeyError for an unknown one."""
    if name is None:
        return FACILITIES["mail"]
    return FACILITIES[name.lower().removeprefix("log_")]


def split_for_syslog(text: str) -> list[str]:
    """Pieces of an entry, beginning with `[n/m]` (cut for length) or `[n\\m]` (cut at a newline) when there are several."""
    pieces: list[tuple[str, str]] = []
    lines = text.removesuffix("\n").split("\n")
    for line in lines:
        while len(line) > SYSLOG_LIMIT:
            pieces.append(("/", line[:SYSLOG_LIMIT]))
            line = line[SYSLOG_LIMIT:]
        pieces.append(("\\", line))
    total = len(pieces)
    if total == 1:
        return lines
    pieces[-1] = ("/", pieces[-1][1])
    return [f"[{number}{mark}{total}] {piece}" for number, (mark, piece) in enumerate(pieces, 1)]
