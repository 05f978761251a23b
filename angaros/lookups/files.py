"""Files that are kept open between lookups, the least recently used closed first. # Exim spec 9.8

Law: what is kept answers only for the file as it was: another inode, size or time of change opens it anew. So a long-lived worker
never answers from a file that has been replaced, and a file that has not changed costs one stat().
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol


class Closable(Protocol):
    """What an opener returns."""

    def close(self) -> None:
        """Let go of the file."""
        ...


Signature = tuple[int, int, int, int]


def signature(status: os.stat_result) -> Signature:
    """What tells a file from its successor."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class OpenFiles:
    """Open files by kind and path."""

    __slots__ = ("_open", "limit")

    def __init__(self, limit: int = 25) -> None:
        self.limit = limit
        """`lookup_open_max`."""
        self._open: OrderedDict[tuple[str, str], tuple[Signature, Any]] = OrderedDict()

    def get(self, kind: str, path: str, opener: Callable[[str, os.stat_result], Closable]) -> Any:
        """The open file; `opener` makes it. OSError from stat() and from the opener."""
        status = os.stat(path)
        sign = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        key = (kind, path)
        known = self._open.get(key)
        if known is not None:
            if known[0] == sign:
                self._open.move_to_end(key)
                return known[1]
            self._open.pop(key)[1].close()
        while len(self._open) >= max(self.limit, 1):
            self._open.popitem(last=False)[1][1].close()
        handle = opener(path, status)
        self._open[key] = (sign, handle)
        return handle

    def close(self) -> None:
        """All of them."""
        while self._open:
            self._open.popitem()[1][1].close()
