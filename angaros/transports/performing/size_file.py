"""Maildir++ quota bookkeeping: the file `maildirsize` (Maildir++ specification; Exim spec 26.7).

Its first line is the quota (`<octets>S,<number>C`), each further line a change: `<octets> <number>`. Programs append with
one write; whoever finds the file too long, too old when over quota, or with another quota, counts anew.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress

from angaros.transports.performing.quota import directory_size

MAX_SIZE = 5120
"""A longer file is made anew (the specification's figure)."""
RECOUNT_AGE = 15 * 60
"""When over quota, a file of this age is not believed."""

DEFAULT_FOLDERS = r"^(?:cur|new|\..*)$"


class SizeFile:
    """The maildirsize of one mailbox, opened and up to date."""

    def __init__(
        self, top: bytes, quota: tuple[int, int], folders: str, size_regex: str, hostname: str, mode: int, *, write: bool = True
    ) -> None:
        """`top`: the top-level maildir; `quota`: octets and number, 0 for none; `folders`: directories that count."""
        self._path = top + b"/maildirsize"
        self._top = top
        self._quota = quota
        self._folders = re.compile((folders or DEFAULT_FOLDERS).encode("latin-1"))
        self._size_regex = size_regex
        self._hostname = hostname
        self._mode = mode
        self.size = 0
        self.count = 0
        if not self._read():
            self._recount()
            if write:
                self._store()

    def _read(self) -> bool:
        """Take the figures from the file; False when it has to be made anew."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            data = os.read(fd, MAX_SIZE + 1)
            age = time.time() - os.fstat(fd).st_mtime
        finally:
            os.close(fd)
        lines = data.split(b"\n")
        if len(data) > MAX_SIZE or _parse_quota(lines[0]) != self._quota:
            return False
        try:
            changes = [line.split() for line in lines[1:] if line.strip()]
            self.size = sum(int(change[0]) for change in changes)
            self.count = sum(int(change[1]) for change in changes)
        except (ValueError, IndexError):
            return False
        if self.size < 0 or self.count < 0:
            return False
        limit, number = self._quota
        over = (limit and self.size > limit) or (number and self.count > number)
        return not over or (len(changes) == 1 and age < RECOUNT_AGE)

    def _recount(self) -> None:
        """Count everything."""
        self.size = self.count = 0
        with suppress(OSError), os.scandir(self._top) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and self._folders.search(entry.name):
                    self._count_folder(entry.path, entry.name)

    def _store(self) -> None:
        """Write a new file under its name."""
        temporary = (
            self._top
            + f"/tmp/{int(time.time())}.H{time.time_ns() // 1000 % 1000000}P{os.getpid()}.{self._hostname}".encode("latin-1")
        )
        octets, number = self._quota
        with suppress(OSError):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
            try:
                os.write(fd, f"{octets}S,{number}C\n{self.size} {self.count}\n".encode("ascii"))
            finally:
                os.close(fd)
            os.rename(temporary, self._path)

    def _count_folder(self, path: bytes, name: bytes) -> None:
        """A folder's cur and new; the trash does not count."""
        if name in (b"cur", b"new"):
            self._count_files(path)
        elif name not in (b".", b"..", b".Trash"):
            for inner in (b"/cur", b"/new"):
                self._count_files(path + inner)

    def _count_files(self, path: bytes) -> None:
        size, count = directory_size(path, self._size_regex or r",S=(\d+)(?:[:,]|$)")
        self.size += size
        self.count += count

    def add(self, octets: int) -> None:
        """Tell that a message has come."""
        append_change(self._path, octets)


def append_change(path: bytes, octets: int) -> None:
    """Add a line for one message."""
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(fd, f"{octets} 1\n".encode("ascii"))
        finally:
            os.close(fd)


def _parse_quota(line: bytes) -> tuple[int, int]:
    """Octets and number of the first line; (-1, -1) when it makes no sense."""
    octets = number = 0
    for item in line.strip().split(b","):
        if item[-1:] == b"S" and item[:-1].isdigit():
            octets = int(item[:-1])
        elif item[-1:] == b"C" and item[:-1].isdigit():
            number = int(item[:-1])
        else:
            return -1, -1
    return octets, number
