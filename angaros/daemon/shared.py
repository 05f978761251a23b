"""Counters that all workers see: one anonymous shared page made by the master before it forks.

Each worker writes only its own slots, so no lock is needed; a dead worker's slots are cleared by the master.
"""

from __future__ import annotations

import mmap
import struct
import zlib

from angaros.daemon.board import Board

SLOT = struct.Struct("=q")
COUNTERS = 8
CONNECTIONS, DELIVERIES, QUEUE_RUNS, ACCEPTED, SERIAL, QUEUE_SIZE, QUEUE_COUNTED = range(7)
HOSTS = 4096
"""Buckets for connections per host; two hosts in one bucket count together (then `smtp_accept_max_per_host` errs on the strict
side, with a chance of about connections/4096)."""


class SharedCounters:
    """Counters of up to `workers` workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.row = (COUNTERS + HOSTS) * SLOT.size
        self.page = mmap.mmap(-1, max(mmap.PAGESIZE, workers * self.row))
        self.board = Board(workers)
        """What `metrics_address` shows."""

    def _add(self, offset: int, change: int) -> None:
        (value,) = SLOT.unpack_from(self.page, offset)
        SLOT.pack_into(self.page, offset, value + change)

    def add(self, worker: int, counter: int, change: int = 1) -> None:
        """Change a counter of this worker."""
        self._add(worker * self.row + counter * SLOT.size, change)

    def total(self, counter: int) -> int:
        """Sum over all workers."""
        return sum(SLOT.unpack_from(self.page, w * self.row + counter * SLOT.size)[0] for w in range(self.workers))

    def queue_size(self) -> tuple[int, float]:
        """The last count of the queue by any worker, and its time; 0.0 when there was none."""
        size, counted = (SLOT.unpack_from(self.page, counter * SLOT.size)[0] for counter in (QUEUE_SIZE, QUEUE_COUNTED))
        return size, counted / 1000

    def note_queue_size(self, size: int, now: float) -> None:
        """A worker has counted; the first row has it for all."""
        SLOT.pack_into(self.page, QUEUE_SIZE * SLOT.size, size)
        SLOT.pack_into(self.page, QUEUE_COUNTED * SLOT.size, int(now * 1000))

    @staticmethod
    def _bucket(host: str) -> int:
        return COUNTERS + zlib.crc32(host.encode("latin-1")) % HOSTS

    def add_host(self, worker: int, host: str, change: int) -> None:
        """A connection from `host` came (+1) or went (-1)."""
        self._add(worker * self.row + self._bucket(host) * SLOT.size, change)

    def host_total(self, host: str) -> int:
        """Connections from `host` in all workers."""
        offset = self._bucket(host) * SLOT.size
        return sum(SLOT.unpack_from(self.page, w * self.row + offset)[0] for w in range(self.workers))

    def clear(self, worker: int) -> None:
        """Forget what a worker that died had counted."""
        start = worker * self.row
        self.page[start : start + self.row] = bytes(self.row)
        self.board.bury(worker)
