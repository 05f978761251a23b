"""Rows of counts in memory that all processes of the daemon share.

Law: a row has one writer. Its first number is odd while it is written: a reader that sees that, or a change, reads again.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
from collections.abc import Mapping

from angaros.model.metrics import Key

ROW = 256 * 1024
"""Octets of a row: far more than MAX_SERIES of each metric need. Pages that nobody writes cost nothing."""
TRIES = 100
"""Readings of a row that is being written; to write one takes microseconds."""

_HEAD = struct.Struct("=II")

Counts = Mapping[Key, int]


class Board:
    """Rows of counts in memory that all processes of the daemon share."""

    def __init__(self, workers: int) -> None:
        self.last = workers
        """The row of workers that have ended."""
        self.page = mmap.mmap(-1, (workers + 1) * ROW)

    def write(self, row: int, counts: Counts) -> None:
        """Replace a row. What does not fit is not shown."""
        data = json.dumps([[*key, value] for key, value in counts.items()], separators=(",", ":")).encode()
        if len(data) > ROW - _HEAD.size:
            return
        start = row * ROW
        serial = _HEAD.unpack_from(self.page, start)[0] | 1
        _HEAD.pack_into(self.page, start, serial, 0)
        self.page[start + _HEAD.size : start + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self.page, start, (serial + 1) & 0xFFFFFFFF, len(data))

    def read(self, row: int) -> dict[Key, int]:
        """A row; {} when it cannot be read."""
        start = row * ROW
        for _ in range(TRIES):
            serial, length = _HEAD.unpack_from(self.page, start)
            data = self.page[start + _HEAD.size : start + _HEAD.size + length]
            if serial % 2 or _HEAD.unpack_from(self.page, start)[0] != serial:
                time.sleep(0)
                continue
            try:
                return {(name, tuple(labels)): value for name, labels, value in json.loads(data or b"[]")}
            except ValueError:
                continue
        return {}

    def total(self) -> dict[Key, int]:
        """The sums of all rows."""
        found: dict[Key, int] = {}
        for row in range(self.last + 1):
            add_up(found, self.read(row))
        return found

    def bury(self, row: int) -> None:
        """The worker of this row has ended: its counts stay."""
        left = self.read(row)
        if not left:
            return
        kept = self.read(self.last)
        add_up(kept, left)
        self.write(row, {})
        self.write(self.last, kept)


def add_up(into: dict[Key, int], more: Counts) -> None:
    """Add counts to counts."""
    for key, value in more.items():
        into[key] = into.get(key, 0) + value
